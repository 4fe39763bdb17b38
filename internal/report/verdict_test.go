package report_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
)

// What is no cause for worry takes one line; what failed says what was asked.
func TestVerdictsTakeTheLinesTheyNeed(t *testing.T) {
	value, samples := 0.198, 312.0
	rate := pipeline.Measurement{Check: "errorRate", Bound: "max 5%", Query: `sum(rate(http_requests_total{status=~"5.."}[10s]))`}
	latency := pipeline.Measurement{Check: "latency", Bound: "max 1s", Query: `sum by (le) (rate(http_request_duration_seconds_bucket[10s]))`}
	early := func(m pipeline.Measurement) pipeline.Measurement {
		m.Result, m.Reason = "tooEarly", "there are 2s of traffic to look at, and a window must hold 4s (4 scrapes)"
		return m
	}
	failing := rate
	failing.Outcome, failing.Result, failing.Value, failing.Samples = pipeline.Fail, "value", &value, &samples
	failing.Reason = "62 of 312 requests in 10s failed (19.8%), more than 5%"
	well := latency
	well.Outcome, well.Reason = pipeline.Pass, "0 of 312 requests took longer than 1s"
	few := latency
	few.Result, few.Reason = "fewSamples", "3 requests, and it takes 60 to tell"
	verdicts := []struct {
		name string
		v    pipeline.Verdict
	}{
		{"all too early, for the same reason", pipeline.Verdict{
			Gate: "slo", Evidence: []pipeline.Measurement{early(rate), early(latency)},
			Reason: "errorRate: " + early(rate).Reason + "; latency: " + early(latency).Reason,
		}},
		{"one alone is too early", pipeline.Verdict{Gate: "slo", Evidence: []pipeline.Measurement{early(rate)}, Reason: "errorRate: " + early(rate).Reason}},
		{"too early and too few", pipeline.Verdict{
			Gate: "slo", Evidence: []pipeline.Measurement{early(rate), few},
			Reason: "errorRate: " + early(rate).Reason + "; latency: " + few.Reason,
		}},
		{"metrics are away", pipeline.Verdict{
			Gate: "slo", Reason: "metrics are unavailable: errorRate: connection refused",
			Evidence: []pipeline.Measurement{{Check: "errorRate", Result: "unavailable", Reason: "connection refused"}, {Check: "latency", Result: "notAsked"}},
		}},
		{"nothing was asked", pipeline.Verdict{Gate: "slo", Reason: "the gate has no checks"}},
		{"a pass", pipeline.Verdict{Gate: "slo", Outcome: pipeline.Pass, Reason: "all 2 checks are well", Evidence: []pipeline.Measurement{well}}},
		{"a failure", pipeline.Verdict{Gate: "slo", Outcome: pipeline.Fail, Reason: "errorRate: " + failing.Reason, Evidence: []pipeline.Measurement{failing, well}}},
	}
	var page bytes.Buffer
	for _, c := range verdicts {
		for _, verbose := range []bool{false, true} {
			page.WriteString("# " + c.name)
			if verbose {
				page.WriteString(", verbose")
			}
			page.WriteString("\n")
			r := report.NewPlain(report.Options{Out: &page, Verbose: verbose})
			r.Handle(pipeline.Event{Type: pipeline.Judged, Time: time.Unix(0, 0), Stage: "rollout", Verdict: &c.v})
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	golden.Equal(t, "verdicts.txt", page.Bytes())
}

// A run that changes nothing has nothing to commit or to finish.
func TestNothingToUndoIsNotMentioned(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []pipeline.Event
		want   string
	}{
		{
			"tests alone",
			[]pipeline.Event{{Type: pipeline.RunStarted, Run: &pipeline.Info{ID: "1", Pipeline: "shop"}}, {Type: pipeline.Committed}, {Type: pipeline.Finished}},
			"    0:00  run 1 of shop\n",
		},
		{
			"a change",
			[]pipeline.Event{
				{Type: pipeline.RunStarted, Run: &pipeline.Info{ID: "1", Pipeline: "shop"}},
				{Type: pipeline.Changing, Change: &pipeline.Record{Thing: pipeline.Thing{Kind: "flag", Name: "f"}}},
				{Type: pipeline.Finished},
			},
			"    0:00  run 1 of shop\n    0:00  change flag f\n    0:00  finished\n",
		},
		{
			"a recovery that has nothing to do",
			[]pipeline.Event{{Type: pipeline.RunEnded, Result: &pipeline.Result{Reason: "nothing is unfinished"}}},
			"    0:00  nothing is unfinished\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			r := report.NewPlain(report.Options{Out: &out})
			for _, e := range c.events {
				r.Handle(e)
			}
			if got := out.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
