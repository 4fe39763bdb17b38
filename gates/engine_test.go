package gates_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// engine answers with Prometheus' own query engine. Its time begins at the
// Unix epoch.
type engine struct {
	engine *promql.Engine
	series []storage.Series
}

// load makes an engine from series in Prometheus' notation for tests, one
// sample every 15 s.
func load(t *testing.T, series string) *engine {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	e := &engine{engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, Parser: p})}
	t.Cleanup(func() { _ = e.engine.Close() })
	for line := range strings.Lines(strings.TrimSpace(series)) {
		ls, values, err := p.ParseSeriesDesc(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("read %s: %v", line, err)
		}
		var samples []chunks.Sample
		for i, v := range values {
			if !v.Omitted {
				samples = append(samples, sample{t: int64(i) * 15000, v: v.Value})
			}
		}
		e.series = append(e.series, storage.NewListSeries(ls, samples))
	}
	return e
}

// sample is a float in a series.
type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// Querier implements storage.Queryable.
func (e *engine) Querier(_, _ int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
		found := &seriesSet{}
		for _, s := range e.series {
			ok := true
			for _, m := range ms {
				ok = ok && m.Matches(s.Labels().Get(m.Name))
			}
			if ok {
				found.left = append(found.left, s)
			}
		}
		return found
	}}, nil
}

type seriesSet struct {
	left []storage.Series
	at   storage.Series
}

func (s *seriesSet) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.at, s.left = s.left[0], s.left[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return s.at }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

func (e *engine) Query(ctx context.Context, query string, at time.Time) (gates.Reply, error) {
	q, err := e.engine.NewInstantQuery(ctx, e, nil, query, at)
	if err != nil {
		return gates.Reply{}, &gates.QueryError{Refused: true, Err: err}
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return gates.Reply{}, &gates.QueryError{Refused: true, Err: res.Err}
	}
	switch v := res.Value.(type) {
	case promql.Scalar:
		return gates.Reply{Kind: gates.Scalar, Series: []gates.Series{{Points: []gates.Point{point(v.T, v.V)}}}}, nil
	case promql.Vector:
		r := gates.Reply{Kind: gates.Vector}
		for _, s := range v {
			r.Series = append(r.Series, gates.Series{Labels: set(s.Metric), Points: []gates.Point{point(s.T, s.F)}})
		}
		return r, nil
	case promql.Matrix:
		r := gates.Reply{Kind: gates.Matrix}
		for _, s := range v {
			var points []gates.Point
			for _, p := range s.Floats {
				points = append(points, point(p.T, p.F))
			}
			r.Series = append(r.Series, gates.Series{Labels: set(s.Metric), Points: points})
		}
		return r, nil
	}
	return gates.Reply{}, &gates.QueryError{Refused: true, Err: context.Canceled}
}

func point(ms int64, v float64) gates.Point {
	return gates.Point{Time: time.UnixMilli(ms).UTC(), Value: v}
}

func set(ls labels.Labels) map[string]string { return ls.Map() }

// second is a moment of an engine's time.
func second(s int) time.Time { return time.Unix(int64(s), 0).UTC() }

