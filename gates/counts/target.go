package counts

import (
	"slices"
	"time"
)

// target is a process that is scraped. Its counters begin again all at once,
// and one that was small may not be smaller at the next sample: four errors,
// a crash, and five errors look like one.
type target struct {
	lines []*line
	// restarts are the moments of the samples that first show one.
	restarts []time.Time
}

// aimed gives a line its target; none where labels do not tell.
func (c *Counter) aimed(l *line) {
	if c.s.Approximate || l.labels["pod"] == "" && l.labels["instance"] == "" {
		return
	}
	h := c.hash(l.labels, func(name string) bool {
		return !targetLabel(name) && name != "pod" && name != "namespace"
	})
	if c.targets[h] == nil {
		c.targets[h] = &target{}
		c.aims = append(c.aims, c.targets[h])
	}
	l.target = c.targets[h]
	l.target.lines = append(l.target.lines, l)
}

// restarted looks for restarts in the samples of a target. One is believed
// when the counters that fell held more than those that did not, so that a
// library which forgets a series makes no restart.
func (t *target) restarted() {
	if !slices.ContainsFunc(t.lines, (*line).falls) {
		return
	}
	var pairs []pair
	for _, l := range t.lines {
		before := l.mark
		for _, p := range l.points {
			if !isCount(p.Value) {
				continue
			}
			if before.seen {
				pairs = append(pairs, pair{before.at, p.Time, before.value, p.Value < before.value})
			}
			before = mark{at: p.Time, value: p.Value, seen: true}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return a.at.Compare(b.at) })
	for len(pairs) > 0 {
		at, n := pairs[0].at, 0
		var fell, held float64
		for ; n < len(pairs) && pairs[n].at.Equal(at); n++ {
			switch p := pairs[n]; {
			case t.between(p.before, at): // explained by a restart that is known
			case p.fell:
				fell += p.last
			default:
				held += p.last
			}
		}
		if fell > held {
			t.restarts = append(t.restarts, at)
		}
		pairs = pairs[n:]
	}
}

// pair is two samples of a series, one after the other.
type pair struct {
	before, at time.Time
	last       float64
	fell       bool
}

// between reports whether the target restarted after one sample and up to
// another.
func (t *target) between(after, at time.Time) bool {
	return t != nil && slices.ContainsFunc(t.restarts, func(r time.Time) bool { return r.After(after) && !r.After(at) })
}

// falls reports whether a sample of the line is below the one before.
func (l *line) falls() bool {
	last, seen := l.mark.value, l.mark.seen
	for _, p := range l.points {
		if !isCount(p.Value) {
			continue
		}
		if seen && p.Value < last {
			return true
		}
		last, seen = p.Value, true
	}
	return false
}
