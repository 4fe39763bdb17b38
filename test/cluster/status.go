package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// unwell returns the names of the parts that are not as they should be.
func (c *cluster) unwell(ctx context.Context) ([]string, error) {
	parts, errs, err := c.check(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i, p := range parts {
		if errs[i] != nil {
			names = append(names, p.name)
		}
	}
	return names, nil
}

// check asks every part at once whether it is as it should be.
func (c *cluster) check(ctx context.Context) ([]part, []error, error) {
	programs, err := c.programs()
	if err != nil {
		return nil, nil, err
	}
	parts := c.parts(programs)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(parts))
	var group sync.WaitGroup
	for i, p := range parts {
		group.Go(func() { errs[i] = c.checkPart(ctx, p) })
	}
	group.Wait()
	return parts, errs, nil
}

func (c *cluster) checkPart(ctx context.Context, p part) error {
	if p.argv != nil {
		running, err := loadProcess(c.record(p.name))
		if err != nil || !running.alive() {
			return fmt.Errorf("%s does not run", p.name)
		}
	}
	if p.ready != nil {
		if err := p.ready(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// status prints a line for every part.
func (c *cluster) status(ctx context.Context, w io.Writer) error {
	parts, errs, err := c.check(ctx)
	if err != nil {
		return fmt.Errorf("the cluster is down: %w", err)
	}
	for i, p := range parts {
		state := "up"
		if errs[i] != nil {
			state = "down"
		}
		if _, err := fmt.Fprintf(w, "%-20s %s\n", p.name, state); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// process finds a part that is a process by its name.
func (c *cluster) process(name string) (part, error) {
	programs, err := c.programs()
	if err != nil {
		return part{}, fmt.Errorf("find %s: the cluster is down: %w", name, err)
	}
	var names []string
	for _, p := range append(c.parts(programs), c.argoRolloutsPart("")) {
		if p.argv == nil {
			continue
		}
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return part{}, fmt.Errorf("find %s: no such part; there are %s", name, strings.Join(names, ", "))
}

// startPart starts a part of the running cluster that was stopped.
func (c *cluster) startPart(ctx context.Context, name string) error {
	p, err := c.process(name)
	if name == argoRollouts && err == nil {
		p, err = c.prepareArgoRollouts(ctx)
	}
	if err != nil {
		return err
	}
	if err := widenPath(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if running, err := loadProcess(c.record(name)); err == nil && running.alive() {
		c.say("%s is up already", name)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.start(ctx, p); err != nil {
		return err
	}
	c.say("%s is up", name)
	return nil
}

// stopPart stops one part and leaves the rest of the cluster as it is.
func (c *cluster) stopPart(_ context.Context, name string) error {
	if _, err := c.process(name); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.stopProcess(name); err != nil {
		return err
	}
	c.say("%s is down", name)
	return nil
}
