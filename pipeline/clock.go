package pipeline

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock is the run's time. Stages and gates know no other, so that a whole
// pipeline can be run in virtual time.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends, whose cause it then returns.
	Sleep(ctx context.Context, d time.Duration) error
	// While runs watch beside do. When do returns, watch's context ends; when
	// watch returns an error, do's context ends with it as the cause. While
	// returns when both have ended: watch's error if it had one before do
	// ended, else do's.
	While(ctx context.Context, watch, do func(ctx context.Context) error) error
}

// RealClock is the time of the world.
type RealClock struct{}

// Now returns the present time in UTC.
func (RealClock) Now() time.Time { return time.Now().UTC() }

// Sleep waits in real time.
func (RealClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// While implements [Clock].
func (RealClock) While(ctx context.Context, watch, do func(ctx context.Context) error) error {
	none := func() {}
	return while(ctx, watch, do, census{enter: none, leave: none})
}

// census counts the goroutines that are awake: enter before one starts or
// goes on, leave after its last act or before it waits for another.
type census struct{ enter, leave func() }

// while is what both clocks share.
func while(ctx context.Context, watch, do func(ctx context.Context) error, count census) error {
	doCtx, stopDo := context.WithCancelCause(ctx)
	defer stopDo(nil)
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()

	var wg sync.WaitGroup
	var mu sync.Mutex
	var doEnded bool
	var watchErr error
	count.enter()
	wg.Go(func() {
		defer count.leave() // after stopDo, or time would pass before do has heard
		err := guarded("watch", func() error { return watch(watchCtx) })
		mu.Lock()
		defer mu.Unlock()
		if err != nil && !doEnded {
			watchErr = err
			stopDo(err)
		}
	})
	doErr := do(doCtx)
	mu.Lock()
	doEnded = true
	mu.Unlock()
	stopWatch()
	count.leave()
	wg.Wait()
	count.enter()
	if watchErr != nil {
		return watchErr
	}
	return doErr
}

// VirtualClock is a time that passes only while everybody sleeps, and then at
// once. All goroutines that take part must be started by [VirtualClock.While].
type VirtualClock struct {
	mu       sync.Mutex
	now      time.Time
	awake    int
	sleepers []*sleeper
	timers   []*virtualTimer
}

// virtualTimer ends a context at a time.
type virtualTimer struct {
	at  time.Time
	end func()
}

type sleeper struct {
	at   time.Time
	ctx  context.Context //nolint:containedctx // to see whether it is about to wake by itself
	wake chan struct{}
}

// NewVirtualClock returns a clock that begins at start, with the caller as
// its one goroutine.
func NewVirtualClock(start time.Time) *VirtualClock {
	return &VirtualClock{now: start, awake: 1}
}

// Now returns the virtual time.
func (c *VirtualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep implements [Clock].
func (c *VirtualClock) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	if d <= 0 {
		c.mu.Unlock()
		return nil
	}
	me := &sleeper{at: c.now.Add(d), ctx: ctx, wake: make(chan struct{})}
	c.sleepers = append(c.sleepers, me)
	c.awake--
	c.advance()
	c.mu.Unlock()

	select {
	case <-me.wake: // whoever woke us has counted us in
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.sleepers {
		if s == me {
			c.sleepers = append(c.sleepers[:i], c.sleepers[i+1:]...)
			c.awake++
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx) // woken in the same moment, and counted in
}

// WithTimeout is context.WithTimeoutCause in the clock's time.
func (c *VirtualClock) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &virtualTimer{at: c.now.Add(d), end: func() { stop(cause) }}
	c.timers = append(c.timers, t)
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(other *virtualTimer) bool { return other == t })
		stop(nil)
	}
}

// expire ends the context whose time comes first, if that is before at, and
// reports whether there was one.
func (c *VirtualClock) expire(at time.Time) bool {
	var first *virtualTimer
	for _, t := range c.timers {
		if t.at.Before(at) && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	if first == nil {
		return false
	}
	if first.at.After(c.now) {
		c.now = first.at
	}
	c.timers = slices.DeleteFunc(c.timers, func(t *virtualTimer) bool { return t == first })
	first.end()
	return true
}

// advance moves time to the earliest sleeper when nobody is awake. A sleeper
// whose context has ended is as good as awake.
func (c *VirtualClock) advance() {
	if c.awake > 0 || len(c.sleepers) == 0 {
		return
	}
	first := 0
	for i, s := range c.sleepers {
		if s.ctx.Err() != nil {
			return
		}
		if s.at.Before(c.sleepers[first].at) {
			first = i
		}
	}
	s := c.sleepers[first]
	if c.expire(s.at) {
		c.advance()
		return
	}
	c.sleepers = append(c.sleepers[:first], c.sleepers[first+1:]...)
	if s.at.After(c.now) {
		c.now = s.at
	}
	c.awake++
	close(s.wake)
}

// While implements [Clock].
func (c *VirtualClock) While(ctx context.Context, watch, do func(ctx context.Context) error) error {
	return while(ctx, watch, do, census{
		enter: func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.awake++
		},
		leave: func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.awake--
			c.advance()
		},
	})
}
