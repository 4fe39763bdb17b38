package stats

import (
	"math"
	"slices"
)

// masses is a distribution over whole numbers from lo on. cut is the mass
// above it that was left out, or a bound on it; open says that outcomes above
// it are possible.
type masses struct {
	lo   int64
	p    []float64
	cut  float64
	open bool
}

// negligible is the mass, against that of the likeliest outcome, from which
// outcomes are left out.
const negligible = 1e-20

// SplitPMF is the distribution of the canary's part of m bad requests, when
// nc requests went to the canary and ns to stable and the odds of a bad
// request on the canary are psi times those on stable: Fisher's noncentral
// hypergeometric distribution, with psi 1 the hypergeometric one. pmf[i] is
// the chance of lo+i; what is less likely than 1e-20 of the likeliest is left
// out. Numbers that cannot be are mended: 0 <= m <= nc+ns, psi in 1e-9..1e9.
func SplitPMF(nc, ns, m int64, psi float64) (lo int64, pmf []float64) {
	d := split(nc, ns, m, psi)
	return d.lo, d.p
}

func split(nc, ns, m int64, psi float64) masses {
	nc, ns = max(0, min(nc, most)), max(0, min(ns, most))
	m = max(0, min(m, nc+ns))
	if !(psi >= 1e-9) { // NaN too
		psi = 1e-9
	}
	psi = min(psi, 1e9)
	c, s, all := float64(nc), float64(ns), float64(m)
	// step is P(x+1)/P(x), which falls with x.
	step := func(x int64) float64 {
		f := float64(x)
		return psi * (c - f) * (all - f) / ((f + 1) * (s - all + f + 1))
	}
	return unimodal(max(0, m-ns), min(m, nc), step)
}

// BinomialPMF is the distribution of bad requests among n that are each bad
// with chance p, as [SplitPMF] gives it.
func BinomialPMF(n int64, p float64) (lo int64, pmf []float64) {
	d := binomial(n, p)
	return d.lo, d.p
}

func binomial(n int64, p float64) masses {
	n = max(0, min(n, most))
	switch {
	case !(p > 0): // more than none is possible, if not under the null
		return masses{lo: 0, p: []float64{1}, open: n > 0}
	case p >= 1:
		return masses{lo: n, p: []float64{1}}
	}
	odds, all := p/(1-p), float64(n)
	step := func(x int64) float64 { return odds * (all - float64(x)) / (float64(x) + 1) }
	return unimodal(0, n, step)
}

// unimodal sums up a distribution on lo..hi from the ratios of neighbours,
// which fall: from its mode outwards, so that nothing underflows.
func unimodal(lo, hi int64, step func(int64) float64) masses {
	a, b := lo, hi // the first x whose step is below 1
	for a < b {
		if x := a + (b-a)/2; step(x) < 1 {
			b = x
		} else {
			a = x + 1
		}
	}
	mode := a
	var down, up []float64
	for x, w := mode, 1.0; x > lo; x-- {
		if w /= step(x - 1); !(w >= negligible) {
			break
		}
		down = append(down, w)
	}
	var d masses
	for x, w := mode, 1.0; x < hi; x++ {
		r := step(x)
		if w *= r; !(w >= negligible) {
			d.open, d.cut = true, w/(1-min(r, 1-1e-9)) // a geometric series bounds the rest
			break
		}
		up = append(up, w)
	}
	d.lo = mode - int64(len(down))
	slices.Reverse(down)
	d.p = slices.Concat(down, []float64{1}, up)
	sum := d.cut
	for _, w := range d.p {
		sum += w
	}
	for i := range d.p {
		d.p[i] /= sum
	}
	d.cut = math.Max(0, d.cut/sum)
	return d
}
