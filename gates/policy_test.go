package gates_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
)

// fake answers queries by what they contain; the longest key found in a query
// wins. It honours ctx.
type fake map[string]func() (gates.Reply, error)

func (f fake) Query(ctx context.Context, query string, at time.Time) (gates.Reply, error) {
	if ctx.Err() != nil {
		return gates.Reply{}, context.Cause(ctx)
	}
	best := ""
	for key := range f {
		if strings.Contains(query, key) && len(key) >= len(best) {
			best = key
		}
	}
	answer, ok := f[best]
	if !ok {
		return gates.Reply{}, &gates.QueryError{Refused: true, Err: fmt.Errorf("the fake does not know %s", query)}
	}
	r, err := answer()
	for i := range r.Series {
		for j := range r.Series[i].Points {
			if r.Series[i].Points[j].Time.IsZero() {
				r.Series[i].Points[j].Time = at
			}
		}
	}
	return r, err
}

func vector(values ...float64) func() (gates.Reply, error) {
	return func() (gates.Reply, error) {
		r := gates.Reply{Kind: gates.Vector}
		for i, v := range values {
			r.Series = append(r.Series, gates.Series{Labels: map[string]string{"pod": fmt.Sprintf("p-%d", i)}, Points: []gates.Point{{Value: v}}})
		}
		return r, nil
	}
}

func failing(e gates.QueryError) func() (gates.Reply, error) {
	return func() (gates.Reply, error) { return gates.Reply{}, &e }
}

func warned() (gates.Reply, error) {
	r, _ := vector(0)()
	r.Warnings = []string{"store b could not be reached"}
	return r, nil
}

func matrix() (gates.Reply, error) {
	r, _ := vector(0)()
	r.Kind = gates.Matrix
	return r, nil
}

// answers has one entry per result that a query can have.
func answers() map[gates.Result]fake {
	return map[gates.Result]fake{
		gates.Value:         {"q": vector(5)},
		gates.NoData:        {"q": vector()},
		gates.NoTraffic:     {"q": vector(0), "n": vector(0)},
		gates.FewSamples:    {"q": vector(0), "n": vector(7)},
		gates.NonFinite:     {"q": vector(math.NaN())},
		gates.Partial:       {"q": warned},
		gates.Unavailable:   {"q": failing(gates.QueryError{Retryable: true, Err: errors.New("connection refused")})},
		gates.SeveralSeries: {"q": vector(0, 0)},
		gates.BadQuery:      {"q": failing(gates.QueryError{Refused: true, Err: errors.New("unknown function")})},
	}
}

// TestPolicies holds every result against every policy: only a value within
// its bounds passes, whatever the policies say.
func TestPolicies(t *testing.T) {
	const inconclusive, failed = pipeline.Inconclusive, pipeline.Fail
	policies := []struct {
		name, keys string
		want       map[gates.Result]pipeline.Outcome // all others are inconclusive
	}{
		{"defaults", ``, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed,
		}},
		{"onNoData fail", `onNoData: fail`, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed, gates.NoData: failed,
		}},
		{"onNoTraffic fail", `onNoTraffic: fail`, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed, gates.NoTraffic: failed,
		}},
		{"onNonFinite fail", `onNonFinite: fail`, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed, gates.NonFinite: failed,
		}},
		{"no grace", `metricsGrace: 0s`, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed, gates.Partial: failed, gates.Unavailable: failed,
		}},
		{"pause", `onMetricsUnavailable: pause`, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed,
		}},
		{"failures allowed", `failuresAllowed: 1`, map[gates.Result]pipeline.Outcome{
			gates.SeveralSeries: failed, gates.BadQuery: failed,
		}},
		{"extend", `onInconclusive: extend`, map[gates.Result]pipeline.Outcome{
			gates.Value: failed, gates.SeveralSeries: failed, gates.BadQuery: failed,
		}},
	}
	for _, p := range policies {
		for result, metrics := range answers() {
			t.Run(p.name+"/"+string(result), func(t *testing.T) {
				keys := p.keys
				if keys != "" {
					keys = ", " + keys
				}
				w := gate(t, `{checks: [{query: q, max: 1`+companion(result)+`}]`+keys+`}`).
					Watch(gates.Providers{Metrics: metrics}, gates.Target{})
				v := w.Look(t.Context(), second(1000))
				want, ok := p.want[result]
				if !ok {
					want = inconclusive
				}
				if v.Outcome != want {
					t.Errorf("got %s, want %s: %s", v.Outcome, want, v.Reason)
				}
				if got := v.Evidence[0].Result; got != string(result) {
					t.Errorf("got result %s, want %s", got, result)
				}
				if ok, _ := w.Ready(); ok {
					t.Error("ready without a pass")
				}
				if v.Reason == "" || v.Evidence[0].Reason == "" {
					t.Errorf("got no reason in %+v", v)
				}
			})
		}
	}
}

