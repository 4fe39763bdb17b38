package pods

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// How often a program that is about to start is asked beside the times that
// its probe names, so that its start is noticed soon.
const (
	eagerFirst = 50 * time.Millisecond
	eagerMost  = time.Second
)

// probing asks a probe over and over.
type probing struct {
	what                   string // "readiness probe"
	delay, period, timeout time.Duration
	success, failure       int
	ask                    action
	// eager has it asked more often until it says yes for the first time. A
	// no to that does not count.
	eager bool
}

// action asks once; nil is yes.
type action func(ctx context.Context) error

// answer is an answer and what it decides.
type answer struct {
	err error
	// times is how often in a row it was yes, or no; decided, that this is
	// enough.
	times   int
	decided bool
}

// probing reads a container's probe, with Kubernetes' defaults.
func (c *container) probing(what string, p *corev1.Probe, running process) probing {
	seconds := func(n, otherwise int32) time.Duration { return time.Duration(cmp.Or(n, otherwise)) * time.Second }
	return probing{
		what: what, delay: seconds(p.InitialDelaySeconds, 0),
		period: seconds(p.PeriodSeconds, 10), timeout: seconds(p.TimeoutSeconds, 1),
		success: int(cmp.Or(p.SuccessThreshold, 1)), failure: int(cmp.Or(p.FailureThreshold, 3)),
		ask: c.action(p.ProbeHandler, running),
	}
}

// run asks until ctx ends or told, which gets every answer that counts,
// returns false.
func (p probing) run(ctx context.Context, told func(answer) bool) {
	next := time.Now().Add(p.delay)
	var a answer
	for {
		soon := false
		if p.eager && a.times > 0 {
			soon = p.between(ctx, next)
		} else {
			waitUntil(ctx, next)
		}
		if ctx.Err() != nil {
			return
		}
		var err error
		if !soon {
			err = p.once(ctx, p.timeout)
			if ctx.Err() != nil {
				return
			}
			for now := time.Now(); !next.After(now); {
				next = next.Add(p.period) // what is late does not come twice
			}
		}
		if a.times > 0 && (a.err == nil) == (err == nil) {
			a.times++
		} else {
			a.times = 1
		}
		a.err = err
		a.decided = err == nil && a.times >= p.success || err != nil && a.times >= p.failure
		p.eager = p.eager && err != nil
		if !told(a) {
			return
		}
	}
}

// between asks now and then until the next time, and reports whether the
// answer was yes.
func (p probing) between(ctx context.Context, next time.Time) bool {
	for pause := eagerFirst; time.Until(next) > pause; pause = min(2*pause, eagerMost) {
		waitUntil(ctx, time.Now().Add(pause))
		if ctx.Err() != nil {
			return false
		}
		if left := time.Until(next); left > 0 && p.once(ctx, min(p.timeout, left)) == nil {
			return true
		}
	}
	waitUntil(ctx, next)
	return false
}

// once asks once, with a limit.
func (p probing) once(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	err := p.ask(ctx)
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// text says what a failure is, for people.
func (p probing) text(a answer) string {
	if a.err == nil {
		return fmt.Sprintf("its %s has succeeded %d of %d times", p.what, a.times, p.success)
	}
	return fmt.Sprintf("its %s fails, %d of %d times: %v", p.what, min(a.times, p.failure), p.failure, a.err)
}

// waitUntil waits for a moment or the end of ctx.
func waitUntil(ctx context.Context, t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
