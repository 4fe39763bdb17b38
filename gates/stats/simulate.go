package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// World is what a simulation draws looks from.
type World struct {
	// Requests is how many requests both tracks together get in a look, on
	// average.
	Requests float64
	// Share is the canary's part of them, 0 to 1.
	Share float64
	// Stable and Canary are their shares of bad requests.
	Stable, Canary float64
}

// Simulated is how often, and when, a test raised its alarm.
type Simulated struct {
	// Runs, and in how many of them there was an alarm.
	Runs, Alarms int
	// looks are those of the alarms, in order.
	looks []int
}

// Part is the share of runs with an alarm.
func (s Simulated) Part() float64 {
	if s.Runs == 0 {
		return 0
	}
	return float64(s.Alarms) / float64(s.Runs)
}

// Look is the one by which the given share of all runs had their alarm; ok is
// false when that many never had.
func (s Simulated) Look(part float64) (look int, ok bool) {
	i := int(math.Ceil(part*float64(s.Runs))) - 1
	if i < 0 || i >= len(s.looks) {
		return 0, false
	}
	return s.looks[i], true
}

// Simulate runs comparisons with these settings against drawn looks, always
// the same for the same seed. It takes some microseconds for a look with few
// bad requests, and up to a millisecond for one with many.
func Simulate(s Settings, w World, runs int, seed uint64) (Simulated, error) {
	out := Simulated{Runs: max(0, runs)}
	draw := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	for range out.Runs {
		c, err := NewComparison(s)
		if err != nil {
			return Simulated{}, err
		}
		for k := 1; k <= max(s.Planned, s.Max); k++ {
			if c.Add(k, w.Look(draw)).Crossed {
				out.looks = append(out.looks, k)
				break
			}
		}
	}
	out.Alarms = len(out.looks)
	slices.Sort(out.looks)
	return out, nil
}

// Look draws one look.
func (w World) Look(draw *rand.Rand) Look {
	arm := func(n, p float64) Arm {
		bad := Poisson(draw, n*p)
		return Arm{Requests: bad + Poisson(draw, n*(1-p)), Bad: bad}
	}
	return Look{
		Canary: arm(w.Requests*w.Share, w.Canary),
		Stable: arm(w.Requests*(1-w.Share), w.Stable),
	}
}

// Poisson draws a count with the given mean, 0 for what is not a mean: by
// multiplying up to 30, by Hörmann's PTRS beyond.
func Poisson(draw *rand.Rand, mean float64) int64 {
	switch {
	case !(mean > 0):
		return 0
	case mean > 1e15:
		return 1e15
	case mean < 30:
		k, p, least := int64(0), draw.Float64(), math.Exp(-mean)
		for p > least {
			k, p = k+1, p*draw.Float64()
		}
		return k
	}
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	inv := 1.1239 + 1.1328/(b-3.4)
	top := 0.9277 - 3.6224/(b-2)
	for {
		u, v := draw.Float64()-0.5, draw.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= top {
			return int64(k)
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v)+math.Log(inv)-math.Log(a/(us*us)+b) <= k*math.Log(mean)-mean-lg {
			return int64(k)
		}
	}
}
