package gatebench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Verdict is what a rule or a gate made of one rollout.
type Verdict struct {
	Ruling
	// Passed is whether it said that the release is well; a rule without such
	// a verdict passes all that it does not roll back.
	Passed bool
}

// Tally is what became of all rollouts of a scenario.
type Tally struct {
	Runs, RolledBack, Passed int
	times                    []time.Duration
}

func (t *Tally) add(v Verdict) {
	t.Runs++
	if v.Passed {
		t.Passed++
	}
	if v.RolledBack {
		t.RolledBack++
		t.times = append(t.times, v.At)
	}
}

func (t *Tally) merge(o Tally) {
	t.Runs += o.Runs
	t.RolledBack += o.RolledBack
	t.Passed += o.Passed
	t.times = append(t.times, o.times...)
}

// Share is the part that was rolled back.
func (t Tally) Share() float64 { return float64(t.RolledBack) / float64(t.Runs) }

// Median is the time by which half of all rollouts had been rolled back; ok is
// false when fewer ever were.
func (t Tally) Median() (at time.Duration, ok bool) {
	n := (t.Runs - 1) / 2
	if len(t.times) <= n {
		return 0, false
	}
	return slices.Sorted(slices.Values(t.times))[n], true
}

// String is for tables: the share in percent, and the median where there is
// one.
func (t Tally) String() string {
	switch at, ok := t.Median(); {
	case t.Runs == 0:
		return "-"
	case t.RolledBack == 0:
		return "0"
	case ok:
		return fmt.Sprintf("%s / %s", percent(t.Share()), at)
	}
	return percent(t.Share())
}

func percent(share float64) string {
	switch p := share * 100; {
	case share == 1, share == 0:
		return fmt.Sprintf("%.0f %%", p)
	case p < 10:
		return fmt.Sprintf("%.2f %%", p)
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// Want is a goal for a tally.
type Want struct {
	// Text says what is wanted.
	Text string
	// miss is by how much the goal is missed, at most 0 when it is met, and
	// got what there was.
	miss func(Tally) (miss float64, got string)
}

// AtMost wants no more false rollbacks than a share, with three standard
// errors for the number of runs.
func AtMost(share float64) Want {
	return Want{fmt.Sprintf("at most %s rolled back", percent(share)), func(t Tally) (float64, string) {
		limit := share + 3*math.Sqrt(share*(1-share)/float64(t.Runs))
		return t.Share() - limit, fmt.Sprintf("%s (%s with three standard errors)", percent(t.Share()), percent(limit))
	}}
}

// AtLeast wants a share to be rolled back.
func AtLeast(share float64) Want {
	return Want{fmt.Sprintf("at least %s rolled back", percent(share)), func(t Tally) (float64, string) {
		return share - t.Share(), percent(t.Share())
	}}
}

// Within wants half of all rollouts to be rolled back by a time after a
// moment, which is 0 but for what begins late.
func Within(limit, after time.Duration) Want {
	text := fmt.Sprintf("median at most %s", limit)
	if after > 0 {
		text += " after it began"
	}
	return Want{text, func(t Tally) (float64, string) {
		at, ok := t.Median()
		if !ok {
			return math.Inf(1), "none"
		}
		return float64(at - after - limit), (at - after).String()
	}}
}

// NeverPassed wants no rollout to pass.
func NeverPassed() Want {
	return Want{"none passed", func(t Tally) (float64, string) {
		return float64(t.Passed), fmt.Sprintf("%d of %d", t.Passed, t.Runs)
	}}
}

// PassedAtLeast wants a share to pass.
func PassedAtLeast(share float64) Want {
	return Want{fmt.Sprintf("at least %s passed", percent(share)), func(t Tally) (float64, string) {
		p := float64(t.Passed) / float64(t.Runs)
		return share - p, percent(p)
	}}
}
