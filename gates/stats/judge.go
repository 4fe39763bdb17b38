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

// judge tests what was taken, with at most the given part of alpha spent in
// all.
func (t *test) judge(budget float64) Judgement {
	s := &t.now
	j := Judgement{
		Look: s.last.k, Counts: s.raw, X: s.sum.Canary.Bad, Boundary: -1, P: s.free.tail(s.sum.Canary.Bad),
		LogEvidence: s.odds.Log(), AlwaysP: s.odds.AlwaysP(),
		Dispersion: t.factor(), DispersionKnown: t.known,
		Ratio: t.null.ratio(s.parts),
	}
	if t.null.usable(s.last.Look) {
		late := t.late(budget)
		x, c, ok := t.cumulative(budget - t.spent[1])
		j.Boundary = c
		j.Crossed = x
		j.Guarded, j.Guard = !x && ok, t.held(s.sum)
		if late && !j.Crossed {
			j.Crossed, j.Late, j.Guarded = true, true, false
		}
		if j.Crossed && !t.spread() {
			j.Crossed, j.Guarded, j.Guard = false, true, GuardSpread
		}
		if !j.Guarded {
			j.Guard = GuardNone
		}
	}
	j.Spent = t.spent[0] + t.spent[1]
	return j
}

// cumulative tests the sum of all looks. plain is whether it is significant
// without the guards.
func (t *test) cumulative(budget float64) (crossed bool, c int64, plain bool) {
	w, x := &t.now.walk, t.now.sum.Canary.Bad
	low := t.null.floor(t.now.sum)
	left := max(0, budget-w.spent)
	free, _ := w.reach(left, 0)
	c, tail := w.reach(left, low)
	if top := w.top(); x >= top { // among the paths that have been paid for
		if free < 0 {
			free = top
		}
		if c < 0 {
			c = max(top, low)
		}
	}
	if c >= 0 {
		w.cross(c, tail)
		t.spent[0] = w.spent
	}
	return c >= 0 && x >= c, c, free >= 0 && x >= free
}

// late tests the sum of the last looks, unless these are all.
func (t *test) late(budget float64) bool {
	s := &t.now
	if !t.s.Late || len(s.recent) == len(s.parts) {
		return false
	}
	var sum Look
	all := newWalk()
	for _, w := range s.recent {
		sum = sum.plus(w.part)
		all.add(w.masses)
	}
	left := min(lateShare*budget, budget-t.spent[0]) - t.spent[1] - all.spent
	if left < 0 {
		return false
	}
	low := t.null.floor(sum)
	c, tail := all.reach(left, low)
	if c < 0 {
		return false
	}
	t.spent[1] += tail + all.spent
	return sum.Canary.Bad >= c
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
