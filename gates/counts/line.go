package counts

import (
	"hash/maphash"
	"maps"
	"math"
	"strconv"
	"time"
)

// line is a series as far as it was counted.
type line struct {
	labels map[string]string
	track  Track
	cell   int
	mark   mark
	group  *group
	target *target
	// points are those of the batch that is being read.
	points []Point
	// first and last are its first and last sample, and grew says whether it
	// counted anything between them.
	first, last time.Time
	grew        bool
}

// mark is a place in a counter.
type mark struct {
	at time.Time
	// value is that of the last sample, sum what was counted up to it.
	value, sum float64
	seen       bool
}

// step is what one sample shows.
type step struct {
	by             float64
	reset, newborn bool
}

// step moves the mark on to a sample of a line.
func (c *Counter) step(m *mark, l *line, p Point) step {
	var s step
	switch t := l.track; {
	case !p.Time.After(c.s.Begin): // a base
	case !m.seen:
		if s.newborn = c.newborn(t, p.Time); s.newborn {
			s.by = p.Value
		}
	case p.Value >= m.value && !l.restarted(m.at, p.Time):
		s.by = p.Value - m.value
	case c.s.Approximate && p.Value > m.value/2:
		// A sum shrinks by less when one of its series ends than when all
		// begin again.
	default:
		s.reset, s.by = true, p.Value
	}
	m.at, m.value, m.seen = p.Time, p.Value, true
	m.sum += s.by
	return s
}

// restarted reports whether the process of a line began again between two
// samples, as its other counters show. Twins are of two scrapes, each of which
// would show it.
func (l *line) restarted(after, at time.Time) bool {
	return (l.group == nil || !l.group.one()) && l.target.between(after, at)
}

// newborn reports whether a series that was first seen at a moment after the
// beginning counts from zero: it is the canary's, which has not been there for
// longer, or its track was being scraped before.
func (c *Counter) newborn(t Track, at time.Time) bool {
	if t == Canary && !c.s.Started.IsZero() {
		return true
	}
	first := c.tracks[t].first
	return !first.After(c.s.Begin) || at.Sub(first) >= c.s.Scrape*9/10
}

// read counts a batch of samples.
func (c *Counter) read(series []Series, upto int) *batch {
	b := newBatch(c.s, c.next, upto, c.cells)
	end := b.moments[len(b.moments)-1]
	for _, s := range series {
		c.take(s, end)
	}
	c.part()
	for _, t := range c.aims {
		t.restarted()
	}
	anchor := end.Add(-2 * c.s.Scrape)
	if anchor.Before(c.anchor) {
		anchor = c.anchor
	}
	for _, l := range c.order {
		if l.group == nil || !l.group.one() {
			b.sums[l.track][0][l.cell] += l.mark.sum
		} else if l == l.group.lines[0] {
			b.sums[l.track][0][l.cell] += l.group.mark.sum
		}
	}
	newest := [trackCount]time.Time{}
	for t := range trackCount {
		newest[t] = c.tracks[t].newest
	}
	for _, g := range c.multi {
		if g.one() { // before its lines are, whose marks it needs as they were
			c.countOne(g, b, anchor)
		}
	}
	for _, l := range c.order {
		c.count(l, b, anchor)
	}
	b.close(newest)
	for t := range trackCount {
		c.tracks[t].newest = b.newest[t][len(b.moments)-1]
	}
	for _, l := range c.order {
		l.points = nil
	}
	c.anchor = anchor
	return b
}

// take finds the line of a series, and gives it those of the points that are
// to be read.
func (c *Counter) take(s Series, end time.Time) {
	for len(s.Points) > 0 && s.Points[len(s.Points)-1].Time.After(end) {
		s.Points = s.Points[:len(s.Points)-1]
	}
	if len(s.Points) == 0 {
		return
	}
	l := c.line(s.Labels)
	if l == nil {
		return
	}
	for l.mark.seen && len(s.Points) > 0 && !s.Points[0].Time.After(l.mark.at) {
		s.Points = s.Points[1:]
	}
	l.points = s.Points
	if len(s.Points) == 0 {
		return
	}
	first := s.Points[0].Time
	if st := &c.tracks[l.track]; st.first.IsZero() || first.Before(st.first) {
		st.first = first
	}
	if l.first.IsZero() {
		l.first = first
	}
	l.last = s.Points[len(s.Points)-1].Time
}

// count reads the points of a line. What a line shows that is one of twins is
// counted with its group.
func (c *Counter) count(l *line, b *batch, anchor time.Time) {
	alone := l.group == nil || !l.group.one()
	m := l.mark
	for _, p := range l.points {
		i := b.slot(p.Time)
		if p.Time.After(b.newest[l.track][i]) {
			b.newest[l.track][i] = p.Time
		}
		if !isCount(p.Value) {
			b.strange[l.track][i] = b.strange[l.track][i] || p.Time.After(b.from)
			continue
		}
		s := c.step(&m, l, p)
		l.grew = l.grew || s.by > 0 && !s.newborn
		if alone {
			b.note(l, p.Time, s)
		}
		if !p.Time.After(anchor) {
			l.mark = m
		}
	}
}

// note adds what a sample shows to a look. What samples of the looks before
// show, read again or late, is in the sums of the first look.
func (b *batch) note(l *line, at time.Time, s step) {
	i := b.slot(at)
	b.sums[l.track][i][l.cell] += s.by
	if !at.After(b.from) {
		return
	}
	if s.reset {
		b.resets[l.track][i]++
	}
	if s.newborn {
		b.newborn[l.track][i]++
	}
}

// line returns the line of a series, nil for those that are not counted.
func (c *Counter) line(labels map[string]string) *line {
	h := c.hash(labels, nil)
	for _, l := range c.lines[h] {
		if maps.Equal(l.labels, labels) {
			return known(l)
		}
	}
	l := &line{labels: labels, cell: -1}
	c.lines[h] = append(c.lines[h], l)
	if c.s.Track == nil {
		return nil
	}
	if l.track = c.s.Track(labels); l.track == Other || l.track == Stable && !c.s.Compare {
		return nil
	}
	if l.cell = c.cell(labels); l.cell < 0 {
		return nil
	}
	c.order = append(c.order, l)
	c.tracks[l.track].lines[l.cell]++
	c.join(l)
	c.aimed(l)
	return l
}

func known(l *line) *line {
	if l.cell < 0 {
		return nil
	}
	return l
}

// cell says which number a series adds to: requests that were well and bad
// ones, or one for each bound and one for all; -1 for none.
func (c *Counter) cell(labels map[string]string) int {
	if len(c.s.Bounds) == 0 {
		if c.s.Bad != nil && c.s.Bad(labels) {
			return 1
		}
		return 0
	}
	le, err := strconv.ParseFloat(labels[bucketLabel], 64)
	switch {
	case err != nil:
		return -1
	case math.IsInf(le, 1):
		return len(c.s.Bounds)
	}
	for j, bound := range c.s.Bounds {
		if sameBound(le, bound) {
			return j
		}
	}
	return -1
}

// hash is the same for equal labels in any order, leaving out some.
func (c *Counter) hash(labels map[string]string, without func(name string) bool) uint64 {
	var sum uint64
	for k, v := range labels {
		if without != nil && without(k) {
			continue
		}
		h := maphash.String(c.seed, k)*0x9e3779b97f4a7c15 ^ maphash.String(c.seed, v)
		sum += h * 0xff51afd7ed558ccd
	}
	return sum
}
