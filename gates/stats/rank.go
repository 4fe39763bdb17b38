package stats

import (
	"math"
	"slices"
)

// exactPods is up to how many values ranks are counted out exactly.
const exactPods = 80

// MannWhitney is the one-sided p-value of the rank test: how likely the
// canary's values were so high among all, were both alike. Ties share their
// ranks. Up to 80 values it is exact, the share of all ways to pick the
// canary's among them; beyond, the normal approximation with corrections for
// ties and continuity. Without values on either side, or with NaN, it is 1.
func MannWhitney(canary, stable []float64) float64 {
	n, m := len(canary), len(stable)
	all := slices.Concat(canary, stable)
	if n == 0 || m == 0 || slices.ContainsFunc(all, math.IsNaN) {
		return 1
	}
	ranks, ties := doubledRanks(all)
	sum := 0
	for _, r := range ranks[:n] {
		sum += r
	}
	if n+m <= exactPods {
		return ranksAtLeast(ranks, n, sum)
	}
	f, g := float64(n), float64(m)
	u := float64(sum)/2 - f*(f+1)/2
	variance := f * g / 12 * (f + g + 1 - ties/((f+g)*(f+g-1)))
	if !(variance > 0) {
		return 1
	}
	z := (u - f*g/2 - 0.5) / math.Sqrt(variance)
	return min(1, math.Erfc(z/math.Sqrt2)/2)
}

// doubledRanks are twice the middle ranks, whole numbers even with ties, and
// the sum of t^3-t over ties.
func doubledRanks(all []float64) (ranks []int, ties float64) {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case all[a] < all[b]:
			return -1
		case all[a] > all[b]:
			return 1
		}
		return 0
	})
	ranks = make([]int, len(all))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && all[order[j]] == all[order[i]] {
			ranks[order[j]] = 0
			j++
		}
		for _, at := range order[i:j] {
			ranks[at] = i + 1 + j // twice the mean of i+1..j
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

// ranksAtLeast is the share of all picks of n ranks whose sum is at least sum.
func ranksAtLeast(ranks []int, n, sum int) float64 {
	total := 0
	for _, r := range ranks {
		total += r
	}
	// ways[k][s] is how many picks of k ranks have the sum s.
	ways := make([][]float64, n+1)
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for i, r := range ranks {
		for k := min(i+1, n); k >= 1; k-- {
			for s := total; s >= r; s-- {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	got, all := 0.0, 0.0
	for s, w := range ways[n] {
		all += w
		if s >= sum {
			got += w
		}
	}
	return min(1, got/all)
}
