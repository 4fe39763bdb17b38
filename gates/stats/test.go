package stats

import (
	"math"
	"slices"
)

// test is what comparisons and limits have in common.
type test struct {
	s     Settings
	null  null
	looks []numbered // as they were counted
	spent [2]float64 // by the sum of all looks and by that of the last ones
	scale            // what the looks are divided by
	now   state      // follows from looks, scale and spent
}

// numbered is a look and its number.
type numbered struct {
	k int
	Look
}

// scale is what counts are divided by.
type scale struct {
	phi   float64 // dispersion, at least 1
	known bool
	size  float64 // 1, or a power of 2 that keeps the work small
}

func (s scale) factor() float64 { return s.phi * s.size }

// state is what is known after some looks.
type state struct {
	raw    Look      // sum
	used   Look      // sum of the looks that say something
	sum    Look      // that sum, thinned
	parts  []Look    // thinned looks
	recent []window  // the last looks
	walk   walk      // paths that have not crossed
	free   masses    // all paths
	odds   *Evidence // on thinned looks
	bad    int       // looks in which the canary had bad requests
	seen   []Bin     // stable's
	last   numbered  // the newest look, as counted
	newest verdict   // on it
}

// window is one of the last looks.
type window struct {
	k      int
	part   Look
	masses masses
}

// scanned is how many looks the test of the last looks takes together, and
// lateShare how much of alpha it may spend.
const (
	scanned   = 4
	lateShare = 0.3
)

func newTest(s Settings, n null) test {
	t := test{s: s, null: n, scale: scale{phi: 1, size: 1}}
	if d := s.Guards.Dispersion; d > 0 {
		t.phi, t.known = max(1, d), true
	}
	t.now = t.start()
	return t
}

func (t *test) start() state {
	return state{walk: newWalk(), free: masses{p: []float64{1}}, odds: t.null.evidence(t.s.spending())}
}

func (t *test) clone() test {
	c := *t
	c.looks = slices.Clone(t.looks)
	c.now = t.now.clone()
	return c
}

func (s state) clone() state {
	s.parts, s.recent, s.seen = slices.Clone(s.parts), slices.Clone(s.recent), slices.Clone(s.seen)
	s.walk.at.p, s.free.p = slices.Clone(s.walk.at.p), slices.Clone(s.free.p)
	s.odds = s.odds.Clone()
	return s
}

func (t *test) add(k int, l Look) Judgement {
	t.take(k, l)
	return t.judge(t.s.spending().At(t.now.last.k))
}

// take counts a look, and all looks anew when it changes the scale.
func (t *test) take(k int, l Look) {
	if n := len(t.looks); n > 0 {
		k = max(k, t.looks[n-1].k)
	}
	l = l.mended()
	if s := t.rescale(l); s != t.scale {
		spent := t.spent[0]
		t.scale, t.now = s, t.start()
		for _, old := range t.looks {
			t.step(old)
		}
		t.now.walk.spent = max(spent, t.now.walk.spent)
	}
	n := numbered{k: max(1, k), Look: l}
	t.looks = append(t.looks, n)
	t.step(n)
	t.spent[0] = t.now.walk.spent
}

// heavy is how many bad requests a look may have before it is thinned for the
// sake of speed: enough to see a hundredth more.
const heavy = 20000

// rescale is the scale for the looks so far and the next one.
func (t *test) rescale(next Look) scale {
	s := t.scale
	if t.s.Guards.Dispersion <= 0 {
		phi, ok := Dispersion(t.now.seen)
		s.phi, s.known = 1, ok && len(t.now.seen) > fewDifferences
		if s.known {
			s.phi = overdispersed(phi, len(t.now.seen)-1)
		}
	}
	for float64(next.Canary.Bad+next.Stable.Bad)/s.factor() > heavy {
		s.size *= 2
	}
	return s
}

// fewDifferences is how many differences between stable's looks it takes to
// estimate a dispersion from them.
const fewDifferences = 8

// overdispersed is the dispersion to use for an estimate from n differences:
// 1 where it may be chance, else a step of a scale, so that it seldom changes.
func overdispersed(phi float64, n int) float64 {
	if phi <= 1+1.645*math.Sqrt(3/float64(n)) {
		return 1
	}
	return math.Pow(1.2, math.Ceil(math.Log(phi)/math.Log(1.2)-1e-9))
}

// step follows a look.
func (t *test) step(n numbered) {
	s := &t.now
	s.last, s.newest = n, verdict{bound: -1, plain: -1}
	s.raw = s.raw.plus(n.Look)
	if n.Stable.Requests > 0 {
		s.seen = append(s.seen, Bin{Requests: n.Stable.Requests, Bad: n.Stable.Bad})
	}
	if n.Canary.Bad > 0 {
		s.bad++
	}
	if !t.null.usable(n.Look) {
		return
	}
	part := t.thinned(n.Look)
	s.sum = s.sum.plus(part)
	s.parts = append(s.parts, part)
	d := t.null.masses(part)
	s.walk.add(d)
	s.free = convolve(s.free, d)
	trimmed := walk{at: s.free}
	trimmed.trim()
	s.free = trimmed.at
	s.recent = append(s.recent, window{k: n.k, part: part, masses: d})
	for len(s.recent) > 0 && s.recent[0].k <= n.k-scanned {
		s.recent = s.recent[1:]
	}
	s.odds.Add(n.k, part)
}
