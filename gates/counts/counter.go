package counts

import (
	"fmt"
	"hash/maphash"
	"time"
)

// Counter counts look after look. It keeps where each series stood, so that a
// look costs what is new and nothing for the time before. It is not safe for
// use by several goroutines.
type Counter struct {
	s      Settings
	cells  int
	next   int
	anchor time.Time

	seed   maphash.Seed
	lines  map[uint64][]*line
	order  []*line
	groups map[uint64][]*group
	// multi are the groups of more than one line.
	multi []*group
	// targets are the processes, aims the same in the order they were found.
	targets map[uint64]*target
	aims    []*target
	tracks  [trackCount]trackState
	// told is what all looks together have told of each track, paired what
	// pairs have, and pairs how many looks the next pair is long.
	told   [trackCount]Tally
	paired [trackCount]Tally
	pairs  int
}

const trackCount = int(Stable) + 1

// trackState is what is known of a track.
type trackState struct {
	// first and newest are the moments of its first and newest sample.
	first, newest time.Time
	// lines counts the series of each cell.
	lines []int
}

// New begins to count. Settings without Track count nothing.
func New(s Settings) *Counter {
	c := &Counter{
		s: s, cells: 2, next: 1, anchor: s.Begin,
		seed: maphash.MakeSeed(), lines: map[uint64][]*line{}, groups: map[uint64][]*group{},
		targets: map[uint64]*target{},
	}
	if n := len(s.Bounds); n > 0 {
		c.cells = n + 1
	}
	for i := range c.told {
		c.tracks[i].lines = make([]int, c.cells)
		c.told[i].Bad = make([]int64, max(1, len(s.Bounds)))
		c.paired[i].Bad = make([]int64, max(1, len(s.Bounds)))
	}
	return c
}

// Next is the number of the look that comes next.
func (c *Counter) Next() int { return c.next }

// lookback is how far before the beginning the base of a series is looked
// for: as long as Prometheus itself takes a series without new samples to be
// there.
const lookback = 5 * time.Minute

// Since returns the moment after which samples must be fetched for the next
// look. All up to it is counted.
func (c *Counter) Since() time.Time {
	if c.next == 1 {
		return c.s.Begin.Add(-lookback)
	}
	return c.anchor
}

// Add takes the looks up to and including number upto from samples that reach
// from [Counter.Since] to the moment of that look. A look that could not be
// taken in its time, since there was no answer, is taken here as if nothing
// had been: samples tell when things happened, whenever they are read.
func (c *Counter) Add(series []Series, upto int) []Look {
	if upto < c.next {
		return nil
	}
	b := c.read(series, upto)
	looks := make([]Look, 0, upto-c.next+1)
	for k := c.next; k <= upto; k++ {
		looks = append(looks, c.look(k, b))
	}
	c.next = upto + 1
	return looks
}

// Miss returns the look that comes next as one that got no answer, for the
// record. It changes nothing: the look can still be taken by [Counter.Add].
func (c *Counter) Miss(o Outcome, retryable bool, reason string) Look {
	arm := Arm{Outcome: o, Reason: reason}
	return Look{
		K: c.next, At: c.s.At(c.next), Outcome: o, Reason: reason, Retryable: retryable,
		Canary: arm, Stable: arm, Approximate: c.s.Approximate,
	}
}

// look tells what happened in look k.
func (c *Counter) look(k int, b *batch) Look {
	l := Look{K: k, At: c.s.At(k), Approximate: c.s.Approximate}
	l.Canary = c.arm(Canary, k, b)
	c.pairs++
	if !c.s.Compare {
		l.Outcome, l.Reason = l.Canary.Outcome, l.Canary.Reason
	} else {
		l.Stable = c.arm(Stable, k, b)
		l.Outcome, l.Reason = both(l.Canary, l.Stable)
	}
	if l.Outcome.fresh() {
		l.Pair = Pair{Canary: c.pay(Canary), Looks: c.pairs}
		if c.s.Compare {
			l.Pair.Stable = c.pay(Stable)
		}
		c.pairs = 0
	}
	return l
}

// both is the outcome of two tracks together: the worse one.
func both(canary, stable Arm) (Outcome, string) {
	if canary.Outcome == OK || canary.Outcome.fresh() && !stable.Outcome.fresh() {
		return stable.Outcome, stable.Reason
	}
	return canary.Outcome, canary.Reason
}

// arm tells what a track counted since the look before.
func (c *Counter) arm(t Track, k int, b *batch) Arm {
	i := k - c.next
	now := b.total(t, i)
	told := &c.told[t]
	a := Arm{
		Tally: grown(told, now), Resets: b.resets[t][i], Newborn: b.newborn[t][i], Twins: c.twins(t),
	}
	a.Outcome, a.Reason = c.outcome(t, k, b, a)
	return a
}

// grown returns by how much a tally grew beyond what was told, and notes it as
// told. Late samples can show that less happened than was told; that is made
// up for by what comes next.
func grown(told *Tally, now Tally) Tally {
	out := Tally{Requests: max(0, now.Requests-told.Requests), Bad: make([]int64, len(now.Bad))}
	for j, bad := range now.Bad {
		out.Bad[j] = min(max(0, bad-told.Bad[j]), out.Requests)
		told.Bad[j] += out.Bad[j]
	}
	told.Requests += out.Requests
	return out
}

// pay gives to a pair what looks told of a track since the last one.
func (c *Counter) pay(t Track) Tally { return grown(&c.paired[t], c.told[t]) }

// outcome says what a look of a track is worth.
func (c *Counter) outcome(t Track, k int, b *batch, a Arm) (Outcome, string) {
	at, st := c.s.At(k), c.tracks[t]
	newest := b.newest[t][k-c.next]
	switch {
	case st.first.IsZero() || st.first.After(at):
		return NoSeries, "no series of " + t.String() + " matches"
	case newest.Before(at.Add(-2 * c.s.Scrape)):
		return Stale, fmt.Sprintf("the newest sample of %s is %s old", t, at.Sub(newest).Round(time.Second))
	case b.strange[t][k-c.next]:
		return NonFinite, "a sample of " + t.String() + " is no count"
	case c.uneven(t):
		return Layouts, "the histograms of " + t.String() + " do not all have the bounds that are asked for"
	case a.Twins > 0 && !c.s.OneOfTwins:
		return MultiSeries, c.twinReason(t)
	case !newest.After(c.s.At(k - 1)):
		return Missed, t.String() + " has no sample since the look before"
	case a.Requests == 0:
		return NoTraffic, t.String() + " got no request"
	}
	return OK, ""
}

// uneven reports whether some histograms of a track lack bounds that others
// have.
func (c *Counter) uneven(t Track) bool {
	if len(c.s.Bounds) == 0 {
		return false
	}
	lines := c.tracks[t].lines
	for _, n := range lines {
		if n != lines[0] {
			return true
		}
	}
	return false
}
