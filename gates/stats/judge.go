package stats

// thinned is a look divided by the scale. What division leaves over counts
// with the next look.
func (t *test) thinned(l Look) Look {
	phi := t.factor()
	s := &t.now
	s.used = s.used.plus(l)
	whole := t.null.thin(s.used, phi)
	part := Look{
		Canary: Arm{Requests: whole.Canary.Requests - s.sum.Canary.Requests, Bad: whole.Canary.Bad - s.sum.Canary.Bad},
		Stable: Arm{Requests: whole.Stable.Requests - s.sum.Stable.Requests, Bad: whole.Stable.Bad - s.sum.Stable.Bad},
	}
	return part.mended()
}

// verdict is what the newest look has led to so far.
type verdict struct {
	bound int64 // the boundary of the sum, guards included; -1 without one
	plain int64 // without guards
	late  bool  // the last looks have crossed
}

// judge tests what was taken, with at most the given part of alpha spent in
// all.
func (t *test) judge(budget float64) Judgement {
	t.scan(budget)
	t.spend(budget)
	return t.say()
}

// spend lowers the boundary of the sum as far as the budget goes. It may be
// called again with more.
func (t *test) spend(budget float64) {
	s := &t.now
	if !t.null.usable(s.last.Look) {
		return
	}
	w, low := &s.walk, t.null.floor(s.sum)
	left := max(0, budget-t.spent[1]-w.spent)
	top, x := w.top(), s.sum.Canary.Bad
	plain, _ := w.reach(left, 0)
	c, tail := w.reach(left, low)
	if x >= top && s.newest.bound < 0 { // among the paths that have been paid for
		plain = lower(plain, top)
		c = lower(c, max(top, low))
	}
	w.cross(c, tail)
	t.spent[0] = w.spent
	s.newest.bound, s.newest.plain = lower(s.newest.bound, c), lower(s.newest.plain, plain)
}

// lower is the lower of two boundaries, either of which may be -1 for none.
func lower(a, b int64) int64 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// scan tests the sum of the last looks, unless these are all.
func (t *test) scan(budget float64) {
	s := &t.now
	if !t.s.Late || len(s.recent) == len(s.parts) || !t.null.usable(s.last.Look) {
		return
	}
	var sum Look
	all := newWalk()
	for _, w := range s.recent {
		sum = sum.plus(w.part)
		all.add(w.masses)
	}
	left := min(lateShare*budget, budget-t.spent[0]) - t.spent[1] - all.spent
	if left < 0 {
		return
	}
	if c, tail := all.reach(left, t.null.floor(sum)); c >= 0 {
		t.spent[1] += tail + all.spent
		s.newest.late = sum.Canary.Bad >= c
	}
}

// say puts the newest look into words.
func (t *test) say() Judgement {
	s := &t.now
	x := s.sum.Canary.Bad
	j := Judgement{
		Look: s.last.k, Counts: s.raw, X: x, Boundary: s.newest.bound, P: s.free.tail(x),
		LogEvidence: s.odds.Log(), AlwaysP: s.odds.AlwaysP(),
		Dispersion: t.factor(), DispersionKnown: t.known,
		Ratio: t.null.ratio(s.parts), Spent: t.spent[0] + t.spent[1],
	}
	over := func(c int64) bool { return c >= 0 && x >= c }
	switch {
	case over(s.newest.bound) || s.newest.late:
		if t.spread() {
			j.Crossed, j.Late = true, !over(s.newest.bound)
		} else {
			j.Guarded, j.Guard = true, GuardSpread
		}
	case over(s.newest.plain):
		j.Guarded, j.Guard = true, t.held(s.sum)
	}
	return j
}

// held names the guard that the sum does not pass.
func (t *test) held(sum Look) Guard {
	if sum.Canary.Bad < t.s.Guards.MinBad {
		return GuardFew
	}
	return GuardExcess
}

// spread is whether bad requests were seen in looks enough, where it matters.
func (t *test) spread() bool {
	g := t.s.Guards
	return t.known || t.now.bad >= g.SpreadLooks || Catastrophic(t.now.last.Look)
}
