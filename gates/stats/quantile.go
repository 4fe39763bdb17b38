package stats

import (
	"math"
	"slices"
)

// Bucket is one bound of a cumulative histogram: Count requests took at most
// Le. Le may be +Inf.
type Bucket struct {
	Le    float64
	Count int64
}

// Between is an interval that holds a quantile: above Low, at or below High.
// Without a lower bound, Low is 0; without an upper one, Open is set and High
// is 0.
type Between struct {
	Low, High float64
	Open      bool
}

// QuantileInterval bounds the q-quantile (0 to 1) of what a histogram has
// counted since the watch began, by bounds of its buckets. The interval holds
// at every look together with chance 1-alpha per bound: it is a confidence
// sequence. Buckets need not be in order; the largest count is taken as all.
func QuantileInterval(buckets []Bucket, q, alpha float64) Between {
	b := Between{Open: true}
	sorted := slices.Clone(buckets)
	slices.SortFunc(sorted, func(a, b Bucket) int {
		switch {
		case a.Le < b.Le:
			return -1
		case a.Le > b.Le:
			return 1
		}
		return 0
	})
	var n int64
	for _, k := range sorted {
		n = max(n, k.Count)
	}
	if n <= 0 || !(q > 0 && q < 1) || !(alpha > 0 && alpha < 1) {
		return b
	}
	for _, k := range sorted {
		if math.IsNaN(k.Le) || math.IsInf(k.Le, 0) {
			continue
		}
		low, high := ShareInterval(max(0, k.Count), n, alpha)
		if high < q {
			b.Low = k.Le
		}
		if low >= q {
			b.High, b.Open = k.Le, false
			break
		}
	}
	return b
}

// ShareInterval is a confidence sequence for a share of which s of n were
// seen: at all looks together it holds the true share with chance 1-alpha. It
// is the set of shares p that a beta(1/2, 1/2) mixture does not bet 1/alpha
// against: B(s+1/2, n-s+1/2)/B(1/2, 1/2) < p^s (1-p)^(n-s) / alpha.
func ShareInterval(s, n int64, alpha float64) (low, high float64) {
	n = max(0, min(n, most))
	s = max(0, min(s, n))
	if n == 0 || !(alpha > 0 && alpha < 1) {
		return 0, 1
	}
	x, y := float64(s), float64(n-s)
	bet := lbeta(x+0.5, y+0.5) - lbeta(0.5, 0.5)
	// inside is whether p is in the set; against it grows away from s/n.
	inside := func(p float64) bool {
		null := 0.0
		if x > 0 {
			null += x * math.Log(p)
		}
		if y > 0 {
			null += y * math.Log1p(-p)
		}
		return bet-null < -math.Log(alpha)
	}
	mid := x / float64(n)
	low, high = 0, 1
	if s > 0 {
		low = edge(0, mid, inside)
	}
	if s < n {
		high = edge(1, mid, inside)
	}
	return low, high
}

// edge is where, from mid towards end, the set ends.
func edge(end, mid float64, inside func(float64) bool) float64 {
	for range 200 {
		p := (end + mid) / 2
		if p == end || p == mid {
			break
		}
		if inside(p) {
			mid = p
		} else {
			end = p
		}
	}
	return end
}

func lbeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}
