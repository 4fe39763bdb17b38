package pods

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// minGrace is what a program gets after a preStop hook that took all of the
// grace period, as in Kubernetes.
const minGrace = 2 * time.Second

// Pod is a pod that was started.
type Pod struct {
	spec       Spec
	launch     launcher
	containers []*container // those of Init first, in order
	// killed ends when everything shall end at once.
	killed context.Context
	kill   context.CancelCauseFunc
	// stopping is closed when the pod shall end, done when it has.
	stopping, done chan struct{}
	pokes          chan struct{}

	mu       sync.Mutex
	ending   bool
	deadline time.Time   // of the grace period, when ending
	backstop *time.Timer // kills what outlives it
	stopped  bool
}

var errKilled = errors.New("the pod was killed")

// start starts a pod whose programs are started by launch.
func start(spec Spec, changed func(), launch launcher) (*Pod, error) {
	if err := Check(spec); err != nil {
		return nil, fmt.Errorf("start pod %s: %w", spec.Name, err)
	}
	p := &Pod{
		spec: spec, launch: launch, stopping: make(chan struct{}), done: make(chan struct{}),
		pokes: make(chan struct{}, 1),
	}
	p.killed, p.kill = context.WithCancelCause(context.Background())
	for i, c := range slices.Concat(spec.Init, spec.Containers) {
		made, err := newContainer(p, c, i < len(spec.Init))
		if err != nil {
			p.closeLogs()
			return nil, fmt.Errorf("start pod %s: %w", spec.Name, err)
		}
		p.containers = append(p.containers, made)
	}
	if changed == nil {
		changed = func() {}
	}
	go p.tell(changed) // ends with the pod
	go p.run()         // so does this
	return p, nil
}

// tell calls changed for each change, or for several at once.
func (p *Pod) tell(changed func()) {
	for {
		select {
		case <-p.pokes:
			changed()
		case <-p.done:
			changed()
			return
		}
	}
}

// poke has the change told.
func (p *Pod) poke() {
	select {
	case p.pokes <- struct{}{}:
	default: // one is waiting to be told, and will see this one too
	}
}

// run lives the pod's life.
func (p *Pod) run() {
	var mains sync.WaitGroup
	sidecars, ok := p.initialise()
	for _, c := range p.containers {
		if ok && !c.init {
			mains.Go(func() { c.live(p.stopping) })
		}
	}
	<-p.stopping
	mains.Wait()
	for _, c := range slices.Backward(sidecars) {
		close(c.leave)
		<-c.left
	}
	p.mu.Lock()
	p.stopped = true
	p.backstop.Stop()
	p.mu.Unlock()
	p.kill(errKilled) // gives its resources back
	p.closeLogs()
	close(p.done)
}

// initialise runs the init containers and reports whether all went well, and
// which go on.
func (p *Pod) initialise() (sidecars []*container, ok bool) {
	for _, c := range p.containers {
		switch {
		case !c.init:
		case c.sidecar():
			sidecars = append(sidecars, c)
			go c.live(c.leave) // run waits for it
			select {
			case <-c.begun:
			case <-p.stopping:
				return sidecars, false
			}
		case !c.live(p.stopping):
			return sidecars, false
		}
	}
	return sidecars, true
}

func (p *Pod) closeLogs() {
	for _, c := range p.containers {
		c.log.close()
	}
}

// Status returns what the pod is doing now.
func (p *Pod) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Ready: !p.ending, Stopped: p.stopped}
	for _, c := range p.containers {
		status := c.status
		if status.Exit != nil {
			exit := *status.Exit
			status.Exit = &exit
		}
		if c.init {
			s.Init = append(s.Init, status)
		} else {
			s.Containers = append(s.Containers, status)
		}
		s.Ready = s.Ready && status.Ready
	}
	return s
}

// Logs returns the last lines that a container has written, at most so many
// and at most 200, those of processes before this one included.
func (p *Pod) Logs(name string, lines int) []string {
	for _, c := range p.containers {
		if c.Spec.Name == name {
			return c.log.last(lines)
		}
	}
	return nil
}

// Stop ends the pod as Kubernetes does: preStop, SIGTERM, the rest of the grace
// period, SIGKILL. It returns when all processes are gone. When ctx ends
// before, they are killed at once, and its cause is returned.
func (p *Pod) Stop(ctx context.Context) error {
	p.end()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	}
}

// Kill ends the pod at once and returns when all its processes are gone.
func (p *Pod) Kill() {
	p.kill(errKilled)
	p.end()
	<-p.done
}

// end begins the end of the pod.
func (p *Pod) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return
	}
	p.ending = true
	p.deadline = time.Now().Add(p.spec.Grace)
	// Each sidecar may need the least grace once the containers have ended.
	limit := p.spec.Grace + time.Duration(len(p.spec.Init)+1)*minGrace
	p.backstop = time.AfterFunc(limit, func() { p.kill(errKilled) })
	close(p.stopping)
	p.poke()
}

// graceLeft returns how much of the pod's grace period is left.
func (p *Pod) graceLeft() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.deadline)
}
