package pods

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// postStart runs the hook of a program that has just started. It has no limit
// of its own, as in Kubernetes: it ends with the program.
func (c *container) postStart(ctx context.Context, p process) error {
	if c.Spec.Lifecycle == nil || c.Spec.Lifecycle.PostStart == nil {
		return nil
	}
	c.set(func(s *ContainerStatus) { s.Message = "its postStart hook has not ended yet" })
	return c.hook(ctx, p, c.Spec.Lifecycle.PostStart)
}

// preStop runs the hook of a program that is about to be ended, for as long as
// there is grace.
func (c *container) preStop(p process, grace time.Duration) {
	if c.Spec.Lifecycle == nil || c.Spec.Lifecycle.PreStop == nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(c.pod.killed, grace, errors.New("the grace period is over"))
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-p.Ended():
			cancel()
		case <-ctx.Done():
		}
	}()
	// One that fails keeps nobody from ending.
	if err := c.hook(ctx, p, c.Spec.Lifecycle.PreStop); err != nil && !isClosed(p.Ended()) {
		c.log.note("preStop hook failed: " + err.Error())
	}
}

func (c *container) hook(ctx context.Context, p process, h *corev1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		return c.execute(ctx, p, h.Exec.Command)
	case h.HTTPGet != nil:
		return c.get(ctx, h.HTTPGet)
	case h.Sleep != nil:
		waitUntil(ctx, time.Now().Add(time.Duration(h.Sleep.Seconds)*time.Second))
		if ctx.Err() != nil {
			return fmt.Errorf("sleep: %w", context.Cause(ctx))
		}
	}
	return nil
}
