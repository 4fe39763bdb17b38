package gates

import "github.com/headgate-dev/headgate/pipeline"

// Result says what kind of answer a check got. Only [Value] is held against
// the bounds; every other result has a policy of its own, and none passes.
type Result string

// The results.
const (
	// Value: a number, held against the bounds.
	Value Result = "value"
	// NoData: no series matches. Policy onNoData.
	NoData Result = "noData"
	// Stale: there are series, but their newest sample is too old. Policy
	// onNoData.
	Stale Result = "stale"
	// NoTraffic: there are series, but no request was made. Policy onNoTraffic.
	NoTraffic Result = "noTraffic"
	// FewSamples: too few requests to tell. Held.
	FewSamples Result = "fewSamples"
	// TooEarly: the track has had traffic for less than four scrapes. Held.
	TooEarly Result = "tooEarly"
	// NonFinite: NaN or an infinity. Policy onNonFinite.
	NonFinite Result = "nonFinite"
	// BetweenBounds: the histogram has no bucket bound near enough to the
	// limit to tell. Held.
	BetweenBounds Result = "betweenBounds"
	// Partial: the provider warned that its answer may be incomplete. Policy
	// onMetricsUnavailable.
	Partial Result = "partial"
	// Unavailable: the provider gave no answer. Policy onMetricsUnavailable.
	Unavailable Result = "unavailable"
	// SeveralSeries: more than one series where there must be one. Fails at
	// once, whatever number of failures is allowed.
	SeveralSeries Result = "severalSeries"
	// BadQuery: the query is wrong. Fails at once.
	BadQuery Result = "badQuery"
	// NoAnswer: an http or command check got no answer in time. Fails.
	NoAnswer Result = "noAnswer"
	// NotAsked: the check was not asked, or not waited for.
	NotAsked Result = "notAsked"
)

// Results lists all of them.
func Results() []Result {
	return []Result{
		Value, NoData, Stale, NoTraffic, FewSamples, TooEarly, NonFinite, BetweenBounds,
		Partial, Unavailable, SeveralSeries, BadQuery, NoAnswer, NotAsked,
	}
}

// atOnce reports whether a result ends the watch by itself: a mistake in the
// file, which no further look can mend.
func (r Result) atOnce() bool { return r == SeveralSeries || r == BadQuery }

// unavailable reports whether the metrics' provider was not to be relied on.
func (r Result) unavailable() bool { return r == Unavailable || r == Partial }

// outcome applies the gate's policies to a result. good is meant for [Value]
// alone. young is true while the track may not have been scraped yet.
func (g *Gate) outcome(r Result, good, young bool) pipeline.Outcome {
	policy := hold
	switch r {
	case Value:
		if good {
			return pipeline.Pass
		}
		return pipeline.Fail
	case SeveralSeries, BadQuery, NoAnswer:
		return pipeline.Fail
	case NoData, Stale:
		policy = g.OnNoData.Value
	case NoTraffic:
		policy = g.OnNoTraffic.Value
	case NonFinite:
		policy = g.OnNonFinite.Value
	case FewSamples, TooEarly, BetweenBounds, Partial, Unavailable, NotAsked:
	}
	if policy == fail && !young {
		return pipeline.Fail
	}
	return pipeline.Inconclusive
}

// The words of the policies.
const (
	hold     = "hold"
	fail     = "fail"
	extend   = "extend"
	rollback = "rollback"
	pause    = "pause"
)

// answer is what a check found, before any policy.
type answer struct {
	result Result
	// good is whether a value is within its bounds.
	good    bool
	query   string
	value   *float64
	samples *float64
	bound   string
	// max and min are the bound, in the unit of value.
	max, min *float64
	unit     string
	// reason is one sentence without the check's name.
	reason string
}

func (a answer) with(r Result, reason string) answer {
	a.result, a.reason = r, reason
	return a
}
