package gates

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// ErrorRate asks which share of the requests failed. It counts them from raw
// samples of a counter.
type ErrorRate struct {
	Pos        source.Pos
	Max        source.Percent `yaml:"max" required:"true" short:"true" doc:"The largest share of requests that may fail." example:"5%"`
	Metric     source.String  `yaml:"metric" default:"http_requests_total" pattern:"^[a-zA-Z_:][a-zA-Z0-9_:]*$" words:"the name of a metric" doc:"A counter of requests."`
	Errors     source.String  `yaml:"errors" default:"status=~\"5..\"" doc:"PromQL matchers of the requests that failed."`
	Where      source.String  `yaml:"where" doc:"PromQL matchers of the requests that count at all. Leave out probes, which dilute errors." example:"path!~\"/health|/metrics\""`
	MinSamples source.Int     `yaml:"minSamples" min:"1" doc:"Below this number of requests the check is inconclusive. Default: 3 divided by max (60 for 5%), from 20 to 1000, which is how many requests without an error it takes to show, with 95 % confidence, that the rate is below max."`
}

// Check reports matchers that are none.
func (e *ErrorRate) Check(report func(source.Problem)) {
	checkMatchers(report, e.Errors, e.Where)
	if ms, err := parseMatchers(e.Errors.Value); err == nil && len(ms) == 0 {
		report(source.Problem{Pos: e.Errors.Pos, Width: 1, Message: "errors names no label", Hint: `such as status=~"5.."`})
	}
}

func (e *ErrorRate) needed() float64 {
	if e.MinSamples.Value > 0 {
		return float64(e.MinSamples.Value)
	}
	return needed(e.Max.Share())
}

func (e *ErrorRate) ask(ctx context.Context, l look) answer {
	failed, err := parseMatchers(e.Errors.Value)
	if err != nil {
		return answer{}.with(BadQuery, err.Error())
	}
	a, t := e.count(ctx, l, failed, l.window)
	if wider := l.wider(); wider > 0 && a.result == "" && t.judge(e.Max.Share(), e.needed()) == tooFew {
		a, t = e.count(ctx, l, failed, wider)
	}
	a.bound, a.max, a.unit = "max "+e.Max.String(), new(e.Max.Value), "%"
	if a.result != "" {
		return a
	}
	a.samples = new(t.all)
	verb := "of " + plural(t.all, "request") + " failed in " + span(t.span)
	switch t.judge(e.Max.Share(), e.needed()) {
	case none:
		return a.with(NoTraffic, "there were no requests in "+span(t.span))
	case tooFew:
		a.value = new(t.bad / t.all * 100)
		return a.with(FewSamples, fmt.Sprintf("%s %s, and it takes %s to tell", number(t.bad), verb, number(e.needed())))
	case over:
		a.value = new(t.bad / t.all * 100)
		return a.with(Value, fmt.Sprintf("%s %s (%s), more than %s", number(t.bad), verb, percent(t.bad/t.all), e.Max))
	case within, unclear:
	}
	a.value, a.good = new(t.bad/t.all*100), true
	return a.with(Value, fmt.Sprintf("%s %s (%s), at most %s may", number(t.bad), verb, percent(t.bad/t.all), e.Max))
}

// count asks for the raw samples of a window. The answer has a result only
// when there is nothing to judge.
func (e *ErrorRate) count(ctx context.Context, l look, failed []*labels.Matcher, window time.Duration) (answer, tally) {
	start := l.at.Add(-window)
	selector := matchers(l.selector, e.Where.Value)
	series, a := l.raw(ctx, e.Metric.Value, selector, start)
	if a.result != "" {
		return a, tally{}
	}
	if m := unknownLabel(series, failed); m != nil {
		return a.with(BadQuery, fmt.Sprintf("no series of %s has the label %s, so errors cannot be told by %s; set errors: to the matchers of failed requests",
			e.Metric.Value, m.Name, m)), tally{}
	}
	t := tally{span: l.at.Sub(start)}
	for _, s := range series {
		n := increase(s.Points, start)
		t.all += n
		if matches(s.Labels, failed) {
			t.bad += n
		}
	}
	t.doubtful = t.bad
	return a, t
}

// raw fetches the samples since start and those shortly before it.
func (l look) raw(ctx context.Context, metric, selector string, start time.Time) ([]Series, answer) {
	q := fmt.Sprintf("%s{%s}[%s]", metric, selector, promDuration(l.at.Sub(start)+lookback))
	reply, bad := l.metrics(ctx, q)
	if bad != nil {
		return nil, *bad
	}
	a := answer{query: q}
	if reply.Kind != Matrix {
		return nil, a.with(BadQuery, "the provider does not answer with samples")
	}
	if len(reply.Series) == 0 {
		return nil, a.with(NoData, fmt.Sprintf("no series matches %s{%s}", metric, selector))
	}
	if age := l.at.Sub(newest(reply.Series)); age > tooOld(reply.Series, l.gate.ScrapeInterval.Value) {
		return nil, a.with(Stale, fmt.Sprintf("the newest sample of %s is %s old", metric, span(age)))
	}
	return reply.Series, a
}

// unknownLabel returns a matcher whose label no series has: then nothing
// would ever match, and all errors would go unseen.
func unknownLabel(series []Series, ms []*labels.Matcher) *labels.Matcher {
	for _, m := range ms {
		if !slices.ContainsFunc(series, func(s Series) bool { _, ok := s.Labels[m.Name]; return ok }) {
			return m
		}
	}
	return nil
}

func matches(set map[string]string, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(set[m.Name]) {
			return false
		}
	}
	return true
}

// parseMatchers reads PromQL label matchers without braces.
func parseMatchers(s string) ([]*labels.Matcher, error) {
	if s == "" {
		return nil, nil
	}
	ms, err := newParser().ParseMetricSelector("{" + s + "}")
	if err != nil {
		return nil, fmt.Errorf("read matchers %s: %s", s, plainParseError(err, 1))
	}
	return ms, nil
}
