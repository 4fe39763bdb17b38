package counts_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/headgate-dev/headgate/gates/counts"
)

func matchers(t *testing.T, s string) []*labels.Matcher {
	t.Helper()
	ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector("{" + s + "}")
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// TestOneQueryForBothTracks: what it asks for holds both tracks, and each
// series is told apart afterwards.
func TestOneQueryForBothTracks(t *testing.T) {
	cases := []struct{ canary, stable, want string }{
		{`namespace="shop",pod=~"a-canary-.{5}"`, `namespace="shop",pod=~"a-.{5}"`, `m{namespace="shop",pod=~"(?:a-canary-.{5})|(?:a-.{5})",path!="/health"}[60s]`},
		{`version="v2",app="a"`, `version="v1",app="a"`, `m{version=~"v2|v1",app="a",path!="/health"}[60s]`},
		{`namespace="blue"`, `namespace="green"`, `m{namespace=~"blue|green",path!="/health"}[60s]`},
		{`app="a",track="canary"`, `app="a",track!="canary"`, `m{app="a",path!="/health"}[60s]`},
		{`pod="a"`, ``, `m{pod="a",path!="/health"}[60s]`},
		{`service="a"`, `workload="a"`, ``},
	}
	for _, c := range cases {
		q := counts.Query{Metric: "m", Canary: matchers(t, c.canary), Where: matchers(t, `path!="/health"`)}
		if c.stable != "" {
			q.Stable = matchers(t, c.stable)
		}
		got, err := q.Raw(start, start.Add(time.Minute))
		if c.want == "" {
			if !errors.Is(err, counts.ErrNothingInCommon) {
				t.Errorf("%s and %s: got %s, %v", c.canary, c.stable, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
		}
	}
}

// TestQueriesArePromQL: the forms for many series and for native histograms,
// too, answer with samples.
func TestQueriesArePromQL(t *testing.T) {
	q := counts.Query{Metric: "d", Canary: matchers(t, `pod="c"`), Stable: matchers(t, `pod="s"`)}
	r := counts.Range{Since: start, At: start.Add(90500 * time.Millisecond), Step: scrape}
	raw, err := q.Raw(start, start.Add(time.Minute), 0.5, 1)
	if want := `d{pod=~"c|s",le=~"0\\.5|1|1\\.0|\\+Inf"}[60s]`; err != nil || raw != want {
		t.Errorf("got %s, want %s", raw, want)
	}
	summed, err := q.Summed([]string{"pod", "le"}, r, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	native, err := q.Native([]string{"pod"}, r, 0.5, 1)
	if err != nil {
		t.Fatal(err)
	}
	restarts, err := q.Restarts(start, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{raw, summed, native, restarts} {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if expr.Type() != parser.ValueTypeMatrix {
			t.Errorf("%s answers with %s", text, expr.Type())
		}
	}
}

// TestHistoryIsInBinsOfLooks: stable's past, without what no scrape told.
func TestHistoryIsInBinsOfLooks(t *testing.T) {
	s := settings()
	rng := rand.New(rand.NewPCG(1, 2))
	all := []counts.Series{counter("pod=s1,status=200"), counter("pod=s1,status=500"), counter("pod=c1,status=500", -5, 1, 10, 900)}
	want := make([]counts.Tally, counts.HistoryLooks)
	var good, bad float64
	for k := -20; k < counts.HistoryLooks; k++ {
		n, b := float64(rng.IntN(100)), float64(rng.IntN(3))
		good, bad = good+n, bad+b
		if k == 100 {
			continue // a scrape is missing: this look, and the one that has the events of both
		}
		at := float64(15*(k-counts.HistoryLooks)) + 10
		all[0].Points = append(all[0].Points, counts.Point{Time: after(at), Value: good})
		all[1].Points = append(all[1].Points, counts.Point{Time: after(at), Value: bad})
		if k >= 0 && k != 101 {
			want[k] = counts.Tally{Requests: int64(n + b), Bad: []int64{int64(b)}}
		}
	}
	if diff := cmp.Diff(want, counts.History(s, upTo(all, counts.HistorySince(s), start))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRestarts(t *testing.T) {
	const name = "__name__=" + counts.RestartsMetric + ",namespace=shop,container=app,"
	const reason = "__name__=" + counts.TerminatedMetric + ",namespace=shop,container=app,"
	s := settings()
	all := []counts.Series{
		counter(name+"pod=c1", -10, 0, 10, 0, 40, 2), counter(reason+"pod=c1,reason=OOMKilled", 40, 1),
		counter(name+"pod=s1", -10, 7, 10, 7, 40, 7), counter(reason+"pod=s1,reason=Error", -10, 1, 40, 1),
		counter(name+"pod=s2", -10, 7, 10, 8, 40, 8), counter(name+"pod=s2,replica=b", -10, 7, 10, 8, 40, 8),
		counter(name+"pod=c2", 40, 1), counter(name+"pod=x", -10, 0, 10, 5),
	}
	want := []counts.Restart{
		{Namespace: "shop", Pod: "c1", Container: "app", Track: counts.Canary, Count: 2, Reason: counts.OOMKilled},
		{Namespace: "shop", Pod: "c2", Container: "app", Track: counts.Canary, Count: 1},
		{Namespace: "shop", Pod: "s2", Container: "app", Track: counts.Stable, Count: 1},
	}
	if diff := cmp.Diff(want, counts.Restarts(s, all, after(60))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPodsAreOneNumberEach: CPU per request, and memory over its limit.
func TestPodsAreOneNumberEach(t *testing.T) {
	cpu := []counts.Series{
		counter("pod=c1,container=app", -5, 10, 10, 12, 25, 1), counter("pod=c1,container=side", 10, 2, 25, 3),
		counter("pod=c1,container=", -5, 99, 10, 999), counter("pod=s1,container=app", -5, 1, 10, 2, 25, 3),
	}
	requests := []counts.Series{counter("pod=c1,status=200", -5, 0, 25, 60), counter("pod=s1,status=200", -5, 0, 25, 0)}
	got := counts.Ratio(counts.Growth(cpu, track, start, after(30)), counts.Growth(requests, track, start, after(30)))
	if diff := cmp.Diff([]counts.Pod{{Name: "c1", Track: counts.Canary, Value: 0.1}}, got); diff != "" {
		t.Errorf("CPU per request (-want +got):\n%s", diff)
	}
	memory := []counts.Series{
		counter("pod=c1,container=app", -5, 900, 10, 100, 25, 300, 40, 200), counter("pod=c1,container=side", 10, 10, 25, 10, 40, 10),
		counter("pod=s1,container=app", 10, 40, 25, 60), counter("pod=s1,container=POD", 10, 5000),
	}
	want := []counts.Pod{{Name: "c1", Track: counts.Canary, Value: 210}, {Name: "s1", Track: counts.Stable, Value: 50}}
	if diff := cmp.Diff(want, counts.Medians(memory, track, start, after(60))); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
}

// TestSumsAreApproximate: sums of many series are told in steps, and a
// series that ends is no restart of all others.
func TestSumsAreApproximate(t *testing.T) {
	s := alone(false)
	s.Approximate = true
	all := []counts.Series{counter("pod=c1,status=200", 0, 1000, 15, 1100, 30, 1080, 45, 1200, 60, 30)}
	looks := bitByBit(s, all, 4)
	if got := total(looks); got != 100+0+120+30 || !looks[0].Approximate {
		t.Errorf("counted %d, want 250", got)
	}
}
