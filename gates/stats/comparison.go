package stats

import (
	"fmt"
)

// Comparison asks at every look whether the canary's requests are bad more
// often than stable's, and raises a false alarm with a chance of at most
// alpha over all looks together, whatever the traffic, the share of the
// canary, the base rate and its drift.
//
// # The test
//
// Of each look it takes as given how many requests went to either track and
// how many of them all were bad. If the odds of a bad request on the canary
// are at most Tolerance times those on stable, the canary's part of the bad
// ones is at most Fisher's noncentral hypergeometric (see [SplitPMF]), and
// independent from look to look. So the distribution of X, their sum so far,
// is known without any estimate: the looks' distributions are convolved.
// Each look has a budget, what [Spending] allows and has not been spent. The
// boundary is the lowest X whose tail, among the paths that have not crossed
// before, fits the budget; that tail is spent and its paths are taken out.
//
// # Why it holds
//
// Boundaries depend on what was taken as given, never on X. Given that, the
// chance of ever crossing is the sum of the tails that were spent, which is
// at most alpha. Odds below the tolerated ones make every look's count
// stochastically smaller. A shared outage or the time of day changes how many
// are bad in all, not how they are split. What one look cannot spend, since
// counts are whole numbers, later ones can.
//
// Three things make it see more with little traffic, and keep the proof:
//
//   - The guards MinBad and MinExcess are thresholds for X that follow from
//     what is given, so they raise the boundary before it is paid for: no
//     alpha goes into alarms that a guard would hold back.
//   - The test of the last four looks (Late) is the same exact convolution
//     over these looks, added up by the union bound. It may take up to 0.3 of
//     alpha, but what it cannot spend is left to the other.
//   - In a [Family] what other checks cannot spend is lent.
//
// It takes the bad requests of a look as independent. Where they come in
// bursts, Guards.Dispersion divides the counts; where that is not given it
// is estimated from stable's own looks once there are enough of them.
//
// A Comparison is a pure function of its looks: the same looks make the same
// judgements, so it is rebuilt by adding them again. Not safe for concurrent
// use.
type Comparison struct{ test }

// NewComparison returns a comparison without looks. It refuses settings that
// make no sense.
func NewComparison(s Settings) (*Comparison, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if !(s.Tolerance >= 1 && s.Tolerance <= 1000) {
		return nil, fmt.Errorf("make test: tolerance %v is not from 1 to 1000", s.Tolerance)
	}
	return &Comparison{test: newTest(s, ratioNull{psi: s.Tolerance, guards: s.Guards})}, nil
}

// Add makes look k, from 1 on, later than those before; an earlier number
// counts as the last one's. Looks that are missing are not added.
func (c *Comparison) Add(k int, l Look) Judgement { return c.add(k, l) }

// Clone returns a comparison that goes on from here by itself.
func (c *Comparison) Clone() *Comparison { return &Comparison{test: c.clone()} }

// Limit asks at every look whether a track's requests are bad more often than
// a fixed share allows: an objective, or after a switch that left no stable
// track. It is [Comparison] with binomial counts in place of split ones, and
// keeps the same promise as long as requests are independent: bad weather
// that hits everything raises its alarm as well.
//
// Where the dispersion is known, requests are divided by it like bad ones.
type Limit struct{ test }

// NewLimit returns a limit without looks. It refuses settings that make no
// sense.
func NewLimit(s Settings) (*Limit, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if !(s.Share >= 0 && s.Share < 1) {
		return nil, fmt.Errorf("make test: limit %v is not a share below 1", s.Share)
	}
	return &Limit{test: newTest(s, shareNull{p: s.Share, guards: s.Guards})}, nil
}

// Add makes look k as [Comparison.Add] does.
func (t *Limit) Add(k int, a Arm) Judgement { return t.add(k, Look{Canary: a}) }

// Clone returns a limit that goes on from here by itself.
func (t *Limit) Clone() *Limit { return &Limit{test: t.clone()} }