// TestPresets holds the presets against Prometheus' own engine.
func TestPresets(t *testing.T) {
	const canary = `pod=~"new-.*"`
	cases := []struct {
		name   string
		check  string
		series string
		since  int
		at     int
		window time.Duration

		outcome pipeline.Outcome
		result  gates.Result
		value   float64
		samples float64
	}{{
		name:  "one error on a new pod counts, which increase would not see",
		check: `errorRate: {max: 0.5%, minSamples: 100}`,
		series: `http_requests_total{pod="new-a",status="200"} _x4 0+10x20
		         http_requests_total{pod="new-a",status="500"} _x10 1x20`,
		since: 60, at: 300,
		outcome: pipeline.Fail, result: gates.Value, value: 100 * 1. / 161, samples: 161,
	}, {
		name:   "the first request of a pod that has just been born counts",
		check:  `errorRate: {max: 1%, minSamples: 1}`,
		series: `http_requests_total{pod="new-a",status="500"} _x20 1`,
		since:  280, at: 305,
		outcome: pipeline.Fail, result: gates.Value, value: 100, samples: 1,
	}, {
		name:  "a restart of a container loses nothing",
		check: `errorRate: {max: 50%, minSamples: 10}`,
		series: `http_requests_total{pod="new-a",status="200"} 0 10 20 30 5 15 25 35 45
		         http_requests_total{pod="new-a",status="500"} 0 1 2 3 1 1 1 1 1`,
		since: 0, at: 120,
		outcome: pipeline.Pass, result: gates.Value, value: 100 * 4. / 79, samples: 79,
	}, {
		name:  "what happened before the track got traffic does not count",
		check: `errorRate: {max: 1%, minSamples: 10}`,
		series: `http_requests_total{pod="new-a",status="200"} 0+10x40
		         http_requests_total{pod="new-a",status="500"} 0+10x20 200x20`,
		since: 300, at: 420,
		outcome: pipeline.Pass, result: gates.Value, value: 0, samples: 80,
	}, {
		name:  "the errors of a pod that is gone count",
		check: `errorRate: {max: 5%, minSamples: 10}`,
		series: `http_requests_total{pod="new-a",status="200"} 0+10x40
		         http_requests_total{pod="new-b",status="500"} 0+10x36 stale`,
		since: 480, at: 600,
		outcome: pipeline.Fail, result: gates.Value, value: 100 * 40. / 120, samples: 120,
	}, {
		name:  "other tracks do not count",
		check: `errorRate: {max: 5%, minSamples: 10}`,
		series: `http_requests_total{pod="new-a",status="200"} 0+10x40
		         http_requests_total{pod="old-a",status="500"} 0+10x40`,
		since: 0, at: 600,
		outcome: pipeline.Pass, result: gates.Value, value: 0, samples: 80,
	}, {
		name:    "little traffic widens the window",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="new-a",status="200"} 0+1x120`,
		since:   0,
		at:      1200,
		outcome: pipeline.Pass, result: gates.Value, value: 0, samples: 80,
	}, {
		name:    "little traffic in all is too little",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="new-a",status="200"} 0+1x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.FewSamples, value: 0, samples: 40,
	}, {
		name:    "errors that no clean rest could make up for fail before there are enough samples",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="new-a",status="503"} 0+1x8`,
		since:   0,
		at:      60,
		outcome: pipeline.Fail, result: gates.Value, value: 100, samples: 4,
	}, {
		name:    "traffic that stopped is not well for what it was",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="new-a",status="200"} 0+10x20 200x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.NoTraffic, samples: 0,
	}, {
		name:    "samples that stopped are stale",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="new-a",status="200"} 0+10x34`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.Stale,
	}, {
		name:    "no series",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="old-a",status="200"} 0+10x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.NoData,
	}, {
		name:    "a label for errors that no series has",
		check:   `errorRate: {max: 5%}`,
		series:  `http_requests_total{pod="new-a",code="500"} 0+10x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Fail, result: gates.BadQuery,
	}, {
		name:  "requests to leave out",
		check: `errorRate: {max: 5%, where: 'path!="/health"', errors: 'code=~"5..|429"'}`,
		series: `http_requests_total{pod="new-a",code="200",path="/health"} 0+100x40
		         http_requests_total{pod="new-a",code="429",path="/"} 0+10x40
		         http_requests_total{pod="new-a",code="200",path="/"} 0+30x40`,
		since: 0, at: 600,
		outcome: pipeline.Fail, result: gates.Value, value: 25, samples: 320,
	}, {
		name:   "latency within",
		check:  `latency: {quantile: 0.95, max: 1s}`,
		series: buckets("new-a", 90, 96, 100, 100),
		since:  0, at: 600,
		outcome: pipeline.Pass, result: gates.Value, value: 0.5 + 0.5*5/6, samples: 800,
	}, {
		name:   "latency over",
		check:  `latency: {quantile: 0.95, max: 1s}`,
		series: buckets("new-a", 90, 94, 98, 100),
		since:  0, at: 600,
		outcome: pipeline.Fail, result: gates.Value, value: 1 + 1.5*1/4, samples: 800,
	}, {
		name:   "latency between two bounds",
		check:  `latency: {quantile: 0.95, max: 800ms}`,
		series: buckets("new-a", 90, 96, 98, 100),
		since:  0, at: 600,
		outcome: pipeline.Inconclusive, result: gates.BetweenBounds, value: 0.5 + 0.5*5/6, samples: 800,
	}, {
		name:   "latency without requests",
		check:  `latency: {quantile: 0.95, max: 1s}`,
		series: buckets("new-a", 0, 0, 0, 0),
		since:  0, at: 600,
		outcome: pipeline.Inconclusive, result: gates.NoTraffic, samples: 0,
	}, {
		name:  "the busiest pod, without cAdvisor's sums",
		check: `cpu: 80%`,
		series: `container_cpu_usage_seconds_total{namespace="n",pod="new-a",container="app"} 0+6x40
		         container_cpu_usage_seconds_total{namespace="n",pod="new-a",container="side"} 0+3x40
		         container_cpu_usage_seconds_total{namespace="n",pod="new-a",container=""} 0+9x40
		         container_cpu_usage_seconds_total{namespace="n",pod="new-a",container="POD"} 0+9x40
		         container_cpu_usage_seconds_total{namespace="n",pod="new-b",container="app"} 0+1x40`,
		since: 0, at: 600,
		outcome: pipeline.Pass, result: gates.Value, value: 60,
	}, {
		name:  "cpu of the limit",
		check: `cpu: {max: 80%, of: limit}`,
		series: `container_cpu_usage_seconds_total{namespace="n",pod="new-a",container="app"} 0+27x40
		         container_spec_cpu_quota{namespace="n",pod="new-a",container="app"} 200000x40
		         container_spec_cpu_period{namespace="n",pod="new-a",container="app"} 100000x40`,
		since: 0, at: 600,
		outcome: pipeline.Fail, result: gates.Value, value: 90,
	}, {
		name:   "a window that is too young for a rate",
		check:  `cpu: 80%`,
		series: `container_cpu_usage_seconds_total{namespace="n",pod="new-a",container="app"} 0+6x40`,
		since:  570, at: 600,
		outcome: pipeline.Inconclusive, result: gates.TooEarly,
	}, {
		name:  "the peak of the fullest container, and none without a limit",
		check: `memory: 80%`,
		series: `container_memory_usage_bytes{namespace="n",pod="new-a",container="app"} 50x36 90 50 50 50
		         container_memory_usage_bytes{namespace="n",pod="new-a",container="side"} 5000x40
		         container_spec_memory_limit_bytes{namespace="n",pod="new-a",container="app"} 100x40
		         container_spec_memory_limit_bytes{namespace="n",pod="new-a",container="side"} 0x40`,
		since: 0, at: 600,
		outcome: pipeline.Fail, result: gates.Value, value: 90,
	}, {
		name:    "no container has a limit",
		check:   `memory: 80%`,
		series:  `container_memory_usage_bytes{namespace="n",pod="new-a",container="app"} 50x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.NoData,
	}, {
		name:    "a query of the user's",
		check:   `query: 'sum(rate(failures_total{${{ selector }}}[${{ window }}]))', max: 0.2`,
		series:  `failures_total{pod="new-a"} 0+3x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Pass, result: gates.Value, value: 0.2,
	}, {
		name:  "a query with several series",
		check: `query: 'rate(failures_total{${{ selector }}}[${{ window }}])', max: 0.2`,
		series: `failures_total{pod="new-a"} 0+3x40
		         failures_total{pod="new-b"} 0+3x40`,
		since: 0, at: 600,
		outcome: pipeline.Fail, result: gates.SeveralSeries,
	}, {
		name:    "nothing divided by nothing",
		check:   `query: 'sum(rate(failures_total[${{ window }}])) / sum(rate(failures_total[${{ window }}]))', max: 0.2`,
		series:  `failures_total{pod="new-a"} 5x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.NonFinite,
	}, {
		name:    "a query with few samples",
		check:   `query: 'vector(0)', max: 0.2, samples: 'sum(increase(seen_total{${{ selector }}}[${{ window }}]))'`,
		series:  `seen_total{pod="new-a"} 0+3x40`,
		since:   0,
		at:      600,
		outcome: pipeline.Inconclusive, result: gates.FewSamples, samples: 24,
	}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.window == 0 {
				c.window = 2 * time.Minute
			}
			w := gate(t, "[{"+c.check+"}]").Watch(gates.Providers{Metrics: load(t, c.series)},
				gates.Target{Track: "canary", Selector: canary, Since: second(c.since), Window: c.window})
			v := w.Look(t.Context(), second(c.at))
			m := v.Evidence[0]
			if m.Outcome != c.outcome || m.Result != string(c.result) {
				t.Errorf("got %s (%s), want %s (%s): %s", m.Outcome, m.Result, c.outcome, c.result, m.Reason)
			}
			if m.Value != nil && !near(*m.Value, c.value) {
				t.Errorf("got value %v, want %v", *m.Value, c.value)
			}
			if m.Value == nil && c.result == gates.Value {
				t.Error("got no value")
			}
			if strings.Contains(m.Bound, "%") != (m.Unit == "%") || m.Bound != "" && m.Max == nil {
				t.Errorf("got the bound %q with max %v and unit %q", m.Bound, m.Max, m.Unit)
			}
			if m.Samples != nil && !near(*m.Samples, c.samples) || m.Samples == nil && c.samples != 0 {
				t.Errorf("got %v samples, want %v", m.Samples, c.samples)
			}
		})
	}
}

// TestIncreaseLosesTheFirstError shows why errors are counted from raw samples.
func TestIncreaseLosesTheFirstError(t *testing.T) {
	e := load(t, `http_requests_total{pod="new-a",status="500"} _x10 1x20`)
	r, err := e.Query(t.Context(), `sum(increase(http_requests_total{status=~"5.."}[4m]))`, second(300))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Series) != 1 || r.Series[0].Points[0].Value != 0 {
		t.Errorf("got %+v, want increase() to see no error; if it now does, the raw count may go", r)
	}
}

func near(got, want float64) bool { return got-want < 1e-6 && want-got < 1e-6 }

// buckets is a histogram that grows, every 15 s, by so many requests up to
// 0.5 s, 1 s, 2.5 s and in all.
func buckets(pod string, half, one, more, all int) string {
	var b strings.Builder
	for _, s := range []struct {
		le string
		n  int
	}{{"0.5", half}, {"1.0", one}, {"2.5", more}, {"+Inf", all}} {
		b.WriteString(`http_request_duration_seconds_bucket{pod="` + pod + `",le="` + s.le + `"} 0+`)
		b.WriteString(itoa(s.n) + "x40\n")
	}
	return b.String()
}
