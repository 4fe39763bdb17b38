package stats

// Arm is what was counted of one track: requests, and the bad ones among them
// (failed, or slower than a bound). Negative numbers count as 0, and Bad
// counts as Requests where it is more.
type Arm struct {
	Requests int64 `json:"requests"`
	Bad      int64 `json:"bad"`
}

// Rate is the share of bad requests, 0 to 1, and 0 without requests.
func (a Arm) Rate() float64 {
	a = a.mended()
	if a.Requests == 0 {
		return 0
	}
	return float64(a.Bad) / float64(a.Requests)
}

// mended returns a with counts that can be.
func (a Arm) mended() Arm {
	a.Requests = max(0, min(a.Requests, most))
	a.Bad = max(0, min(a.Bad, a.Requests))
	return a
}

// most bounds what one look may count, so that no sum overflows.
const most = int64(1) << 50

func (a Arm) plus(b Arm) Arm { return Arm{Requests: a.Requests + b.Requests, Bad: a.Bad + b.Bad} }

// Look is what was counted of both tracks since the look before.
type Look struct {
	Canary Arm `json:"canary"`
	Stable Arm `json:"stable"`
}

func (l Look) mended() Look { return Look{Canary: l.Canary.mended(), Stable: l.Stable.mended()} }

func (l Look) plus(o Look) Look {
	return Look{Canary: l.Canary.plus(o.Canary), Stable: l.Stable.plus(o.Stable)}
}

// Guards hold an alarm back that is significant and yet no reason to roll
// back. The zero value has none; [DefaultGuards] are those of a comparison.
type Guards struct {
	// MinExcess is by how much the canary's rate must lie above the tolerated
	// one, as a share of requests: 0.0005 is 0.05 percentage points.
	MinExcess float64 `json:"minExcess"`
	// MinBad is how many bad requests of the canary there must be.
	MinBad int64 `json:"minBad"`
	// Dispersion is phi, how much more bad requests vary than independent
	// ones would, from [Dispersion]; 0 says that it is not known. Counts are
	// divided by it.
	Dispersion float64 `json:"dispersion"`
	// SpreadLooks is in how many looks the canary must have had bad requests
	// while Dispersion is not known; a catastrophe needs only one. With 0,
	// an unknown dispersion is taken as 1.
	SpreadLooks int `json:"spreadLooks"`
}

// DefaultGuards are the guards of a comparison, with an unknown dispersion.
func DefaultGuards() Guards {
	return Guards{MinExcess: 0.0005, MinBad: 3, SpreadLooks: 3}
}

// LimitGuards are the guards of a limit: three bad requests.
func LimitGuards() Guards { return Guards{MinBad: 3} }

// Guard names what holds an alarm back. The zero value holds nothing back.
type Guard string

// The guards.
const (
	GuardNone   Guard = ""
	GuardFew    Guard = "too few bad requests"
	GuardExcess Guard = "the difference is too small to matter"
	GuardSpread Guard = "seen in too few looks"
)

// Interval is a range of values. Where Open, it has no upper end and High is
// 0.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	Open bool    `json:"open,omitempty"`
}

// Ratio is the canary's rate over stable's, or over the limit. Known is
// whether there were bad requests to compute it from; the interval covers
// the true ratio with 95 % at one fixed look.
type Ratio struct {
	Value    float64  `json:"value"`
	Interval Interval `json:"interval"`
	Known    bool     `json:"known"`
}

// Judgement is what a test says at a look. Every number is finite. It
// carries what is needed to check it by hand: all counts are sums up to this
// look, X and Boundary are on the scale that Dispersion gives.
type Judgement struct {
	// Look is the number of the look.
	Look int `json:"look"`
	// Crossed is the alarm: X has reached Boundary, and no guard holds it
	// back. It is never true more often than alpha allows.
	Crossed bool `json:"crossed"`
	// Late is whether it was the test of the last few looks that crossed.
	Late bool `json:"late,omitempty"`
	// Guarded is whether X was significant, but held back by Guard.
	Guarded bool  `json:"guarded,omitempty"`
	Guard   Guard `json:"guard,omitempty"`
	// Counts are the requests so far; the zero Arm stands for a track that is
	// not part of the test.
	Counts Look `json:"counts"`
	// X is how many bad requests the canary had, divided by Dispersion.
	X int64 `json:"x"`
	// Boundary is the X that raises the alarm at this look, guards included;
	// -1 when none would.
	Boundary int64 `json:"boundary"`
	// P is the chance of as many as X, looked at once, were nothing wrong.
	P float64 `json:"p"`
	// Spent is how much of alpha has been used up, at most alpha.
	Spent float64 `json:"spent"`
	// LogEvidence is the natural logarithm of the e-value (see [Evidence]).
	LogEvidence float64 `json:"logEvidence"`
	// AlwaysP is the p-value that holds at every look, 1 / the largest e-value.
	AlwaysP float64 `json:"alwaysP"`
	// Ratio of the rates.
	Ratio Ratio `json:"ratio"`
	// Dispersion is the phi that was used, at least 1; DispersionKnown is
	// whether it was given or could be seen in stable's own looks.
	Dispersion      float64 `json:"dispersion"`
	DispersionKnown bool    `json:"dispersionKnown"`
}
