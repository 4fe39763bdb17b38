package stats

import "math"

// Null is what an [Evidence] is held against.
type Null struct {
	// Ratio and Excess say that the canary's rate is at most Ratio times
	// stable's plus Excess. Ratio 0 is for a track without another.
	Ratio, Excess float64
	// Share says, with Ratio 0, that the track's rate is at most Share.
	Share float64
}

// Starts says how evidence is shared out over the looks that a regression may
// have begun at. The zero value only counts from the first look.
type Starts struct {
	planned int
	open    bool
}

// StartsOnce is for a regression that is there from the first look.
func StartsOnce() Starts { return Starts{} }

// StartsPlanned gives half to the first look and spreads half over k planned
// ones.
func StartsPlanned(k int) Starts { return Starts{planned: max(1, k)} }

// StartsOpen is for a watch without an end: look k gets 1/(k(k+1)).
func StartsOpen() Starts { return Starts{open: true} }

// upTo is the weight of all starts up to look k.
func (s Starts) upTo(k int) float64 {
	switch {
	case k <= 0:
		return 0
	case s.open:
		return 1 - 1/float64(k+1)
	case s.planned > 0:
		return 0.5 + 0.5*min(1, float64(k)/float64(s.planned))
	}
	return 1
}

// grid are the ratios, against the tolerated one, that evidence is sought for.
func grid() [8]float64 { return [8]float64{1.2, 1.5, 2, 3, 5, 10, 25, 100} }

// Evidence is an e-process: a number that is on average at most 1 as long as
// nothing is wrong, at whatever look it is read, so that 1/alpha or more of it
// comes with a chance of at most alpha. It bets on the ratios of a grid and on
// the looks that a regression may begin at, and multiplies what it wins.
//
// For a ratio g of the grid, with rho the tolerated ratio and d the tolerated
// excess, a look with n, N requests and x, y bad ones wins
//
//	a^x b^y exp(-n d (a-1)),  a = g b,  b = (rho n + N)/(rho g n + N)
//
// whose mean is at most exp(n p (a-1) + N q (b-1) - n d (a-1)) by 1+u <= e^u,
// which is at most 1 for p <= rho q + d. No share, rate or drift enters. For a
// fixed share it is the likelihood ratio of g times that share against it.
type Evidence struct {
	null   Null
	starts Starts
	last   int
	logs   [8]float64 // of each ratio, starts included
	best   float64    // the largest logarithm so far
}

// NewEvidence returns evidence without looks, which is 1.
func NewEvidence(n Null, s Starts) *Evidence {
	e := &Evidence{null: n, starts: s}
	for i := range e.logs {
		e.logs[i] = math.Inf(-1)
	}
	return e
}

// Clone returns evidence that goes on from here by itself.
func (e *Evidence) Clone() *Evidence {
	c := *e
	return &c
}

// Add makes look k, from 1 on.
func (e *Evidence) Add(k int, l Look) {
	k = max(k, e.last, 1)
	fresh := math.Log(e.starts.upTo(k) - e.starts.upTo(e.last))
	e.last = k
	l = l.mended()
	for i, g := range grid() {
		won := e.win(g, l)
		if math.IsNaN(won) || math.IsInf(won, 0) {
			won = 0
		}
		e.logs[i] = logAdd(e.logs[i], fresh) + won
	}
	e.best = max(e.best, e.Log())
}

// win is the logarithm of what a look wins for the ratio g.
func (e *Evidence) win(g float64, l Look) float64 {
	nc, x := float64(l.Canary.Requests), float64(l.Canary.Bad)
	if e.null.Ratio <= 0 {
		p := min(max(e.null.Share, 1e-6), 1-1e-6)
		q := min(g*p, 1-(1-p)/g)
		return x*math.Log(q/p) + (nc-x)*math.Log((1-q)/(1-p))
	}
	ns, y, rho := float64(l.Stable.Requests), float64(l.Stable.Bad), e.null.Ratio
	if nc == 0 || ns == 0 {
		return 0
	}
	b := (rho*nc + ns) / (rho*g*nc + ns)
	a := g * b
	return x*math.Log(a) + y*math.Log(b) - nc*e.null.Excess*(a-1)
}

// Log is the natural logarithm of the e-value, cut to +-1e6.
func (e *Evidence) Log() float64 {
	sum := math.Log(1 - e.starts.upTo(e.last))
	for _, l := range e.logs {
		sum = logAdd(sum, l-math.Log(float64(len(e.logs))))
	}
	return max(-1e6, min(sum, 1e6))
}

// AlwaysP is the p-value that may be read at any look: 1 / the largest
// e-value so far, at most 1.
func (e *Evidence) AlwaysP() float64 { return math.Exp(-max(0, e.best)) }

// MeanLogEvidence is the logarithm of the mean of e-values, itself one
// however the checks hang together. weights may be nil for equal ones; those
// that are missing or not over 0 count as 0. Without any it is 0.
func MeanLogEvidence(logs, weights []float64) float64 {
	sum, all := math.Inf(-1), 0.0
	for i, l := range logs {
		w := 1.0
		if weights != nil {
			w = 0
			if i < len(weights) && weights[i] > 0 {
				w = weights[i]
			}
		}
		if w == 0 || math.IsNaN(l) {
			continue
		}
		sum = logAdd(sum, l+math.Log(w))
		all += w
	}
	if all == 0 {
		return 0
	}
	return max(-1e6, min(sum-math.Log(all), 1e6))
}

// logAdd is log(e^a + e^b).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
