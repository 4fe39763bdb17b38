package gates_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// story answers the query q with one entry per look, the last one for ever.
func story(answers ...func() (gates.Reply, error)) fake {
	return fake{"q": func() (gates.Reply, error) {
		a := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		return a()
	}}
}

func times(n int, a func() (gates.Reply, error)) []func() (gates.Reply, error) {
	out := make([]func() (gates.Reply, error), n)
	for i := range out {
		out[i] = a
	}
	return out
}

func join(parts ...[]func() (gates.Reply, error)) []func() (gates.Reply, error) {
	var out []func() (gates.Reply, error)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var (
	away    = failing(gates.QueryError{Retryable: true, Err: errors.New("connection refused")})
	good    = vector(0)
	bad     = vector(5)
	nothing = vector()
)

// TestRun watches in virtual time: when it ends, after how many looks.
func TestRun(t *testing.T) {
	cases := []struct {
		name    string
		gate    string
		answers []func() (gates.Reply, error)
		fails   bool
		looks   int
		at      time.Duration // when it failed, or 10m
	}{
		{"all well", `{checks: [{query: q, max: 1}]}`, times(1, good), false, 20, 10 * time.Minute},
		{"fails at the third look", `{checks: [{query: q, max: 1}]}`, join(times(2, good), times(1, bad)), true, 3, time.Minute},
		{
			"one failure is allowed", `{checks: [{query: q, max: 1}], failuresAllowed: 1}`,
			join(times(1, bad), times(9, good), times(1, bad)), true, 11, 5 * time.Minute,
		},
		{"inconclusive does not end it", `{checks: [{query: q, max: 1}]}`, times(1, nothing), false, 20, 10 * time.Minute},
		{
			"metrics away for two minutes", `{checks: [{query: q, max: 1}]}`,
			join(times(1, good), times(4, away), times(1, good)), false, 20, 10 * time.Minute,
		},
		{"metrics away for five minutes", `{checks: [{query: q, max: 1}]}`, join(times(1, good), times(1, away)), true, 12, 5*time.Minute + 30*time.Second},
		{"metrics away, pause", `{checks: [{query: q, max: 1}], onMetricsUnavailable: pause}`, times(1, away), false, 20, 10 * time.Minute},
		{"warmup", `{checks: [{query: q, max: 1}], warmup: 2m}`, times(1, bad), true, 1, 2 * time.Minute},
		{"a faster interval", `{checks: [{query: q, max: 1}], every: 10s}`, times(1, good), false, 60, 10 * time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clock := pipeline.NewVirtualClock(second(100_000))
			began := clock.Now()
			w := gate(t, c.gate).Watch(gates.Providers{Metrics: story(c.answers...)}, gates.Target{Since: began})
			looks := 0
			err := clock.While(t.Context(),
				func(ctx context.Context) error { return w.Run(ctx, clock, func(pipeline.Verdict) { looks++ }) },
				func(ctx context.Context) error { return clock.Sleep(ctx, 10*time.Minute-time.Nanosecond) })
			if _, failed := errors.AsType[*gates.FailedError](err); failed != c.fails {
				t.Errorf("got %v, want failed %t", err, c.fails)
			}
			if looks != c.looks {
				t.Errorf("got %d looks, want %d", looks, c.looks)
			}
			if took := clock.Now().Sub(began).Round(time.Millisecond); took != c.at {
				t.Errorf("ended after %s, want %s", took, c.at)
			}
		})
	}
}

// TestSettle says what ends a step, and when. The track is an hour old but
// where the case says otherwise.
func TestSettle(t *testing.T) {
	cases := []struct {
		name    string
		gate    string
		age     time.Duration
		answers []func() (gates.Reply, error)
		want    pipeline.Outcome
		after   time.Duration
	}{
		{"pass", `{checks: [{query: q, max: 1}]}`, time.Hour, times(1, good), pipeline.Pass, 0},
		{"fail", `{checks: [{query: q, max: 1}]}`, time.Hour, times(1, bad), pipeline.Fail, 0},
		{"no data fails by default", `{checks: [{query: q, max: 1}]}`, time.Hour, times(1, nothing), pipeline.Inconclusive, 0},
		{"an allowed failure does not pass", `{checks: [{query: q, max: 1}], failuresAllowed: 3}`, time.Hour, times(1, bad), pipeline.Inconclusive, 0},
		{
			"extended until there is data", `{checks: [{query: q, max: 1}], onInconclusive: extend}`, time.Hour,
			join(times(4, nothing), times(1, good)), pipeline.Pass, 2 * time.Minute,
		},
		{
			"extended in vain", `{checks: [{query: q, max: 1}], onInconclusive: extend, maxExtend: 3m}`, time.Hour,
			times(1, nothing), pipeline.Inconclusive, 3 * time.Minute,
		},
		{
			"metrics come back", `{checks: [{query: q, max: 1}]}`, time.Hour,
			join(times(4, away), times(1, good)), pipeline.Pass, 2 * time.Minute,
		},
		{"metrics stay away", `{checks: [{query: q, max: 1}]}`, time.Hour, times(1, away), pipeline.Fail, 5 * time.Minute},
		{
			"time without metrics is not that of the extension", `{checks: [{query: q, max: 1}], onInconclusive: extend, maxExtend: 1m}`, time.Hour,
			join(times(4, away), times(2, nothing), times(1, good)), pipeline.Pass, 3 * time.Minute,
		},
		{
			"a young track is waited for", `{checks: [{query: q, max: 1}]}`, 5 * time.Second,
			join(times(3, nothing), times(1, good)), pipeline.Pass, 70 * time.Second,
		},
		{"and no longer than it is young", `{checks: [{query: q, max: 1}]}`, 5 * time.Second, times(1, nothing), pipeline.Inconclusive, 70 * time.Second},
		{"a young track that is well need not wait", `{checks: [{query: q, max: 1}]}`, 5 * time.Second, times(1, good), pipeline.Pass, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clock := pipeline.NewVirtualClock(second(100_000))
			began := clock.Now()
			w := gate(t, c.gate).Watch(gates.Providers{Metrics: story(c.answers...)}, gates.Target{Since: began.Add(-c.age)})
			v, err := w.Settle(t.Context(), clock, func(pipeline.Verdict) {})
			if err != nil {
				t.Fatal(err)
			}
			if v.Outcome != c.want {
				t.Errorf("got %s, want %s: %s", v.Outcome, c.want, v.Reason)
			}
			if took := clock.Now().Sub(began); took != c.after {
				t.Errorf("took %s, want %s", took, c.after)
			}
			if err := gates.Failed(v); (err == nil) != (c.want == pipeline.Pass) {
				t.Errorf("Failed gave %v for %s", err, v.Outcome)
			}
		})
	}
}