func companion(r gates.Result) string {
	if r == gates.NoTraffic || r == gates.FewSamples {
		return ", samples: n"
	}
	return ""
}

// TestNoDataOfAYoungTrack: before the first scrapes there is no data, and
// even onNoData: fail cannot mean that.
func TestNoDataOfAYoungTrack(t *testing.T) {
	w := gate(t, `{checks: [{query: q, max: 1}], onNoData: fail}`).
		Watch(gates.Providers{Metrics: fake{"q": vector()}}, gates.Target{Since: second(1000)})
	if v := w.Look(t.Context(), second(1020)); v.Outcome != pipeline.Inconclusive {
		t.Errorf("got %s at 20s, want inconclusive", v.Outcome)
	}
	if v := w.Look(t.Context(), second(1040)); v.Outcome != pipeline.Fail {
		t.Errorf("got %s at 40s, want fail", v.Outcome)
	}
}

// TestSentences keeps what people read.
func TestSentences(t *testing.T) {
	var b strings.Builder
	write := func(title string, v pipeline.Verdict) {
		fmt.Fprintf(&b, "# %s\n%s: %s\n", title, v.Outcome, v.Reason)
		for _, m := range v.Evidence {
			fmt.Fprintf(&b, "  %s %s", m.Check, m.Result)
			if m.Value != nil {
				fmt.Fprintf(&b, " value=%.4g", *m.Value)
			}
			if m.Samples != nil {
				fmt.Fprintf(&b, " samples=%g", *m.Samples)
			}
			fmt.Fprintf(&b, " (%s)\n    %s\n    %s\n", m.Bound, m.Reason, m.Query)
		}
		b.WriteByte('\n')
	}
	for _, r := range gates.Results() {
		if metrics, ok := answers()[r]; ok {
			w := gate(t, `[{query: q, max: 1, unit: req/s`+companion(r)+`}]`).Watch(gates.Providers{Metrics: metrics}, gates.Target{})
			write("query: "+string(r), w.Look(t.Context(), second(1000)))
		}
	}
	write("query: a range", gate(t, `[{query: q, max: 1}]`).
		Watch(gates.Providers{Metrics: fake{"q": matrix}}, gates.Target{}).Look(t.Context(), second(1000)))
	for _, c := range []struct{ name, check, series string }{
		{"errors within", `errorRate: 5%`, `http_requests_total{status="200"} 0+100x40`},
		{"errors over", `errorRate: 5%`, "http_requests_total{status=\"200\"} 0+90x40\nhttp_requests_total{status=\"502\"} 0+10x40"},
		{"few requests", `errorRate: 0.1%`, `http_requests_total{status="200"} 0+1x40`},
		{"no requests", `errorRate: 5%`, `http_requests_total{status="200"} 7x40`},
		{"stale", `errorRate: 5%`, `http_requests_total{status="200"} 7x30`},
		{"no series", `errorRate: 5%`, `other_total 7x40`},
		{"unknown label", `errorRate: 5%`, `http_requests_total{code="200"} 0+100x40`},
		{"latency within", `latency: 1s`, buckets("a", 90, 96, 100, 100)},
		{"latency over", `latency: 1s`, buckets("a", 90, 94, 98, 100)},
		{"latency between", `latency: 800ms`, buckets("a", 90, 96, 98, 100)},
		{"latency, few requests", `latency: {max: 1s, quantile: 0.999}`, buckets("a", 1, 1, 1, 1)},
		{"no histogram", `latency: 1s`, `http_request_duration_seconds_bucket{le="1"} 0+1x40`},
		{"cpu within", `cpu: 80%`, `container_cpu_usage_seconds_total{namespace="n",pod="a",container="c"} 0+6x40`},
		{"cpu over", `cpu: 30%`, `container_cpu_usage_seconds_total{namespace="n",pod="a",container="c"} 0+6x40`},
		{"memory without limit", `memory: 80%`, `container_memory_usage_bytes{namespace="n",pod="a",container="c"} 6x40`},
	} {
		w := gate(t, `[{`+c.check+`}]`).Watch(gates.Providers{Metrics: load(t, c.series)}, gates.Target{Selector: "", Since: second(1)})
		write(c.name, w.Look(t.Context(), second(600)))
	}
	w := gate(t, `[cpu: 80%]`).Watch(gates.Providers{Metrics: fake{}}, gates.Target{Since: second(1000)})
	write("too early", w.Look(t.Context(), second(1030)))
	w = gate(t, `[errorRate: 5%, {name: checkout, query: q, max: 1}, {query: q, max: 9}, {query: q, min: 9}]`).Watch(gates.Providers{
		Metrics: fake{"": failing(gates.QueryError{Err: errors.New("connection refused")}), "q": vector(5)},
	}, gates.Target{})
	write("several checks", w.Look(t.Context(), second(1000)))
	w = gate(t, `{checks: [{query: q, max: 1}], failuresAllowed: 1}`).Watch(gates.Providers{Metrics: fake{"q": vector(5)}}, gates.Target{})
	write("an allowed failure", w.Look(t.Context(), second(1000)))
	write("one failure too many", w.Look(t.Context(), second(1030)))
	w = gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{
		Metrics: fake{"q": failing(gates.QueryError{Err: errors.New("connection refused")})},
	}, gates.Target{})
	write("metrics away", w.Look(t.Context(), second(1000)))
	write("metrics away too long", w.Look(t.Context(), second(1300)))
	w = gate(t, `[{query: q, max: 9}, {query: q, max: 8, unit: "%"}]`).Watch(gates.Providers{Metrics: fake{"q": vector(5)}}, gates.Target{})
	write("all well", w.Look(t.Context(), second(1000)))
	for _, c := range []struct {
		name  string
		check string
		doer  doer
	}{
		{"http well", `http: "http://shop/health"`, answerWith(200, "ok")},
		{"http status", `http: "http://shop/health"`, answerWith(503, "")},
		{"http redirect", `http: {url: "http://shop/health", status: 200}`, answerWith(302, "")},
		{"http body", `http: {url: "http://shop/health", contains: "ready"}`, answerWith(200, "starting")},
		{"http refused", `http: "http://user:secret@shop/health?token=secret"`, func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }},
		{"http no url", `http: "shop/health"`, answerWith(200, "ok")},
	} {
		w := gate(t, `[{`+c.check+`}]`).Watch(gates.Providers{HTTP: c.doer}, gates.Target{})
		write(c.name, w.Look(t.Context(), second(1000)))
	}
	for _, c := range []struct {
		name string
		exit gates.Exit
		err  error
	}{
		{"script well", gates.Exit{}, nil},
		{"script failed", gates.Exit{Code: 2, Output: "checking\ncart is empty\n"}, nil},
		{"script cannot be run", gates.Exit{}, errors.New("no shell")},
	} {
		w := gate(t, `[command: ./smoke.sh]`).Watch(gates.Providers{Commands: commander{c.exit, c.err, nil}}, gates.Target{})
		write(c.name, w.Look(t.Context(), second(1000)))
	}
	golden.Equal(t, "sentences.txt", []byte(b.String()))
}
