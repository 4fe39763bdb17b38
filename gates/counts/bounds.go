package counts

import (
	"errors"
	"math"
	"slices"
	"strconv"
)

// bucketLabel is the label of a classic histogram's buckets.
const bucketLabel = "le"

// sameBound reports whether two bounds are one, written differently.
func sameBound(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

// ErrLayouts reports histograms that have too little in common.
var ErrLayouts = errors.New("the histograms have fewer than two bounds in common")

// Bounds returns the finite bounds that every histogram of both tracks has,
// rising, from series of their buckets. Tracks without any series do not
// count. With fewer than two in common the error is [ErrLayouts].
func Bounds(series []Series, track func(labels map[string]string) Track) ([]float64, error) {
	has := map[Track][]float64{}
	for _, s := range series {
		t := track(s.Labels)
		le, err := strconv.ParseFloat(s.Labels[bucketLabel], 64)
		if t == Other || err != nil || math.IsInf(le, 0) || math.IsNaN(le) {
			continue
		}
		if !slices.ContainsFunc(has[t], func(b float64) bool { return sameBound(b, le) }) {
			has[t] = append(has[t], le)
		}
	}
	common := has[Stable]
	if len(common) == 0 {
		common = has[Canary]
	} else if canary := has[Canary]; len(canary) > 0 {
		common = slices.DeleteFunc(slices.Clone(common), func(b float64) bool {
			return !slices.ContainsFunc(canary, func(c float64) bool { return sameBound(b, c) })
		})
	}
	if len(common) < 2 {
		return nil, ErrLayouts
	}
	slices.Sort(common)
	return common, nil
}
