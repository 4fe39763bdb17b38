package gatebench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
)

// bounds are Prometheus' default buckets, in seconds.
func bounds() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// Durations is the share of requests that take at most a number of seconds.
type Durations func(seconds float64) float64

// LogNormal has a median in seconds and a spread of its logarithm of 0.8.
func LogNormal(median float64) Durations {
	return func(s float64) float64 {
		return 0.5 * math.Erfc(-(math.Log(s)-math.Log(median))/(0.8*math.Sqrt2))
	}
}

// WithSlow makes a share of the requests take three seconds.
func (d Durations) WithSlow(share float64) Durations {
	return func(s float64) float64 {
		if s >= 3 {
			return share + (1-share)*d(s)
		}
		return (1 - share) * d(s)
	}
}

// histogram counts requests by the bucket that they fall into, the last one
// being +Inf.
type histogram [12]int64

func (h *histogram) add(o histogram) {
	for i := range h {
		h[i] += o[i]
	}
}

func (h histogram) total() int64 {
	var sum int64
	for _, n := range h {
		sum += n
	}
	return sum
}

// quantile is Prometheus' estimate, linear within a bucket; NaN without
// requests, and the largest bound for what lies above it.
func (h histogram) quantile(q float64) float64 {
	rank, sum, low := q*float64(h.total()), 0.0, 0.0
	if h.total() == 0 {
		return math.NaN()
	}
	for i, le := range bounds() {
		n := float64(h[i])
		if sum+n >= rank && n > 0 {
			return low + (le-low)*(rank-sum)/n
		}
		sum, low = sum+n, le
	}
	return low
}

// slowTrace is one rollout of a service whose requests take time.
type slowTrace struct {
	scrape          time.Duration
	history         []histogram // stable's
	canary, stable  []histogram
	before, scraped [][]histogram // by pod
}

const latencyHistory = 240

// drawSlow simulates a rollout with 10 % for the canary over 20 scrapes.
func drawSlow(name string, rate float64, stable, canary Durations, run int) *slowTrace {
	const looks, pods = 20, 2
	r := Random(name, run)
	t := &slowTrace{
		scrape: 15 * time.Second, history: make([]histogram, latencyHistory),
		canary: make([]histogram, looks), stable: make([]histogram, looks),
	}
	draw := func(share float64, d Durations) histogram {
		var h histogram
		left, below := Poisson(r, rate*share*t.scrape.Seconds()), 0.0
		for i, le := range bounds() {
			p := d(le)
			if below < 1 {
				h[i] = Binomial(r, left, (p-below)/(1-below))
			}
			left, below = left-h[i], p
		}
		h[len(h)-1] = left
		return h
	}
	for range pods {
		pod := make([]histogram, latencyHistory+looks)
		for i := range pod {
			pod[i] = draw(0.9/pods, stable)
			if i < latencyHistory {
				t.history[i].add(pod[i])
			} else {
				t.stable[i-latencyHistory].add(pod[i])
			}
		}
		t.before = append(t.before, pod)
	}
	for i := range t.canary {
		t.canary[i] = draw(0.1, canary)
	}
	t.scraped = [][]histogram{t.canary}
	return t
}

// looks counts the slow requests of both tracks above some bounds, from the
// buckets that were scraped.
func (t *slowTrace) looks(above []float64) []counts.Look {
	s := counts.Settings{
		Begin: Epoch(), Started: Epoch().Add(-10 * time.Second), Every: t.scrape, Scrape: t.scrape,
		Compare: true, Track: track, Bounds: above,
	}
	var series []counts.Series
	for i, pod := range t.before {
		series = append(series, t.buckets(StableName, i, pod, -latencyHistory)...)
	}
	for i, pod := range t.scraped {
		series = append(series, t.buckets(CanaryName, i, pod, 0)...)
	}
	return counts.Looks(s, series, s.At(len(t.canary)).Add(counts.Lag(s.Scrape)))
}

// buckets is a pod's histogram as it was scraped from shortly before the
// canary on.
func (t *slowTrace) buckets(app string, pod int, all []histogram, first int) []counts.Series {
	les := append(slices.Clone(bounds()), math.Inf(1))
	out := make([]counts.Series, len(les))
	for i, le := range les {
		out[i].Labels = map[string]string{
			"app": app, "pod": fmt.Sprintf("%s-%d", app, pod), "le": strconv.FormatFloat(le, 'f', -1, 64),
		}
	}
	var sum histogram
	for k, h := range all {
		sum.add(h)
		if first+k+1 < -10 {
			continue
		}
		at, n := Epoch().Add(time.Duration(first+k+1)*t.scrape-time.Second), int64(0)
		for i := range les {
			n += sum[i]
			out[i].Points = append(out[i].Points, counts.Point{Time: at, Value: float64(n)})
		}
	}
	return out
}

// nearest are the bounds whose shares of requests, in the history, are next to
// the quantiles that matter, without doubles.
func (t *slowTrace) nearest() []float64 {
	var all histogram
	for _, h := range t.history {
		all.add(h)
	}
	total := float64(all.total())
	var out []float64
	for _, q := range []float64{0.5, 0.95, 0.99, 0.999} {
		best, least, below := 0.0, math.Inf(1), 0.0
		for i, le := range bounds() {
			below += float64(all[i])
			if d := math.Abs(math.Log((1 - below/total + 1e-6) / (1 - q))); d < least {
				best, least = le, d
			}
		}
		if !slices.Contains(out, best) {
			out = append(out, best)
		}
	}
	slices.Sort(out)
	return out
}

// slower are the counts of a history above a bound.
func slower(history []histogram, bound float64) []Counts {
	out := make([]Counts, len(history))
	for i, h := range history {
		out[i].Requests = h.total()
		for j, le := range append(slices.Clone(bounds()), math.Inf(1)) {
			if le > bound {
				out[i].Bad += h[j]
			}
		}
	}
	return out
}
