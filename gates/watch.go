package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headgate-dev/headgate/pipeline"
)

// Target is what a watch looks at.
type Target struct {
	// Track is its name.
	Track string
	// Selector holds PromQL label matchers, comma-separated and without
	// braces, that select its metrics and no others.
	Selector string
	// Since is when it began to get traffic, by the run's clock. The zero
	// time means that all of the window may be looked at, as in a plan.
	Since time.Time
	// Window, when above 0, takes the place of the gate's own.
	Window time.Duration
}

// Watch is one use of a gate. It may be used by several goroutines.
type Watch struct {
	gate      *Gate
	providers Providers
	target    Target
	names     []string

	// looking lets one look be under way at a time; mu guards what follows.
	looking sync.Mutex
	mu      sync.Mutex
	// failures counts failing looks by check.
	failures []int
	// since when metrics have been unavailable, zero when they are not.
	unavailable time.Time
	last        pipeline.Verdict
	lastAt      time.Time
	looked      bool
	// wellAt is when the last look that passed was, zero before.
	wellAt time.Time
	// changes counts the calls of Changed, and seen those before the last
	// look; changedAt is when the first look after the last change was.
	changes, seen int
	changedAt     time.Time
	// offset is the metrics' clock minus the run's; known says if it is.
	offset time.Duration
	known  bool
}

// Watch begins to watch a target. Nothing is asked yet.
func (g *Gate) Watch(p Providers, t Target) *Watch {
	if p.HTTP == nil {
		p.HTTP = NewHTTPClient()
	}
	return &Watch{gate: g, providers: p, target: t, names: g.names(), failures: make([]int, len(g.Checks))}
}

// Gate returns the gate that is watched.
func (w *Watch) Gate() *Gate { return w.gate }

// atOnce is how many checks are asked at the same time.
const atOnce = 8

// courtesy is how long the other checks of a look may go on when one has
// failed for good. They are evidence then; the rollback must not wait.
const courtesy = time.Second

// patience bounds what a check of metrics may take in one look, all its
// queries and their tries together.
const patience = 35 * time.Second

var errLookOver = errors.New("another check failed")

// Look asks every check once and applies the policies. now is the run's time.
// When ctx ends meanwhile, the verdict is inconclusive and is not remembered.
func (w *Watch) Look(ctx context.Context, now time.Time) pipeline.Verdict {
	w.looking.Lock()
	defer w.looking.Unlock()
	w.mu.Lock()
	changes := w.changes
	w.mu.Unlock()
	answers := w.ask(ctx, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return pipeline.Verdict{Gate: w.gate.name, Reason: "the look was broken off: " + context.Cause(ctx).Error()}
	}
	v := w.conclude(answers, now)
	w.last, w.lastAt, w.looked = v, now, changes == w.changes
	if v.Outcome == pipeline.Pass {
		w.wellAt = now
	}
	if w.looked && w.seen != changes {
		w.seen, w.changedAt = changes, now
	}
	return v
}

// Changed tells that the target was changed, such as given more traffic: no
// look that began before says anything about it any more.
func (w *Watch) Changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes++
	w.looked = false
}

