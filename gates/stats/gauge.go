package stats

import (
	"math"
	"slices"
)

// GaugeRule says when pods use so much more that it is a fail.
type GaugeRule struct {
	// Alpha is the chance of a false alarm of this one look: the check's
	// part, divided by how often it is asked.
	Alpha float64
	// MinRatio is by how much the canary's median must lie above stable's;
	// 0 is 1.25.
	MinRatio float64
}

// Method is the test that gauges were compared with.
type Method string

// The methods.
const (
	MethodNone Method = "" // too few pods for any
	MethodRank Method = "Mann-Whitney"
	MethodT    Method = "t-test on logarithms"
)

// GaugeJudgement is what [JudgeGauges] finds. The zero value says nothing.
type GaugeJudgement struct {
	// Worse is the alarm.
	Worse bool `json:"worse"`
	// Method is how it was tested; with [MethodNone] only fixed limits can
	// say anything of these pods.
	Method Method `json:"method"`
	// P is the one-sided p-value, 1 without a method.
	P float64 `json:"p"`
	// Canary and Stable are the medians, and Ratio the one over the other,
	// 0 when Stable is 0.
	Canary float64 `json:"canary"`
	Stable float64 `json:"stable"`
	Ratio  float64 `json:"ratio"`
}

// JudgeGauges compares pods of two tracks by one number each, such as the
// median of a pod's memory over the window. Samples of one pod depend on each
// other, so only pods count. Where ranks can reach alpha at all it is the
// exact Mann-Whitney test; with fewer pods, but six or more, Student's t-test
// on logarithms. Values that are not finite or negative are left out.
func JudgeGauges(canary, stable []float64, rule GaugeRule) GaugeJudgement {
	canary, stable = measured(canary), measured(stable)
	j := GaugeJudgement{P: 1}
	if len(canary) == 0 || len(stable) == 0 {
		return j
	}
	j.Canary, j.Stable = Median(canary), Median(stable)
	if j.Stable > 0 {
		j.Ratio = min(j.Canary/j.Stable, 1e12)
	}
	if !(rule.Alpha > 0) || len(canary)+len(stable) < 5 {
		return j
	}
	switch {
	case 1/choose(len(canary)+len(stable), len(canary)) <= rule.Alpha:
		j.Method, j.P = MethodRank, MannWhitney(canary, stable)
	case len(canary)+len(stable) >= 6 && positive(canary) && positive(stable):
		j.Method, j.P = MethodT, PooledT(canary, stable)
	}
	least := rule.MinRatio
	if !(least > 0) {
		least = 1.25
	}
	above := j.Ratio >= least || j.Stable == 0 && j.Canary > 0
	j.Worse = j.Method != MethodNone && j.P <= rule.Alpha && above
	return j
}

func measured(values []float64) []float64 {
	var kept []float64
	for _, v := range values {
		if v >= 0 && !math.IsInf(v, 1) {
			kept = append(kept, v)
		}
	}
	return kept
}

func positive(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return !(v > 0) })
}

// Median of the values that are finite, 0 without any.
func Median(values []float64) float64 {
	kept := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		return 0
	}
	slices.Sort(kept)
	n := len(kept) / 2
	if len(kept)%2 == 0 {
		return kept[n-1]/2 + kept[n]/2
	}
	return kept[n]
}

// choose is n over k.
func choose(n, k int) float64 {
	c := 1.0
	for i := range min(k, n-k) {
		c = c * float64(n-i) / float64(i+1)
	}
	return c
}

// PooledT is the one-sided p-value of Student's t-test on logarithms: how
// likely the canary's mean were so far above stable's, were they alike. It is
// 1 for values that are not over 0 and for fewer than three in all. Values
// that agree to the last digit are taken to vary by a thousandth.
func PooledT(canary, stable []float64) float64 {
	n, m := len(canary), len(stable)
	df := float64(n + m - 2)
	if n == 0 || m == 0 || df < 1 || !positive(canary) || !positive(stable) {
		return 1
	}
	a, sa := logMoments(canary)
	b, sb := logMoments(stable)
	variance := max((sa+sb)/df, 1e-6)
	t := (a - b) / math.Sqrt(variance*(1/float64(n)+1/float64(m)))
	if math.IsNaN(t) {
		return 1
	}
	p := beta(df/2, 0.5, df/(df+t*t)) / 2
	if t < 0 {
		return 1 - p
	}
	return p
}

// logMoments is the mean of the logarithms and their summed squares about it.
func logMoments(values []float64) (mean, squares float64) {
	for _, v := range values {
		mean += math.Log(v)
	}
	mean /= float64(len(values))
	for _, v := range values {
		squares += (math.Log(v) - mean) * (math.Log(v) - mean)
	}
	return mean, squares
}

// Point is a value at a time, in any unit.
type Point struct{ X, Y float64 }

// TheilSen is the median slope between all pairs of points, which a few
// outliers do not move. It is not known (ok is false) with fewer than two
// different X. Of more than 600 points, 600 are taken evenly.
func TheilSen(points []Point) (slope float64, ok bool) {
	var kept []Point
	for _, p := range points {
		if !math.IsNaN(p.X) && !math.IsNaN(p.Y) && !math.IsInf(p.X, 0) && !math.IsInf(p.Y, 0) {
			kept = append(kept, p)
		}
	}
	const largest = 600
	if n := len(kept); n > largest {
		even := make([]Point, largest)
		for i := range even {
			even[i] = kept[i*(n-1)/(largest-1)]
		}
		kept = even
	}
	var slopes []float64
	for i, p := range kept {
		for _, q := range kept[:i] {
			if s := (p.Y - q.Y) / (p.X - q.X); p.X != q.X && !math.IsNaN(s) && !math.IsInf(s, 0) {
				slopes = append(slopes, s)
			}
		}
	}
	return Median(slopes), len(slopes) > 0
}
