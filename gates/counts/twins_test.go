package counts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
)

func alone(one bool) counts.Settings {
	s := settings()
	s.Compare, s.OneOfTwins = false, one
	return s
}

// total adds up a canary's looks.
func total(looks []counts.Look) (n int64) {
	n, _, _, _ = sum(looks, counts.Canary)
	return n
}

// again is a series as somebody else scrapes it: later, and with other labels.
func again(s counts.Series, later time.Duration, labels string) counts.Series {
	out := counter(labels)
	for k, v := range s.Labels {
		if _, ok := out.Labels[k]; !ok {
			out.Labels[k] = v
		}
	}
	for _, p := range s.Points {
		out.Points = append(out.Points, counts.Point{Time: p.Time.Add(later), Value: p.Value})
	}
	return out
}

// TestACounterThatIsThereTwice is counted once, and does not go unsaid.
func TestACounterThatIsThereTwice(t *testing.T) {
	base := "namespace=shop,pod=c1,instance=10.0.0.1:80,job=app,status=200"
	c := counter(base, -20, 10, -5, 20, 10, 30, 25, 45, 40, 60, 55, 61)
	cases := []struct {
		name  string
		twin  counts.Series
		twins bool
		want  int64
	}{
		{"two replicas of Prometheus", again(c, 0, "prometheus_replica=b"), true, 41},
		{"two replicas at other times", again(c, 4*time.Second, "prometheus_replica=b"), true, 41},
		{"two jobs", again(c, 2*time.Second, "job=pods"), true, 41},
		{"two jobs at the same time", again(c, 0, "job=pods,endpoint=http"), true, 41},
		{"another pod", again(c, 0, "pod=c2,instance=10.0.0.2:80"), false, 82},
		{"another code", again(c, 0, "status=201"), false, 82},
		{"another method of the same scrape", again(c, 0, "method=POST"), false, 82},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			all := []counts.Series{c, cs.twin}
			looks := bitByBit(alone(false), all, 4)
			if got := total(looks); got != cs.want {
				t.Errorf("counted %d, want %d", got, cs.want)
			}
			last := looks[len(looks)-1].Canary
			if (last.Outcome == counts.MultiSeries) != cs.twins || (last.Twins > 0) != cs.twins {
				t.Errorf("got %s (%d twins), want twins: %t", last.Outcome, last.Twins, cs.twins)
			}
			if cs.twins && !strings.Contains(last.Reason, "twice") {
				t.Errorf("says %q", last.Reason)
			}
			if looks := bitByBit(alone(true), all, 4); looks[3].Outcome != counts.OK || total(looks) != cs.want {
				t.Errorf("as one of twins: %s, %d, want ok, %d", looks[3].Outcome, total(looks), cs.want)
			}
		})
	}
}

// TestTwoCountersOfOnePodAreTwo: two ports of a pod are scraped by two jobs,
// and count different requests, alike as they may be for a time.
func TestTwoCountersOfOnePodAreTwo(t *testing.T) {
	all := []counts.Series{
		counter("namespace=shop,pod=c1,instance=10.0.0.1:80,job=app,status=200", -5, 0, 10, 4, 25, 8, 40, 12),
		counter("namespace=shop,pod=c1,instance=10.0.0.1:81,job=app,status=200", -2, 0, 13, 4, 28, 8, 43, 9),
	}
	looks := bitByBit(alone(false), all, 3)
	if got := total(looks); got != 21 || looks[2].Outcome != counts.OK {
		t.Errorf("counted %d (%s), want 21", got, looks[2].Outcome)
	}
}

// TestASeriesThatChangesItsLabelsGoesOn: the job was renamed, the pod was not.
func TestASeriesThatChangesItsLabelsGoesOn(t *testing.T) {
	all := []counts.Series{
		counter("namespace=shop,pod=c1,instance=10.0.0.1:80,job=app,status=200", -5, 1000, 10, 1010),
		counter("namespace=shop,pod=c1,instance=10.0.0.1:80,job=new,status=200", 25, 1025, 40, 1030),
	}
	looks := bitByBit(alone(false), all, 3)
	if got := total(looks); got != 30 || looks[2].Outcome != counts.OK {
		t.Errorf("counted %d (%s), want 30", got, looks[2].Outcome)
	}
}

// TestAPodOfTheSameNameBeginsFromZero, as those of a StatefulSet do.
func TestAPodOfTheSameNameBeginsFromZero(t *testing.T) {
	all := []counts.Series{
		counter("namespace=shop,pod=c-0,instance=10.0.0.1:80,job=app,status=200", -5, 1000, 10, 1010),
		counter("namespace=shop,pod=c-0,instance=10.0.0.9:80,job=app,status=200", 26, 7, 41, 9),
	}
	looks := bitByBit(alone(false), all, 3)
	if got := total(looks); got != 19 || looks[2].Outcome != counts.OK {
		t.Errorf("counted %d (%s), want 19", got, looks[2].Outcome)
	}
}

