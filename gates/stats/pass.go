package stats

import "math"

// Margin is how much worse a canary may be, at most, for a pass to be shown:
// the larger of Points, a share of requests, and Times stable's own rate.
type Margin struct {
	Points, Times float64
}

// DefaultMargin is half a percentage point, or twice stable's rate.
func DefaultMargin() Margin { return Margin{Points: 0.005, Times: 1} }

// Pass is whether a pass has been shown, and by what. The zero value is no
// pass.
type Pass struct {
	// Shown is whether the upper bound lies within the margin.
	Shown bool `json:"shown"`
	// Upper is the upper bound with 95 % confidence: of the difference of the
	// rates for a comparison, of the rate for a limit.
	Upper float64 `json:"upper"`
	// Margin is what Upper may be at most.
	Margin float64 `json:"margin"`
	// Missing is about how many more requests of the canary, as good as those
	// so far, it takes to show it; 0 when it is shown, -1 when no number
	// would do.
	Missing int64 `json:"missing"`
}

// PassComparison is whether the sums of all looks show that the canary's rate
// is at most the margin above stable's. phi is the dispersion, at least 1 and
// taken so: with it, that many fewer requests were independent.
func PassComparison(sum Look, m Margin, phi float64) Pass {
	sum = sum.mended()
	eff := Look{Canary: sum.Canary.over(phi), Stable: sum.Stable.over(phi)}
	p := Pass{Margin: max(m.Points, m.Times*sum.Stable.Rate()), Upper: NewcombeUpper(eff, 0.95)}
	if math.IsNaN(p.Margin) || p.Margin < 0 {
		p.Margin = 0
	}
	p.Shown = sum.Canary.Requests > 0 && sum.Stable.Requests > 0 && p.Upper <= p.Margin
	switch {
	case p.Shown:
	case sum.Canary.Bad == 0 && p.Margin > 0: // nothing to extrapolate from
		p.Missing = max(1, max1(phi)*NeededWithoutBad(p.Margin)-sum.Canary.Requests)
	default:
		p.Missing = grow(sum.Canary.Requests, func(f float64) bool {
			return NewcombeUpper(Look{Canary: eff.Canary.times(f), Stable: eff.Stable.times(f)}, 0.95) <= p.Margin
		})
	}
	return p
}

// PassLimit is whether what was counted shows that the rate is at most share.
func PassLimit(a Arm, share, phi float64) Pass {
	a = a.mended()
	eff := a.over(phi)
	if math.IsNaN(share) || share < 0 {
		share = 0
	}
	p := Pass{Margin: share, Upper: ClopperPearsonUpper(eff, 0.95)}
	p.Shown = a.Requests > 0 && p.Upper <= share
	if !p.Shown {
		p.Missing = grow(a.Requests, func(f float64) bool {
			return ClopperPearsonUpper(eff.times(f), 0.95) <= share
		})
	}
	return p
}

// grow is how many requests are missing until ok, when all counts grow by the
// same factor of up to 4096.
func grow(n int64, ok func(factor float64) bool) int64 {
	const largest = 4096
	if n == 0 || !ok(largest) {
		return -1
	}
	lo, hi := 1.0, float64(largest)
	for hi/lo > 1.001 {
		if mid := math.Sqrt(lo * hi); ok(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return max(1, int64(math.Ceil(float64(n)*(hi-1))))
}

// over is an arm with that many fewer independent requests.
func (a Arm) over(phi float64) Arm {
	if !(phi > 1) {
		return a
	}
	n := int64(float64(a.Requests) / phi)
	return Arm{Requests: n, Bad: min(n, ceil(float64(a.Bad)/phi))}
}

func (a Arm) times(f float64) Arm {
	return Arm{Requests: int64(float64(a.Requests) * f), Bad: int64(math.Round(float64(a.Bad) * f))}.mended()
}

func max1(phi float64) int64 {
	if !(phi > 1) {
		return 1
	}
	return int64(math.Ceil(min(phi, 1e9)))
}
