package stats

import "math"

// Plan is what a gate will have to see with.
type Plan struct {
	// Requests is how many requests both tracks together get in a look.
	Requests float64
	// Share is the canary's part of them, over 0 and below 1.
	Share float64
	// Alpha and Tolerance are as in [Settings], Planned the number of looks.
	Alpha     float64
	Tolerance float64
	Planned   int
}

func (p Plan) valid() bool {
	return p.Requests > 0 && !math.IsInf(p.Requests, 1) && p.Share > 0 && p.Share < 1 &&
		p.Alpha > 0 && p.Alpha <= 0.5 && p.Tolerance >= 1 && p.Tolerance <= 1000 && p.Planned >= 1 && p.Planned <= maxLooks
}

// DetectionTime is the look by which a [Comparison] finds, with the chance
// power (0.5 is the median, 0.8 usual), that stable's rate of bad requests
// has become the canary's. ok is false when the plan is too short, and for
// numbers that cannot be. It is a formula, fitted to simulations, that is
// right to one or two looks; see [Simulate] for the slow way.
func DetectionTime(p Plan, stable, canary, power float64) (look int, ok bool) {
	if !p.valid() || !(stable >= 0 && stable < canary && canary <= 1) || !(power > 0 && power < 1) {
		return 0, false
	}
	mu := p.Requests * (p.Share*canary + (1-p.Share)*stable) // bad requests in a look
	th0 := p.Share * p.Tolerance / (p.Share*p.Tolerance + 1 - p.Share)
	th1 := p.Share * canary / (p.Share*canary + (1-p.Share)*stable)
	if th1 <= th0 {
		return 0, false
	}
	information := th1 * math.Log(th1/th0) // of one bad request
	if th1 < 1 {
		information += (1 - th1) * math.Log((1-th1)/(1-th0))
	}
	z := normal(1 - power)
	spending := Spending{Alpha: p.Alpha, Planned: p.Planned}
	for k := 1; k <= p.Planned; k++ {
		alpha := spending.At(k) / 1.3
		za := normal(alpha) + z
		least := math.Log(alpha) / math.Log(th0)
		// With few bad requests, whole numbers decide.
		least += z*math.Sqrt(least) - 0.33*min(1, max(0, 1-z/0.8416))
		if za <= 0 || mu*float64(k)*information >= za*za/2 && p.Requests*p.Share*canary*float64(k) >= least {
			return k, true
		}
	}
	return 0, false
}

// SmallestDetectable is the smallest rate of the canary that is found within
// the plan with the given power, when stable's rate is as given. ok is false
// when not even a canary that fails every request is.
func SmallestDetectable(p Plan, stable, power float64) (rate float64, ok bool) {
	if !(stable >= 0 && stable < 1) {
		return 0, false
	}
	if _, ok := DetectionTime(p, stable, 1, power); !ok {
		return 0, false
	}
	lo, hi := stable, 1.0
	for range 60 {
		mid := (lo + hi) / 2
		if _, ok := DetectionTime(p, stable, mid, power); ok {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi, true
}
