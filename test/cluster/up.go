package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// startTimeout bounds the start of all parts together, once they are built.
const startTimeout = 90 * time.Second

// up starts the cluster unless it is up, and returns when it can be used.
func (c *cluster) up(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("start cluster: needs root, for containers, mounts and the network between pods; use sudo")
	}
	if err := widenPath(); err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(c.state); err == nil {
		names, err := c.unwell(ctx)
		if err == nil && len(names) == 0 {
			c.say("the cluster is up already")
			return nil
		}
		c.say("taking down what is left of a cluster; not as it should be: %s", strings.Join(names, ", "))
		if err := c.takeDown(ctx); err != nil {
			return err
		}
	}
	if err := c.installMissing(ctx); err != nil {
		return err
	}
	programs, err := c.buildAll(ctx)
	if err != nil {
		return err
	}
	if err := portsFree(); err != nil {
		return err
	}
	if err := c.prepareState(programs); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	if err := c.startAll(ctx, c.parts(programs)); err != nil {
		return err
	}
	c.say("the cluster is up; for the tests: eval \"$(go run ./test/cluster env)\"")
	return nil
}

// prepareState fills the state folder with all that the parts read.
func (c *cluster) prepareState(programs map[string]string) error {
	for _, dir := range []string{"log", "process", "pki", "prometheus", "registry"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return fmt.Errorf("prepare state: %w", err)
		}
	}
	content, err := json.MarshalIndent(programs, "", "  ")
	if err != nil {
		return fmt.Errorf("prepare state: %w", err)
	}
	// For the commands after this one: those of the source may have changed by then.
	if err := os.WriteFile(c.path("programs.json"), content, 0o600); err != nil {
		return fmt.Errorf("prepare state: %w", err)
	}
	if err := c.saveMachine(); err != nil {
		return err
	}
	if err := c.writePKI(); err != nil {
		return err
	}
	return c.writeConfig()
}

// programs are those that the running cluster was started with.
func (c *cluster) programs() (map[string]string, error) {
	content, err := os.ReadFile(c.path("programs.json"))
	if err != nil {
		return nil, fmt.Errorf("find programs: %w", err)
	}
	var programs map[string]string
	if err := json.Unmarshal(content, &programs); err != nil {
		return nil, fmt.Errorf("find programs: %w", err)
	}
	return programs, nil
}

// portsFree finds out before anything is started whether something else
// listens where a part of the cluster will.
func portsFree() error {
	var errs []error
	for _, p := range []struct{ part, address string }{
		{"etcd", etcdAddress}, {"etcd", etcdPeerAddress}, {"apiserver", apiAddress},
		{"controller-manager", controllersAddress}, {"scheduler", schedulerAddress},
		{"kubelet", kubeletHealthAddress}, {"proxy", proxyHealthAddress}, {"proxy", proxyMetricsAddress},
		{"registry", "127.0.0.1:5000"}, {"traefik", gatewayAddress}, {"traefik", traefikMetricsAddress},
		{"prometheus", prometheusAddress}, {"redis", redisAddress},
	} {
		listener, err := net.Listen("tcp", p.address)
		if err != nil {
			errs = append(errs, fmt.Errorf("find a free port for %s: %w", p.part, err))
			continue
		}
		listener.Close()
	}
	return errors.Join(errs...)
}

// startAll starts every part as soon as those it needs are ready.
func (c *cluster) startAll(ctx context.Context, parts []part) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(map[string]chan struct{}, len(parts))
	for _, p := range parts {
		ready[p.name] = make(chan struct{})
	}
	var group sync.WaitGroup
	for _, p := range parts {
		group.Go(func() {
			for _, need := range p.needs {
				select {
				case <-ready[need]:
				case <-ctx.Done():
					return
				}
			}
			if err := c.start(ctx, p); err != nil {
				cancel(err) // The first error counts; the others follow from it.
				return
			}
			close(ready[p.name])
			c.say("%s", p.name)
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// start starts one part and waits until it can be used.
func (c *cluster) start(ctx context.Context, p part) error {
	if p.run != nil {
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
		return c.wait(ctx, p, nil)
	}
	started, err := launch(p.argv, p.env, c.state, c.log(p.name))
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := started.save(c.record(p.name)); err != nil {
		return errors.Join(err, started.stop(stopGrace))
	}
	return c.wait(ctx, p, &started)
}

// wait repeats the part's check until it passes, its process has ended or the
// time is up.
func (c *cluster) wait(ctx context.Context, p part, running *process) error {
	if p.ready == nil {
		return nil
	}
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		if running != nil && !running.alive() {
			return c.partError(p, errors.New("it ended"))
		}
		select {
		case <-ctx.Done():
			return c.partError(p, errors.Join(context.Cause(ctx), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *cluster) log(name string) string    { return c.path("log", name+".log") }
func (c *cluster) record(name string) string { return c.path("process", name+".json") }

// A partError tells which part is at fault and shows the end of its log.
type partError struct {
	part, log string
	cause     error
}

func (c *cluster) partError(p part, cause error) error {
	log := c.log(p.name)
	if p.argv == nil && len(p.needs) > 0 { // A thing done once keeps no log: see the part that it waits for.
		log = c.log(p.needs[0])
	}
	return &partError{part: p.name, log: log, cause: cause}
}

func (e *partError) Error() string { return fmt.Sprintf("start %s: %v", e.part, e.cause) }
func (e *partError) Unwrap() error { return e.cause }

// Hint shows the end of the log, where the reason usually is.
func (e *partError) Hint() string {
	content, err := os.ReadFile(e.log)
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	return fmt.Sprintf("the last lines of %s:\n%s\nall logs: %s", e.log, lastLines(string(content), 12), filepath.Dir(e.log))
}

// lastLines returns the end of a text, indented.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "    " + strings.Join(lines, "\n    ")
}
