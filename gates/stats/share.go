package stats

// Catastrophic is whether one look alone shows a disaster: at least 10
// requests of the canary, 80 % of them bad, and less than 10 % of stable's.
// It is the only rule that acts while a track warms up.
func Catastrophic(l Look) bool {
	l = l.mended()
	return l.Canary.Requests >= 10 && l.Canary.Rate() >= 0.8 && l.Stable.Rate() < 0.1
}

// Routed is what [ShareCheck] finds.
type Routed struct {
	// Share is the part of all requests that the canary got, 0 to 1, and Want
	// the part that its weight gives it.
	Share, Want float64
	// P is the chance of a share as small as this, were the weight in force.
	P float64
	// Missing is whether the canary gets so little that nothing can be said
	// of it: less than half of what it should, and not by chance.
	Missing bool
}

// ShareCheck holds the canary's part of the requests against its weight (0 to
// 1): a canary that is ejected, flapping or not routed to has no errors. P is
// below 1e-6 before it says so.
func ShareCheck(canary, stable int64, weight float64) Routed {
	canary, stable = max(0, min(canary, most)), max(0, min(stable, most))
	weight = min(max(weight, 0), 1)
	r := Routed{Want: weight, P: 1}
	if !(weight > 0) || canary+stable == 0 {
		return r
	}
	r.Share = float64(canary) / float64(canary+stable)
	r.P = atMost(canary, canary+stable, weight)
	r.Missing = r.Share < weight/2 && r.P < 1e-6
	return r
}
