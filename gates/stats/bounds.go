package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// normal is the value that a standard normal number exceeds with chance p.
func normal(p float64) float64 {
	if !(p > 0) {
		return math.Inf(1)
	}
	return math.Sqrt2 * math.Erfcinv(2*min(p, 1))
}

// atMost is P(X <= x) of a binomial count of n with chance p.
func atMost(x, n int64, p float64) float64 {
	switch {
	case x < 0:
		return 0
	case x >= n || !(p > 0):
		return 1
	case p >= 1:
		return 0
	}
	return beta(float64(n-x), float64(x)+1, 1-p)
}

// atLeast is P(X >= x).
func atLeast(x, n int64, p float64) float64 {
	switch {
	case x <= 0:
		return 1
	case x > n || !(p > 0):
		return 0
	case p >= 1:
		return 1
	}
	return beta(float64(x), float64(n-x)+1, p)
}

// beta is the regularized incomplete beta function, kept within 0..1.
func beta(a, b, x float64) float64 {
	v := mathext.RegIncBeta(a, b, min(max(x, 0), 1))
	if math.IsNaN(v) {
		return 1
	}
	return min(max(v, 0), 1)
}

// solve finds where a rising function of 0..1 reaches a value, to the last
// digits that matter.
func solve(rising func(float64) float64, value float64) float64 {
	lo, hi := 0.0, 1.0
	for range 100 {
		mid := (lo + hi) / 2
		if hi-lo <= 1e-15*hi {
			break
		}
		if rising(mid) < value {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// ClopperPearsonUpper is the largest share that bad of n requests are still
// compatible with, at the given one-sided confidence (0.95): never too small
// more often than 1-confidence. Without requests it is 1.
func ClopperPearsonUpper(a Arm, confidence float64) float64 {
	a = a.mended()
	if a.Bad >= a.Requests {
		return 1
	}
	return solve(func(p float64) float64 { return 1 - atMost(a.Bad, a.Requests, p) }, confidence)
}

// ClopperPearsonLower is the smallest such share.
func ClopperPearsonLower(a Arm, confidence float64) float64 {
	a = a.mended()
	if a.Bad == 0 {
		return 0
	}
	return solve(func(p float64) float64 { return atLeast(a.Bad, a.Requests, p) }, 1-confidence)
}

// wilson is the score interval of a share.
func wilson(a Arm, z float64) (low, high float64) {
	n, p := float64(a.Requests), a.Rate()
	if n == 0 {
		return 0, 1
	}
	mid := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, mid-half), min(1, mid+half)
}

// NewcombeUpper is the upper bound of how much larger the canary's rate is
// than stable's, at the given one-sided confidence (0.95), by Newcombe's
// method of score intervals: -1 to 1, and 1 while a track has no requests.
func NewcombeUpper(l Look, confidence float64) float64 {
	l = l.mended()
	if l.Canary.Requests == 0 || l.Stable.Requests == 0 {
		return 1
	}
	z := normal(1 - confidence)
	_, high := wilson(l.Canary, z)
	low, _ := wilson(l.Stable, z)
	p, q := l.Canary.Rate(), l.Stable.Rate()
	return min(1, p-q+math.Hypot(high-p, q-low))
}

// NeededWithoutBad is how many requests of the canary, none of them bad, it
// takes to show that its rate is less than margin above stable's when stable
// has none either: 539 for 0.005. It is 0 for a margin of 1 or more, and the
// largest number for one that is not over 0.
func NeededWithoutBad(margin float64) int64 {
	switch {
	case !(margin > 0):
		return math.MaxInt64
	case margin >= 1:
		return 0
	}
	z := normal(0.05)
	return int64(math.Min(math.Ceil(z*z*(1/margin-1)-1e-9), float64(most)))
}
