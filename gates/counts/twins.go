package counts

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// group holds the series that differ by nothing but who scraped them. They are
// one counter as long as their samples, put together, never go down.
type group struct {
	key   map[string]string
	lines []*line
	mark  mark
	// ended are lines after which a younger one of the same pod began from
	// zero.
	ended map[*line]bool
	// parted says that they were seen to be different counters.
	parted bool
}

// one reports whether the series of the group are counted as one.
func (g *group) one() bool { return len(g.lines) > 1 && !g.parted }

// replicaLabels tell apart those who scrape and store.
func replicaLabel(name string) bool {
	switch name {
	case "replica", "prometheus_replica", "__replica__", "prometheus", "receive_replica", "thanos_replica", "monitor":
		return true
	}
	return false
}

// targetLabel is for labels that a scrape puts on all that a pod tells, and
// that may differ between two jobs which scrape the same pod.
func targetLabel(name string) bool {
	switch name {
	case "job", "instance", "endpoint", "service", "container", "metrics_path", "node", "app", "pod_template_hash":
		return true
	}
	return replicaLabel(name) || strings.HasPrefix(name, "app_kubernetes_io_")
}

// join puts a line into the group of those that may be the same counter.
func (c *Counter) join(l *line) {
	without := replicaLabel
	if l.labels["pod"] != "" {
		without = targetLabel
	}
	h := c.hash(l.labels, without)
	key := maps.Clone(l.labels)
	maps.DeleteFunc(key, func(name, _ string) bool { return without(name) })
	for _, g := range c.groups[h] {
		if !maps.Equal(g.key, key) || g.lines[0].track != l.track || g.lines[0].cell != l.cell || !g.apart(l) {
			continue
		}
		if len(g.lines) == 1 {
			g.mark = g.lines[0].mark
			c.multi = append(c.multi, g)
		}
		g.lines, l.group = append(g.lines, l), g
		return
	}
	l.group = &group{key: key, lines: []*line{l}, ended: map[*line]bool{}}
	c.groups[h] = append(c.groups[h], l.group)
}

// apart reports whether a line comes from another scrape than each of the
// group: within one scrape every series is a counter of its own.
func (g *group) apart(l *line) bool {
	return !slices.ContainsFunc(g.lines, func(o *line) bool {
		for name := range l.labels {
			if differs(name, l, o) {
				return false
			}
		}
		for name := range o.labels {
			if differs(name, l, o) {
				return false
			}
		}
		return true
	})
}

func differs(name string, a, b *line) bool {
	return (name == "job" || name == "instance" || replicaLabel(name)) && a.labels[name] != b.labels[name]
}

// part looks for groups whose samples show that they are different counters.
func (c *Counter) part() {
	for _, g := range c.multi {
		if g.parted {
			continue
		}
		ended := maps.Clone(g.ended)
		m := g.mark
		g.walk(func(l *line, p Point, own float64, seen bool) bool {
			g.parted = !g.fits(&m, ended, seenPoint{l, p, own, seen})
			if !g.parted {
				c.stepOne(&m, l, p)
			}
			return !g.parted
		})
	}
}

// seenPoint is a sample of a group: whose it is, and what that line showed
// before.
type seenPoint struct {
	line *line
	p    Point
	own  float64
	seen bool
}

// skew is how far apart in time two scrapes must be for their order to be
// certain: a sample has the time at which its scrape began.
const skew = time.Second

// fits reports whether a sample can be one of the same counter. It notes lines
// that a younger one took the place of.
func (g *group) fits(m *mark, ended map[*line]bool, s seenPoint) bool {
	switch {
	case ended[s.line]:
		return false
	case !m.seen || s.p.Value >= m.value:
		return true
	case s.seen && s.p.Value < s.own: // began again
		return true
	case s.p.Time.Sub(m.at) < skew:
		return true
	case s.seen:
		return false
	}
	for _, o := range g.lines {
		if o != s.line && o.last.After(s.p.Time) {
			return false
		}
	}
	for _, o := range g.lines {
		if o != s.line {
			ended[o] = true
		}
	}
	return true
}

// stepOne moves the mark of a group on. A sample below the mark that was taken
// at nearly the same time is older than it.
func (c *Counter) stepOne(m *mark, l *line, p Point) step {
	if m.seen && p.Value < m.value && p.Time.Sub(m.at) < skew {
		return step{}
	}
	return c.step(m, l, p)
}

// countOne reads the points of a group that is one counter.
func (c *Counter) countOne(g *group, b *batch, anchor time.Time) {
	m, ended := g.mark, maps.Clone(g.ended)
	g.walk(func(l *line, p Point, own float64, seen bool) bool {
		g.fits(&m, ended, seenPoint{l, p, own, seen}) // part has seen that it does
		b.note(l, p.Time, c.stepOne(&m, l, p))
		if !p.Time.After(anchor) {
			g.mark, g.ended = m, maps.Clone(ended)
		}
		return true
	})
}

// walk calls f with the samples of all lines in the order of time, with the
// value that their line had before and whether it had one, until f says no.
func (g *group) walk(f func(l *line, p Point, own float64, seen bool) bool) {
	type at struct {
		i int
		m mark
	}
	places := make([]at, len(g.lines))
	for i, l := range g.lines {
		places[i].m = l.mark
	}
	for {
		best := -1
		for i, l := range g.lines {
			for places[i].i < len(l.points) && !isCount(l.points[places[i].i].Value) {
				places[i].i++
			}
			if places[i].i == len(l.points) {
				continue
			}
			if best < 0 || l.points[places[i].i].Time.Before(g.lines[best].points[places[best].i].Time) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		l, place := g.lines[best], &places[best]
		p := l.points[place.i]
		place.i++
		if !f(l, p, place.m.value, place.m.seen) {
			return
		}
		place.m.value, place.m.seen = p.Value, true
	}
}

// twins counts the series of a track that show a counter which another one
// counts: both were there at the same time, and both grew.
func (c *Counter) twins(t Track) int {
	n := 0
	for _, g := range c.multi {
		if g.one() && g.lines[0].track == t {
			n += g.twins()
		}
	}
	return n
}

func (g *group) twins() int {
	n := 0
	for i, a := range g.lines {
		if a.grew && slices.ContainsFunc(g.lines[:i], func(b *line) bool {
			return b.grew && a.first.Before(b.last) && b.first.Before(a.last)
		}) {
			n++
		}
	}
	return n
}

// twinReason names two series of one counter.
func (c *Counter) twinReason(t Track) string {
	for _, g := range c.multi {
		if !g.one() || g.lines[0].track != t || g.twins() == 0 {
			continue
		}
		a, b := g.lines[0], g.lines[1]
		for _, name := range slices.Sorted(maps.Keys(a.labels)) {
			if a.labels[name] != b.labels[name] {
				return "counters of " + t.String() + " are there twice, with the labels " + name + "=" +
					a.labels[name] + " and " + name + "=" + b.labels[name]
			}
		}
	}
	return "counters of " + t.String() + " are there twice"
}
