package gates

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Latency asks whether a quantile of the requests' durations is within a
// limit. It counts, from raw samples of a histogram's buckets, the requests
// that took longer: the 95th percentile is at most 1 s exactly when no more
// than 5 % of the requests take longer than 1 s.
type Latency struct {
	Pos        source.Pos
	Quantile   source.Float    `yaml:"quantile" default:"0.95" min:"0.5" max:"0.9999" doc:"Which quantile is held against max."`
	Max        source.Duration `yaml:"max" required:"true" short:"true" min:"1ms" doc:"The longest duration that is well; best one of the bounds of the histogram." example:"1s"`
	Metric     source.String   `yaml:"metric" default:"http_request_duration_seconds_bucket" pattern:"^[a-zA-Z_:][a-zA-Z0-9_:]*$" words:"the name of a metric" doc:"The buckets of a classic histogram of durations."`
	Unit       source.String   `yaml:"unit" default:"s" enum:"s|ms" doc:"What the histogram counts in."`
	Where      source.String   `yaml:"where" doc:"PromQL matchers of the requests that count at all." example:"path!~\"/health|/metrics\""`
	MinSamples source.Int      `yaml:"minSamples" min:"1" doc:"Below this number of requests the check is inconclusive. Default: 3 divided by the share that may take longer (60 for quantile 0.95), from 20 to 1000."`
}

// manySeries is how many bucket series are fetched whole; of more, only the
// buckets next to the limit are.
const manySeries = 4000

// Check reports matchers that are none.
func (c *Latency) Check(report func(source.Problem)) { checkMatchers(report, c.Where) }

func (c *Latency) share() float64 { return 1 - c.Quantile.Value }

func (c *Latency) needed() float64 {
	if c.MinSamples.Value > 0 {
		return float64(c.MinSamples.Value)
	}
	return needed(c.share())
}

// limit is Max in the unit of the histogram.
func (c *Latency) limit() float64 {
	if c.Unit.Value == "ms" {
		return c.Max.Value.Seconds() * 1000
	}
	return c.Max.Value.Seconds()
}

func (c *Latency) ask(ctx context.Context, l look) answer {
	bounds, a := c.bounds(ctx, l)
	if a.result == "" {
		a = c.judge(ctx, l, bounds)
	}
	a.bound = fmt.Sprintf("p%s max %s", number(c.Quantile.Value*100), span(c.Max.Value))
	a.max, a.unit = new(c.Max.Value.Seconds()), "s"
	return a
}

func (c *Latency) judge(ctx context.Context, l look, bounds []bucket) answer {
	lo, hi := around(bounds, c.limit())
	a, t, counted := c.count(ctx, l, bounds, l.window)
	if wider := l.wider(); wider > 0 && a.result == "" && t.judge(c.share(), c.needed()) == tooFew {
		a, t, counted = c.count(ctx, l, bounds, wider)
	}
	if a.result != "" {
		return a
	}
	a.samples = new(t.all)
	if t.all > 0 {
		a.value = c.estimate(counted, t.all)
	}
	slow := fmt.Sprintf("%s of %s in %s took longer than %s", number(t.bad), plural(t.all, "request"), span(t.span), span(c.Max.Value))
	switch t.judge(c.share(), c.needed()) {
	case none:
		return a.with(NoTraffic, "there were no requests in "+span(t.span))
	case tooFew:
		return a.with(FewSamples, fmt.Sprintf("%s, and it takes %s to tell", slow, number(c.needed())))
	case over:
		return a.with(Value, fmt.Sprintf("%s (%s), more than %s", slow, percent(t.bad/t.all), percent(c.share())))
	case unclear:
		return a.with(BetweenBounds, fmt.Sprintf("between %s and %s of %s in %s took longer than %s: the histogram has no bound between %s and %s; set max to one of these",
			number(t.bad), number(t.doubtful), plural(t.all, "request"), span(t.span), span(c.Max.Value), c.time(lo), c.time(hi)))
	case within:
	}
	a.good = true
	return a.with(Value, fmt.Sprintf("%s of %s in %s took longer than %s (%s), at most %s may",
		number(t.doubtful), plural(t.all, "request"), span(t.span), span(c.Max.Value), percent(t.doubtful/t.all), percent(c.share())))
}

// bucket is a bound of the histogram, as a number and as its label says, and
// how many series or requests it has.
type bucket struct {
	bound float64
	label string
	n     float64
}

