package stats

import "math"

// null is what a test holds to be well.
type null interface {
	// masses is the distribution of the canary's bad requests at a look, at
	// the edge of what is well.
	masses(Look) masses
	// floor is the fewest bad requests of the canary that the guards allow an
	// alarm for, of what was counted together. It does not depend on how the
	// bad requests are split.
	floor(Look) int64
	// usable is whether a look says anything.
	usable(Look) bool
	// size is about how many bad requests of all there are to test. It does
	// not depend on how they are split.
	size(sum Look) float64
	// thin divides the sums of counts by phi, against an alarm.
	thin(sum Look, phi float64) Look
	// evidence is the process of the e-value.
	evidence(Spending) *Evidence
	// ratio estimates from thinned looks.
	ratio([]Look) Ratio
}

// ratioNull is well as long as the odds ratio is at most psi.
type ratioNull struct {
	psi    float64
	guards Guards
}

func (n ratioNull) masses(l Look) masses {
	return split(l.Canary.Requests, l.Stable.Requests, l.Canary.Bad+l.Stable.Bad, n.psi)
}

// floor solves x/nc - psi (m-x)/ns >= excess for x.
func (n ratioNull) floor(sum Look) int64 {
	nc, ns := float64(sum.Canary.Requests), float64(sum.Stable.Requests)
	if nc == 0 || ns == 0 {
		return n.guards.MinBad
	}
	m := float64(sum.Canary.Bad + sum.Stable.Bad)
	x := 0.0
	if n.guards.MinExcess > 0 {
		x = (n.guards.MinExcess + n.psi*m/ns) / (1/nc + n.psi/ns)
	}
	return max(n.guards.MinBad, ceil(x))
}

func (n ratioNull) usable(l Look) bool { return l.Canary.Requests > 0 && l.Stable.Requests > 0 }

func (n ratioNull) size(sum Look) float64 { return float64(sum.Canary.Bad + sum.Stable.Bad) }

func (n ratioNull) thin(sum Look, phi float64) Look {
	sum.Canary.Bad = floor(float64(sum.Canary.Bad) / phi)
	sum.Stable.Bad = min(sum.Stable.Bad, ceil(float64(sum.Stable.Bad)/phi))
	return sum
}

func (n ratioNull) evidence(s Spending) *Evidence {
	return NewEvidence(Null{Ratio: n.psi, Excess: n.guards.MinExcess}, StartsPlanned(max(s.Planned, s.Max)))
}

// shareNull is well as long as the share of bad requests is at most p.
type shareNull struct {
	p      float64
	guards Guards
}

func (n shareNull) masses(l Look) masses { return binomial(l.Canary.Requests, n.p) }

func (n shareNull) floor(sum Look) int64 {
	x := 0.0
	if n.guards.MinExcess > 0 {
		x = (n.p + n.guards.MinExcess) * float64(sum.Canary.Requests)
	}
	return max(n.guards.MinBad, ceil(x))
}

func (n shareNull) usable(l Look) bool { return l.Canary.Requests > 0 }

func (n shareNull) size(sum Look) float64 { return n.p * float64(sum.Canary.Requests) }

func (n shareNull) thin(sum Look, phi float64) Look {
	sum.Canary.Bad = floor(float64(sum.Canary.Bad) / phi)
	sum.Canary.Requests = ceil(float64(sum.Canary.Requests) / phi)
	sum.Stable = Arm{}
	return sum
}

func (n shareNull) evidence(s Spending) *Evidence {
	return NewEvidence(Null{Share: n.p + n.guards.MinExcess}, StartsPlanned(max(s.Planned, s.Max)))
}

// ceil and floor forgive what rounding added or took.
func ceil(x float64) int64 { return int64(math.Ceil(x - 1e-9*math.Max(1, x))) }

func floor(x float64) int64 { return int64(math.Floor(x + 1e-9*math.Max(1, x))) }