// TestSettleAfterAGoodLook: what is not known for a moment, after all was
// well, is looked at again for five scrapes.
func TestSettleAfterAGoodLook(t *testing.T) {
	cases := []struct {
		name    string
		answers []func() (gates.Reply, error)
		want    pipeline.Outcome
		after   time.Duration
	}{
		{"a late scrape", join(times(2, good), times(1, nothing), times(1, good)), pipeline.Pass, 30 * time.Second},
		{"no scrape any more", join(times(2, good), times(1, nothing)), pipeline.Inconclusive, 45 * time.Second},
		{"a failure at last", join(times(2, good), times(1, nothing), times(1, bad)), pipeline.Fail, 30 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clock := pipeline.NewVirtualClock(second(100_000))
			w := gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: story(c.answers...)}, gates.Target{Since: second(90_000)})
			for range 2 {
				w.Look(t.Context(), clock.Now())
				_ = clock.Sleep(t.Context(), 30*time.Second)
			}
			began := clock.Now()
			v, err := w.Settle(t.Context(), clock, func(pipeline.Verdict) {})
			if err != nil || v.Outcome != c.want {
				t.Errorf("got %s, %v, want %s: %s", v.Outcome, err, c.want, v.Reason)
			}
			if took := clock.Now().Sub(began); took != c.after {
				t.Errorf("took %s, want %s", took, c.after)
			}
		})
	}
}

// TestSettleAfterAChange: a pass must have seen what more traffic did.
func TestSettleAfterAChange(t *testing.T) {
	clock := pipeline.NewVirtualClock(second(100_000))
	w := gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: story(good, good, good, bad)}, gates.Target{Since: second(90_000)})
	settle := func() (pipeline.Outcome, time.Duration) {
		began := clock.Now()
		v, err := w.Settle(t.Context(), clock, func(pipeline.Verdict) {})
		if err != nil {
			t.Fatal(err)
		}
		return v.Outcome, clock.Now().Sub(began)
	}
	if got, took := settle(); got != pipeline.Pass || took != 0 {
		t.Errorf("got %s after %s, want a pass at once", got, took)
	}
	w.Changed()
	if ok, _ := w.Ready(); ok {
		t.Error("ready by a look from before the change")
	}
	if got, took := settle(); got != pipeline.Pass || took != 30*time.Second {
		t.Errorf("got %s after %s, want a pass after two scrapes", got, took)
	}
	w.Changed()
	if got, took := settle(); got != pipeline.Fail || took != 0 {
		t.Errorf("got %s after %s, want a failure at once", got, took)
	}
}

// TestReady: nothing advances but on a good look.
func TestReady(t *testing.T) {
	w := gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: story(good, away, nothing, good, bad)}, gates.Target{})
	if ok, reason := w.Ready(); ok || reason == "" {
		t.Errorf("got ready %t (%s) before the first look", ok, reason)
	}
	for i, want := range []bool{true, false, false, true, false} {
		w.Look(t.Context(), second(1000+30*i))
		if ok, reason := w.Ready(); ok != want {
			t.Errorf("look %d: got ready %t, want %t: %s", i+1, ok, want, reason)
		}
	}
}

// TestFinal uses a fresh good look again, and never an inconclusive one.
func TestFinal(t *testing.T) {
	w := gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: story(good, bad)}, gates.Target{})
	w.Look(t.Context(), second(1000))
	if v := w.Final(t.Context(), second(1005)); v.Outcome != pipeline.Pass {
		t.Errorf("got %s, want the look of 5 s ago", v.Outcome)
	}
	if v := w.Final(t.Context(), second(1008)); v.Outcome != pipeline.Fail {
		t.Errorf("got %s, want a new look", v.Outcome)
	}
	w = gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: story(nothing, good)}, gates.Target{})
	w.Look(t.Context(), second(1000))
	if v := w.Final(t.Context(), second(1001)); v.Outcome != pipeline.Pass {
		t.Errorf("got %s, want a new look", v.Outcome)
	}
}

// TestSettleIsCancelled: the cause of the context's end comes out.
func TestSettleIsCancelled(t *testing.T) {
	clock := pipeline.NewVirtualClock(second(100_000))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrCancelled)
	w := gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: story(good)}, gates.Target{})
	if _, err := w.Settle(ctx, clock, func(pipeline.Verdict) {}); !errors.Is(err, pipeline.ErrCancelled) {
		t.Errorf("got %v, want %v", err, pipeline.ErrCancelled)
	}
}
