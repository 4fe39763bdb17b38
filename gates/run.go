package gates

import (
	"context"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// FailedError reports that a gate failed.
type FailedError struct {
	Verdict pipeline.Verdict
}

// Error names the gate and says why it failed.
func (e *FailedError) Error() string {
	if e.Verdict.Outcome == pipeline.Inconclusive {
		return "gate " + e.Verdict.Gate + " was inconclusive, which does not pass: " + e.Verdict.Reason
	}
	return "gate " + e.Verdict.Gate + " failed: " + e.Verdict.Reason
}

// Failed returns the error for a verdict that stops a release, nil for one
// that passed.
func Failed(v pipeline.Verdict) error {
	if v.Outcome == pipeline.Pass {
		return nil
	}
	return &FailedError{Verdict: v}
}

// Run looks at once when the warmup is over, then at every interval, and
// gives each verdict to emit. It returns nil when ctx ends and a
// [*FailedError] as soon as the gate fails; an inconclusive look only keeps
// [Watch.Ready] from being true.
func (w *Watch) Run(ctx context.Context, clock pipeline.Clock, emit func(pipeline.Verdict)) error {
	if err := w.warm(ctx, clock); err != nil {
		return nil //nolint:nilerr // ctx has ended, which is how a watch ends
	}
	for {
		began := clock.Now()
		v := w.Look(ctx, began)
		if ctx.Err() != nil {
			return nil
		}
		emit(v)
		if v.Outcome == pipeline.Fail {
			return &FailedError{Verdict: v}
		}
		if err := clock.Sleep(ctx, w.rest(began, clock.Now())); err != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

// rest is the time to the next look; a look that took longer than an interval
// is followed at once, but never by a loop without any rest.
func (w *Watch) rest(began, now time.Time) time.Duration {
	every := w.gate.Every.Value
	return max(every-now.Sub(began), every/10)
}

// warm waits for the end of the warmup.
func (w *Watch) warm(ctx context.Context, clock pipeline.Clock) error {
	if w.target.Since.IsZero() {
		return nil
	}
	left := w.target.Since.Add(w.gate.Warmup.Value).Sub(clock.Now())
	if left <= 0 {
		return nil
	}
	return clock.Sleep(ctx, left)
}

// Final is the verdict at the end of a step or a stage: that of a look now,
// or of the last one when that was conclusive and is younger than a quarter of
// the interval.
// Pass means that every check was seen to be well, with enough samples.
func (w *Watch) Final(ctx context.Context, now time.Time) pipeline.Verdict {
	v, _ := w.final(ctx, now)
	return v
}

// final also reports whether it looked.
func (w *Watch) final(ctx context.Context, now time.Time) (pipeline.Verdict, bool) {
	w.mu.Lock()
	last, fresh := w.last, w.looked && now.Sub(w.lastAt) < w.gate.Every.Value/4 && w.last.Outcome != pipeline.Inconclusive
	w.mu.Unlock()
	if fresh {
		return last, false
	}
	return w.Look(ctx, now), true
}

// Settle waits for the verdict that ends a step or a stage. It returns as
// soon as there is a pass or a failure. Where the last look is inconclusive,
// it depends on why:
//
//   - the track is young, or a look was good a moment ago: it goes on looking
//     for the length of five scrapes since, so that neither the first seconds
//     nor a late scrape decide;
//   - metrics are unavailable: it goes on looking, until they are back or
//     onMetricsUnavailable makes it a failure;
//   - all else: with onInconclusive: fail the inconclusive verdict is
//     returned, with extend it goes on looking for maxExtend first.
//
// An inconclusive verdict does not pass; [Failed] makes an error of it. When
// ctx ends, Settle returns the cause.
func (w *Watch) Settle(ctx context.Context, clock pipeline.Clock, emit func(pipeline.Verdict)) (pipeline.Verdict, error) {
	if err := w.warm(ctx, clock); err != nil {
		return pipeline.Verdict{Gate: w.gate.name}, err
	}
	var unsure time.Duration
	for {
		began := clock.Now()
		v, looked := w.final(ctx, began)
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		if looked {
			emit(v)
		}
		rest := w.rest(began, clock.Now())
		grows := w.ripe().Sub(clock.Now())
		if grows > 0 {
			rest = min(rest, grows)
		}
		if v.Outcome == pipeline.Pass {
			if rest = w.unseen(clock.Now()); rest <= 0 {
				return v, nil
			}
			grows = rest
		}
		if v.Outcome == pipeline.Fail || v.Outcome == pipeline.Inconclusive && grows <= 0 && !w.goOn(unsure) {
			return v, nil
		}
		away := w.away()
		if err := clock.Sleep(ctx, rest); err != nil {
			return v, err
		}
		if !away && grows <= 0 {
			unsure += clock.Now().Sub(began)
		}
	}
}

// scrapesAfterChange is how many scrapes a pass must have seen of what a
// change of traffic did.
const scrapesAfterChange = 2

// unseen is how long it is until what the last change did can be seen in the
// metrics. It also makes the next look a new one.
func (w *Watch) unseen(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changedAt.IsZero() || !w.asksMetrics() {
		return 0
	}
	left := w.changedAt.Add(scrapesAfterChange * w.gate.ScrapeInterval.Value).Sub(now)
	if left > 0 {
		w.looked = false
	}
	return left
}

// scrapesToJudge is for how many scrapes nothing must have been known of a
// track before that says something: the four of a window, and one for the
// answer to arrive.
const scrapesToJudge = scrapesPerWindow + 1

// ripe is when it begins to say something that a look is inconclusive.
func (w *Watch) ripe() time.Time {
	w.mu.Lock()
	known := w.wellAt
	w.mu.Unlock()
	if w.target.Since.After(known) {
		known = w.target.Since.Add(w.gate.Warmup.Value)
	}
	if known.IsZero() {
		return known
	}
	return known.Add(scrapesToJudge * w.gate.ScrapeInterval.Value)
}

// away reports whether the last look was without metrics.
func (w *Watch) away() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.unavailable.IsZero()
}

// goOn reports whether an inconclusive verdict is to be waited out, when so
// long a time has been spent on others.
func (w *Watch) goOn(unsure time.Duration) bool {
	if w.away() {
		return true
	}
	return w.gate.OnInconclusive.Value == extend && unsure < w.gate.MaxExtend.Value
}
