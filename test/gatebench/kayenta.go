package gatebench

import (
	"math"
	"slices"
)

// confidence quantile of Kayenta's interval: 98 %, both sides.
const z98 = 2.3263478740408408

// accuracy is that of the original's search for a root, in the unit of the
// metric. Where errors are few the root is a jump at 0, and which side of it
// is found is chance; what is not above the accuracy is taken as 0 here.
const accuracy = 1e-6

// High reports whether Kayenta's judge of metrics calls the values of an
// experiment higher than those of the control: the lower end of the 98 %
// interval of their shift lies above a quarter of its estimate, and the means
// have risen. Values that are all alike, and no values at all, pass.
func High(control, experiment []float64) bool {
	if len(control) == 0 || len(experiment) == 0 {
		return false
	}
	control, experiment = slices.Sorted(slices.Values(control)), slices.Sorted(slices.Values(experiment))
	if slices.Equal(control, experiment) {
		return false
	}
	least, most := control[0], experiment[len(experiment)-1]
	if control[len(control)-1] == least && experiment[0] == most {
		return most > least // tiny noise is added there, which leaves the order
	}
	low, estimate, ok := MannWhitney(control, experiment)
	if !ok || low <= accuracy || low <= 0.25*math.Abs(estimate) {
		return false
	}
	ratio := mean(experiment) / mean(control)
	return math.IsNaN(ratio) || ratio >= 1
}

func mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// MannWhitney returns the lower end of the two-sided 98 % interval of the
// shift from the control to the experiment, and the estimate of it, both by
// the normal approximation with corrections for ties and continuity. ok is
// false where nothing can be said, as all values are alike.
func MannWhitney(control, experiment []float64) (low, estimate float64, ok bool) {
	m := ranker{x: experiment, y: control}
	least := slices.Min(m.x) - slices.Max(m.y)
	most := slices.Max(m.x) - slices.Min(m.y)
	if _, tied := m.score(least); tied {
		return 0, 0, false
	}
	if _, tied := m.score(most); tied {
		return 0, 0, false
	}
	return m.root(least, most, z98), m.root(least, most, 0), true
}

// ranker holds the values that are ranked together, x shifted.
type ranker struct {
	x, y []float64
	all  []ranked
}

type ranked struct {
	value float64
	first bool
}

// score is the standardised rank sum of x shifted down by mu.
func (m *ranker) score(mu float64) (z float64, tied bool) {
	m.all = m.all[:0]
	for _, v := range m.x {
		m.all = append(m.all, ranked{v - mu, true})
	}
	for _, v := range m.y {
		m.all = append(m.all, ranked{v, false})
	}
	slices.SortFunc(m.all, func(a, b ranked) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	var sum, ties float64
	for i := 0; i < len(m.all); {
		j := i
		for j < len(m.all) && m.all[j].value == m.all[i].value {
			j++
		}
		n := float64(j - i)
		ties += n*n*n - n
		for _, r := range m.all[i:j] {
			if r.first {
				sum += float64(i+j+1) / 2 // the mean of the ranks i+1 to j
			}
		}
		i = j
	}
	nx, ny := float64(len(m.x)), float64(len(m.y))
	d := sum - nx*(nx+1)/2 - nx*ny/2
	sigma := math.Sqrt(nx * ny / 12 * ((nx + ny + 1) - ties/((nx+ny)*(nx+ny-1))))
	if sigma == 0 || math.IsNaN(sigma) {
		return 0, true
	}
	correction := 0.0
	if d != 0 {
		correction = math.Copysign(0.5, d)
	}
	return (d - correction) / sigma, false
}

// root finds the shift at which the score is z, between two bounds. The score
// falls with the shift.
func (m *ranker) root(least, most, z float64) float64 {
	if s, _ := m.score(least); s <= z {
		return least
	}
	if s, _ := m.score(most); s >= z {
		return most
	}
	for most-least > accuracy/10 {
		middle := (least + most) / 2
		if s, tied := m.score(middle); tied || s >= z {
			least = middle
		} else {
			most = middle
		}
	}
	return (least + most) / 2
}