// bounds asks which buckets there are, and how many series of each.
func (c *Latency) bounds(ctx context.Context, l look) ([]bucket, answer) {
	q := fmt.Sprintf("count by (le) (%s{%s})", c.Metric.Value, matchers(l.selector, c.Where.Value))
	reply, bad := l.metrics(ctx, q)
	if bad != nil {
		return nil, *bad
	}
	a := answer{query: q}
	if len(reply.Series) == 0 {
		return nil, a.with(NoData, fmt.Sprintf("no series matches %s{%s}", c.Metric.Value, matchers(l.selector, c.Where.Value)))
	}
	var bounds []bucket
	for _, s := range reply.Series {
		bound, err := strconv.ParseFloat(s.Labels["le"], 64)
		if err != nil || math.IsNaN(bound) || len(s.Points) != 1 {
			return nil, a.with(BadQuery, c.Metric.Value+" is no histogram: it has series without a bound in the label le")
		}
		bounds = append(bounds, bucket{bound: bound, label: s.Labels["le"], n: s.Points[0].Value})
	}
	slices.SortFunc(bounds, func(x, y bucket) int { return cmp.Compare(x.bound, y.bound) })
	if !math.IsInf(bounds[len(bounds)-1].bound, 1) {
		return nil, a.with(BadQuery, c.Metric.Value+` is no whole histogram: it has no bucket le="+Inf"`)
	}
	return bounds, a
}

// around returns the last bound up to the limit (0 when there is none) and
// the first from it on.
func around(bounds []bucket, limit float64) (lo, hi float64) {
	const slack = 1e-9
	hi = math.Inf(1)
	for _, b := range bounds {
		if b.bound <= limit*(1+slack) {
			lo = b.bound
		}
		if b.bound >= limit*(1-slack) {
			return lo, b.bound
		}
	}
	return lo, hi
}

// count asks for the raw samples of the buckets. Requests that took longer
// than the first bound from the limit on are surely too slow; those longer
// than the last bound up to it may be.
func (c *Latency) count(ctx context.Context, l look, bounds []bucket, window time.Duration) (answer, tally, map[float64]float64) {
	start := l.at.Add(-window)
	lo, hi := around(bounds, c.limit())
	selector := matchers(l.selector, c.Where.Value)
	if series := total(bounds); series > manySeries {
		selector = matchers(selector, only(bounds, lo, hi))
	}
	series, a := l.raw(ctx, c.Metric.Value, selector, start)
	if a.result != "" {
		return a, tally{}, nil
	}
	counted := map[float64]float64{}
	for _, s := range series {
		if bound, err := strconv.ParseFloat(s.Labels["le"], 64); err == nil {
			counted[bound] += increase(s.Points, start)
		}
	}
	all := counted[math.Inf(1)]
	return a, tally{all: all, bad: max(0, all-counted[hi]), doubtful: max(0, all-counted[lo]), span: l.at.Sub(start)}, counted
}

func total(bounds []bucket) float64 {
	var n float64
	for _, b := range bounds {
		n += b.n
	}
	return n
}

// only is a matcher for the buckets next to the limit and the one of all.
func only(bounds []bucket, lo, hi float64) string {
	var labels []string
	for _, b := range bounds {
		if b.bound == lo || b.bound == hi || math.IsInf(b.bound, 1) {
			labels = append(labels, regexp.QuoteMeta(b.label))
		}
	}
	return "le=~" + strconv.Quote(strings.Join(labels, "|"))
}

// estimate is the quantile in seconds by linear interpolation inside its
// bucket, for people; the verdict rests on counts. It is nil where the
// quantile is above the last bound.
func (c *Latency) estimate(counted map[float64]float64, all float64) *float64 {
	bounds := make([]float64, 0, len(counted))
	for b := range counted {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	rank := c.Quantile.Value * all
	var below, under float64
	for _, b := range bounds {
		n := counted[b]
		if n >= rank && !math.IsInf(b, 1) {
			v := b
			if n > under {
				v = below + (b-below)*(rank-under)/(n-under)
			}
			if c.Unit.Value == "ms" {
				v /= 1000
			}
			return new(v)
		}
		below, under = b, n
	}
	return nil
}

// time writes a bound of the histogram.
func (c *Latency) time(bound float64) string {
	if math.IsInf(bound, 1) {
		return "infinity"
	}
	if c.Unit.Value == "ms" {
		bound /= 1000
	}
	return seconds(bound)
}