// ask gets the answers of all checks, in the order of the file.
func (w *Watch) ask(ctx context.Context, now time.Time) []answer {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	metrics, cancel := context.WithTimeoutCause(ctx, patience, errTooSlow)
	defer cancel()
	// The time is asked for beside the other checks, which need not wait for it.
	prepared := sync.OnceValues(func() (look, *answer) { return w.timed(metrics, now) })

	answers := make([]answer, len(w.gate.Checks))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, c := range w.gate.Checks {
		group.Go(func() error {
			asker, _ := c.kind()
			if !c.Metrics() {
				answers[i] = asker.ask(ctx, w.look(now))
			} else if l, bad := prepared(); bad != nil {
				answers[i] = *bad
			} else {
				answers[i] = asker.ask(metrics, l)
			}
			if w.decided(i, answers[i], now) {
				time.AfterFunc(courtesy, func() { stop(errLookOver) })
			}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	return answers
}

// look is what a look knows without asking the time.
func (w *Watch) look(now time.Time) look {
	l := look{
		providers: w.providers, gate: w.gate, track: w.target.Track, selector: w.target.Selector,
		at: now, window: w.gate.Window.Value,
	}
	if w.target.Window > 0 {
		l.window = w.target.Window
	}
	return l
}

// timed prepares a look on the metrics' clock. The second result is the
// answer for all checks of metrics when the provider does not tell the time.
func (w *Watch) timed(ctx context.Context, now time.Time) (look, *answer) {
	l := w.look(now)
	if err := w.learn(ctx, now); err != nil {
		a := answer{}.refused(err)
		switch {
		case errors.Is(context.Cause(ctx), errTooSlow):
			a = a.with(Unavailable, "no answer within "+span(patience))
		case ctx.Err() != nil:
			a = a.with(NotAsked, "not waited for: "+context.Cause(ctx).Error())
		default:
			a.result = Unavailable
		}
		return l, &a
	}
	w.mu.Lock()
	offset := w.offset
	w.mu.Unlock()
	l.at = now.Add(offset)
	if !w.target.Since.IsZero() {
		l.since = w.target.Since.Add(offset + w.gate.Warmup.Value)
		if l.since.After(l.at) {
			l.since = l.at
		}
		l.window = max(0, min(l.window, l.at.Sub(l.since)))
	}
	return l, nil
}

// learn asks how far the metrics' clock is from the run's. The time is told
// at some moment after now, so each offset is too large by that; the smallest
// one is the best.
func (w *Watch) learn(ctx context.Context, now time.Time) error {
	keeper, ok := w.providers.Metrics.(Timekeeper)
	if !ok {
		return nil
	}
	at, err := keeper.Time(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := at.Sub(now); !w.known || d < w.offset {
		w.offset, w.known = d, true
	}
	return nil
}

func (w *Watch) asksMetrics() bool {
	return slices.ContainsFunc(w.gate.Checks, (*Check).Metrics)
}

// young reports whether the track may not have been scraped yet, so that
// nothing can be concluded from there being no data.
func (w *Watch) young(now time.Time) bool {
	began := w.target.Since.Add(w.gate.Warmup.Value)
	return !w.target.Since.IsZero() && now.Sub(began) < 2*w.gate.ScrapeInterval.Value
}

// decided reports whether an answer fails the gate whatever the others say.
func (w *Watch) decided(i int, a answer, now time.Time) bool {
	if a.result.atOnce() {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.outcome(a.result, a.good, w.young(now)) == pipeline.Fail &&
		w.failures[i]+1 > w.gate.FailuresAllowed.Value
}

// conclude makes the verdict of a look and remembers what later ones need.
func (w *Watch) conclude(answers []answer, now time.Time) pipeline.Verdict {
	v := pipeline.Verdict{Gate: w.gate.name, Evidence: make([]pipeline.Measurement, len(answers))}
	var failed, tolerated, away, unsure []string
	for i, a := range answers {
		m := pipeline.Measurement{
			Check: w.names[i], Outcome: w.gate.outcome(a.result, a.good, w.young(now)), Result: string(a.result),
			Query: a.query, Value: a.value, Bound: a.bound, Max: a.max, Min: a.min, Unit: a.unit, Samples: a.samples, Reason: a.reason,
		}
		said := w.names[i] + ": " + a.reason
		switch {
		case m.Outcome == pipeline.Fail:
			w.failures[i]++
			allowed := w.gate.FailuresAllowed.Value
			if allowed > 0 && !a.result.atOnce() {
				m.Reason += fmt.Sprintf(" (failing look %d, %d allowed)", w.failures[i], allowed)
			}
			if a.result.atOnce() || w.failures[i] > allowed {
				failed = append(failed, w.names[i]+": "+m.Reason)
			} else {
				tolerated = append(tolerated, w.names[i]+": "+m.Reason)
			}
		case a.result.unavailable():
			away = append(away, said)
		case m.Outcome == pipeline.Inconclusive:
			unsure = append(unsure, said)
		}
		v.Evidence[i] = m
	}
	v.Outcome, v.Reason = w.sum(now, failed, tolerated, away, unsure)
	return v
}

// sum ranks what the checks said: a failure before metrics that are away,
// these before a failure that is allowed, that before what is not known.
func (w *Watch) sum(now time.Time, failed, tolerated, away, unsure []string) (pipeline.Outcome, string) {
	if len(away) == 0 {
		w.unavailable = time.Time{}
	} else if w.unavailable.IsZero() {
		w.unavailable = now
	}
	switch {
	case len(failed) > 0:
		return pipeline.Fail, strings.Join(failed, "; ")
	case len(away) > 0:
		gone := now.Sub(w.unavailable)
		if w.gate.OnMetricsUnavailable.Value != pause && gone >= w.gate.MetricsGrace.Value {
			return pipeline.Fail, fmt.Sprintf("metrics have been unavailable for %s, which is no longer borne: %s", span(gone), away[0])
		}
		return pipeline.Inconclusive, "metrics are unavailable: " + away[0]
	case len(tolerated) > 0:
		return pipeline.Inconclusive, strings.Join(tolerated, "; ")
	case len(unsure) > 0:
		return pipeline.Inconclusive, strings.Join(unsure, "; ")
	case len(w.names) == 0:
		return pipeline.Inconclusive, "the gate has no checks"
	case len(w.names) == 1:
		return pipeline.Pass, w.names[0] + " is well"
	}
	return pipeline.Pass, fmt.Sprintf("all %d checks are well", len(w.names))
}

// Ready reports whether the release may advance: whether the last look showed
// that all is well. Otherwise it says why not, in one sentence.
func (w *Watch) Ready() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.looked {
		return false, "the gate has not looked yet"
	}
	return w.last.Outcome == pipeline.Pass, w.last.Reason
}

// Last returns the verdict of the last look, and false when there was none.
func (w *Watch) Last() (pipeline.Verdict, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last, w.looked
}