// TestTwinsThatRestart: each shows the restart, which is one.
func TestTwinsThatRestart(t *testing.T) {
	for _, later := range []time.Duration{0, 3 * time.Second, 8 * time.Second} {
		c := counter("namespace=shop,pod=c1,job=app,status=200", -20, 10, -5, 20, 10, 30, 25, 5, 40, 9)
		looks := bitByBit(alone(true), []counts.Series{c, again(c, later, "replica=b")}, 4)
		if got := total(looks); got != 19 {
			t.Errorf("%s later: counted %d, want 19", later, got)
		}
	}
}

// TestARestartIsSeenInAllCounters: the errors were few before the crash and as
// many after it, and the requests show that there was one.
func TestARestartIsSeenInAllCounters(t *testing.T) {
	all := []counts.Series{
		counter("pod=c1,status=200", -5, 900, 10, 910, 25, 12),
		counter("pod=c1,status=500", -5, 4, 10, 4, 25, 5),
		counter("pod=c2,status=200", -5, 900, 10, 910, 25, 920),
	}
	looks := bitByBit(alone(false), all, 2)
	if a := looks[1].Canary; a.Requests != 12+5+10 || a.Bad[0] != 5 {
		t.Errorf("got %d of %d, want 5 of 27", a.Bad[0], a.Requests)
	}
	// A library that forgets one of many series makes no restart.
	all = []counts.Series{
		counter("pod=c1,status=200,path=a", -5, 90000, 10, 90010, 25, 90020),
		counter("pod=c1,status=200,path=b", -5, 40, 10, 50, 25, 3),
	}
	looks = bitByBit(alone(false), all, 2)
	if a := looks[1].Canary; a.Requests != 13 {
		t.Errorf("got %d requests, want 13", a.Requests)
	}
}

func buckets(pod string, values map[string][]float64) []counts.Series {
	var out []counts.Series
	for le, vs := range values {
		s := counter("pod=" + pod + ",le=" + le)
		for i, v := range vs {
			s.Points = append(s.Points, counts.Point{Time: after(float64(15*i - 5)), Value: v})
		}
		out = append(out, s)
	}
	return out
}

// TestSlowRequestsAreCountedForSeveralBounds at once, bounds being written as
// they may be.
func TestSlowRequestsAreCountedForSeveralBounds(t *testing.T) {
	s := alone(false)
	s.Bounds = []float64{0.5, 1}
	all := buckets("c1", map[string][]float64{"0.1": {0, 1, 1}, "0.5": {50, 60, 80}, "1.0": {90, 105, 128}, "+Inf": {100, 120, 150}})
	var got []string
	for _, l := range bitByBit(s, all, 2) {
		got = append(got, fmt.Sprint(l.Canary.Outcome, l.Canary.Requests, l.Canary.Bad))
	}
	if want := "[ok20 [10 5] ok30 [10 7]]"; strings.ReplaceAll(fmt.Sprint(got), "ok ", "ok") != want {
		t.Errorf("got %v, want %v", got, want)
	}
	// A pod that lacks a bound would make all its requests slow.
	uneven := append(all, buckets("c2", map[string][]float64{"0.5": {0, 5, 9}, "+Inf": {0, 5, 9}})...)
	if l := bitByBit(s, uneven, 1)[0]; l.Outcome != counts.Layouts {
		t.Errorf("got %s, want layouts", l.Outcome)
	}
}

func TestBoundsInCommon(t *testing.T) {
	of := func(pod string, les ...string) (out []counts.Series) {
		for _, le := range les {
			out = append(out, counter("pod="+pod+",le="+le))
		}
		return out
	}
	cases := []struct {
		name   string
		series []counts.Series
		want   string
	}{
		{"the same", append(of("c", "0.1", "1", "+Inf"), of("s", "0.1", "1.0", "+Inf")...), "[0.1 1]"},
		{"some", append(of("c", "0.1", "0.2", "1", "5", "+Inf"), of("s", "5", "0.1", "1.0", "9", "+Inf")...), "[0.1 1 5]"},
		{"one", append(of("c", "0.1", "+Inf"), of("s", "0.1", "1.0", "+Inf")...), "error"},
		{"one track", of("s", "0.5", "0.25", "+Inf"), "[0.25 0.5]"},
		{"none", nil, "error"},
	}
	for _, c := range cases {
		bounds, err := counts.Bounds(c.series, track)
		got := fmt.Sprint(bounds)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
