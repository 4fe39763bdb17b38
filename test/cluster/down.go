package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// down stops the cluster and leaves nothing of it but what was built.
func (c *cluster) down(ctx context.Context) error {
	if _, err := os.Stat(c.state); errors.Is(err, fs.ErrNotExist) {
		c.say("the cluster is down already")
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("stop cluster: needs root; use sudo")
	}
	if err := widenPath(); err != nil {
		return fmt.Errorf("stop cluster: %w", err)
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.takeDown(ctx); err != nil {
		return err
	}
	c.say("the cluster is down")
	return nil
}

// takeDown goes on after an error, to leave as little as it can. The state
// folder stays if anything is left, so that it can be tried again.
func (c *cluster) takeDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	programs, err := c.programs()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// containerd ends the pods, once there is no kubelet to bring them back; and
	// the API server ends at once only while etcd is there.
	var others []string
	for _, p := range c.parts(programs) {
		if p.argv != nil && p.name != "containerd" && p.name != "etcd" {
			others = append(others, p.name)
		}
	}
	errs := []error{
		c.stopProcesses(append(others, argoRollouts)...),
		c.removePods(ctx, programs),
		c.stopProcesses("containerd", "etcd"),
	}
	if proxy := programs["kube-proxy"]; installed(proxy) {
		errs = append(errs, command(ctx, proxy, "--cleanup"))
	}
	removeFirewallChain(ctx)
	errs = append(errs, removeNetwork(ctx), c.unmountAll(), removeCgroups(), c.restoreMachine())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop cluster: %w", err)
	}
	if err := os.RemoveAll(c.state); err != nil {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}

// stopProcesses stops those of the parts that were started and still run.
func (c *cluster) stopProcesses(names ...string) error {
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { errs[i] = c.stopProcess(name) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (c *cluster) stopProcess(name string) error {
	p, err := loadProcess(c.record(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.stop(stopGrace); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return os.Remove(c.record(name))
}

// removePods asks containerd to end all pods, and starts it once more for
// that if it is no longer there: pods outlive it.
func (c *cluster) removePods(ctx context.Context, programs map[string]string) error {
	if _, err := os.Stat(c.path("containerd")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if c.containerdReady(ctx) != nil {
		if err := c.stopProcess("containerd"); err != nil {
			return err
		}
		if err := c.start(ctx, c.containerd()); err != nil {
			return err
		}
	}
	return command(ctx, programs["removepods"], c.socket())
}

// unmountAll takes away the mounts below the state folder, innermost first.
func (c *cluster) unmountAll() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var errs []error
	for _, path := range mountsBelow(string(mounts), c.state) {
		errs = append(errs, unmount(path))
	}
	return errors.Join(errs...)
}

// mountsBelow reads from a mount table what is mounted below a folder, the
// latest mount first.
func mountsBelow(table, dir string) []string {
	var below []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			below = append(below, fields[1])
		}
	}
	slices.Reverse(below)
	return below
}

// removeCgroups removes the groups that the kubelet made, in each hierarchy
// if the machine has several. A group can go only when it is empty, which
// also is a check that no process of a pod is left.
func removeCgroups() error {
	roots, err := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	if err != nil {
		return fmt.Errorf("list cgroups: %w", err)
	}
	for _, root := range append(roots, "/sys/fs/cgroup/kubepods") {
		var groups []string
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil // A group may go while it is being looked at.
		})
		for _, group := range slices.Backward(groups) {
			// The first is enough to say: those around it are not empty either.
			if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove cgroup: %w", err)
			}
		}
	}
	return nil
}
