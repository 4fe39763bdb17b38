package route

import (
	"fmt"
	"math"
)

// maxWeight is the largest weight that the Gateway API allows.
const maxWeight = 1_000_000

// tolerance is how far, in percentage points, a share may be from what was
// asked for; weights are whole numbers.
const tolerance = 0.001

// split is the weights of one rule's backends: those of the two tracks, and of
// all others in their order.
type split struct {
	stable, canary int64
	others         []int64
}

// share is the percentage that the canary gets of what both tracks get.
func (s split) share() (float64, error) {
	if s.stable+s.canary == 0 {
		return 0, fmt.Errorf("neither track has any weight")
	}
	p := 100 * float64(s.canary) / float64(s.stable+s.canary)
	return math.Round(p*maxWeight/100) / (maxWeight / 100), nil // To what weights can tell.
}

// at returns the weights with which the canary gets percent of what both get
// now, and every other backend the proportion that it has. The sum of both is
// a power of ten where it can be, because people read it.
func (s split) at(percent float64) (split, error) {
	if math.IsNaN(percent) || percent < 0 || percent > 100 {
		return split{}, fmt.Errorf("a weight of %v %% makes no sense", percent)
	}
	both := s.stable + s.canary
	if both == 0 {
		return split{}, fmt.Errorf("neither track has any weight")
	}
	part := decimals(percent) // Of 1 part in 100·part.
	if len(s.others) == 0 {
		sum := 100 * part
		c := int64(math.Round(percent * float64(part)))
		return split{stable: sum - c, canary: c}, nil
	}
	return s.among(percent, part)
}

// decimals returns 1, 10, … 10⁴: by what percent must be multiplied to become
// whole, or as nearly as weights can tell.
func decimals(percent float64) int64 {
	for f := int64(1); ; f *= 10 {
		x := percent * float64(f)
		if f == maxWeight/100 || math.Abs(x-math.Round(x)) < 1e-6 {
			return f
		}
	}
}

// among is [split.at] where other backends share the rule: all weights are
// first divided by what they have in common, then multiplied by the least
// number with which the share comes out.
func (s split) among(percent float64, part int64) (split, error) {
	g := s.stable + s.canary
	for _, o := range s.others {
		g = gcd(g, o)
	}
	both := (s.stable + s.canary) / g
	want := int64(math.Round(percent * float64(part))) // Of 100·part.
	factor := 100 * part / gcd(100*part, both*want)
	largest := both
	for _, o := range s.others {
		largest = max(largest, o/g)
	}
	factor = min(factor, max(maxWeight/largest, 1))
	out := split{others: make([]int64, len(s.others))}
	for i, o := range s.others {
		out.others[i] = o / g * factor
	}
	out.canary = int64(math.Round(float64(both*factor*want) / float64(100*part)))
	out.stable = both*factor - out.canary
	got, err := out.share()
	if err != nil {
		return split{}, err
	}
	if math.Abs(got-percent) > tolerance || (percent > 0) != (got > 0) || (percent < 100) != (got < 100) {
		return split{}, fmt.Errorf("a share of %v %% cannot be written beside the other backends' weights; the nearest is %.4g %%", percent, got)
	}
	return out, nil
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, 1)
}

// times and over multiply and divide all weights.
func (s split) times(k int64) split { return s.each(func(w int64) int64 { return w * k }) }
func (s split) over(k int64) split  { return s.each(func(w int64) int64 { return w / k }) }

func (s split) each(f func(int64) int64) split {
	out := split{stable: f(s.stable), canary: f(s.canary)}
	for _, o := range s.others {
		out.others = append(out.others, f(o))
	}
	return out
}
