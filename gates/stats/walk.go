package stats

// walk is the distribution of a sum of independent counts that has not
// crossed any boundary so far.
type walk struct {
	at    masses
	spent float64 // of alpha, mass that was left out included
}

func newWalk() walk { return walk{at: masses{p: []float64{1}}} }

// add makes the step of one look.
func (w *walk) add(d masses) {
	w.spent += d.cut * (1 - min(1, w.spent))
	w.at = convolve(w.at, d)
	w.trim()
}

// convolve is the distribution of a sum; mass that was cut is not followed.
func convolve(a, b masses) masses {
	sum := masses{lo: a.lo + b.lo, open: a.open || b.open}
	if len(a.p) < len(b.p) {
		a, b = b, a
	}
	if len(b.p) == 1 && b.p[0] == 1 {
		sum.p = append(sum.p, a.p...)
		return sum
	}
	sum.p = make([]float64, len(a.p)+len(b.p)-1)
	for i, p := range b.p {
		row := sum.p[i : i+len(a.p)]
		for j, q := range a.p {
			row[j] += p * q
		}
	}
	return sum
}

// trim shortens the distribution: unlikely outcomes below are counted as the
// lowest kept, which makes crossing likelier; those above count as spent.
func (w *walk) trim() {
	p, low := w.at.p, 0.0
	for len(p) > 1 && low+p[0] < 1e-18 {
		low += p[0]
		p = p[1:]
		w.at.lo++
	}
	p[0] += low
	high := 0.0
	for len(p) > 1 && high+p[len(p)-1] < 1e-19 {
		high += p[len(p)-1]
		p = p[:len(p)-1]
		w.at.open = true
	}
	w.spent += high
	w.at.p = p
}

// reach is the lowest count, not below floor, whose tail is within the budget
// and at most what can be reached, and that tail; -1 when there is none.
func (w *walk) reach(budget float64, floor int64) (c int64, tail float64) {
	if budget < 0 {
		budget = 0
	}
	top := w.top()
	c = top
	for i := len(w.at.p) - 1; i >= 0 && tail+w.at.p[i] <= budget && w.at.lo+int64(i) >= floor; i-- {
		tail += w.at.p[i]
		c--
	}
	switch {
	case c < top:
		return c, tail
	case w.at.open:
		return max(c, floor), 0
	}
	return -1, 0
}

// top is the first count that the walk does not know: whoever is there is in
// the mass that has been spent.
func (w *walk) top() int64 { return w.at.lo + int64(len(w.at.p)) }

// cross spends the tail from c on.
func (w *walk) cross(c int64, tail float64) {
	if keep := c - w.at.lo; c >= 0 && keep < int64(len(w.at.p)) {
		w.spent += tail
		w.at.p = w.at.p[:max(1, keep)]
		if keep < 1 { // nothing is left: whatever comes has crossed already
			w.at.p = []float64{0}
		}
		w.at.open = false // what lies above is spent: see top
	}
}

// tail is the chance of at least x.
func (m masses) tail(x int64) float64 {
	if x <= m.lo {
		return 1
	}
	sum := 0.0
	for i := len(m.p) - 1; i >= 0 && m.lo+int64(i) >= x; i-- {
		sum += m.p[i]
	}
	return min(1, sum)
}
