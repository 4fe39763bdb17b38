package pods

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// watch runs a container's postStart hook and its probes until ctx ends or the
// program must be ended, which it says to sick.
func (c *container) watch(ctx context.Context, p process, sick chan<- fault) {
	if err := c.postStart(ctx, p); err != nil {
		if ctx.Err() == nil {
			sick <- fault{reason: ReasonPostStart, why: "its postStart hook failed: " + err.Error()}
		}
		return
	}
	if c.Spec.StartupProbe != nil && !c.startup(ctx, p, sick) {
		return
	}
	if !isClosed(c.begun) {
		close(c.begun)
	}
	var both sync.WaitGroup
	defer both.Wait()
	if c.Spec.LivenessProbe != nil {
		both.Go(func() { c.liveness(ctx, p, sick) })
	}
	if c.Spec.ReadinessProbe == nil {
		c.set(func(s *ContainerStatus) {
			if s.Ready, s.Message = true, ""; c.job() {
				s.Ready, s.Message = false, "it has not ended yet"
			}
		})
		return
	}
	c.readiness(ctx, p)
}

// startup asks the startup probe and reports whether the program has started.
func (c *container) startup(ctx context.Context, p process, sick chan<- fault) (started bool) {
	probe := c.probing("startup probe", c.Spec.StartupProbe, p)
	probe.eager = true
	c.waitsFor(probe)
	probe.run(ctx, func(a answer) bool {
		switch {
		case a.err == nil:
			started = true
			return false
		case a.decided:
			sick <- fault{reason: ReasonStartup, why: probe.text(a), grace: ownGrace(c.Spec.StartupProbe)}
			return false
		}
		c.set(func(s *ContainerStatus) { s.Message = probe.text(a) })
		return true
	})
	return started
}

// readiness asks the readiness probe until ctx ends.
func (c *container) readiness(ctx context.Context, p process) {
	probe := c.probing("readiness probe", c.Spec.ReadinessProbe, p)
	probe.eager = probe.success == 1
	c.waitsFor(probe)
	ready := false
	probe.run(ctx, func(a answer) bool {
		was := ready
		if a.decided {
			ready = a.err == nil
		}
		switch {
		case ready && !was:
			c.set(func(s *ContainerStatus) { s.Ready, s.Message = true, "" })
		case !ready:
			c.set(func(s *ContainerStatus) { s.Ready, s.Message = false, probe.text(a) })
		}
		return true
	})
}

// liveness asks the liveness probe until ctx ends or it has failed.
func (c *container) liveness(ctx context.Context, p process, sick chan<- fault) {
	probe := c.probing("liveness probe", c.Spec.LivenessProbe, p)
	probe.run(ctx, func(a answer) bool {
		if a.err == nil || !a.decided {
			return true
		}
		sick <- fault{reason: ReasonLiveness, why: probe.text(a), grace: ownGrace(c.Spec.LivenessProbe)}
		return false
	})
}

// waitsFor says that a probe has not been asked yet.
func (c *container) waitsFor(p probing) {
	text := "its " + p.what + " has not answered yet"
	if p.delay > 0 {
		text = fmt.Sprintf("its %s is first asked %s after the start", p.what, p.delay)
	}
	c.set(func(s *ContainerStatus) { s.Message = text })
}

func ownGrace(p *corev1.Probe) *time.Duration {
	if p.TerminationGracePeriodSeconds == nil {
		return nil
	}
	grace := time.Duration(*p.TerminationGracePeriodSeconds) * time.Second
	return &grace
}
