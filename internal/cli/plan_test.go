package cli_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func TestPlanSaysAllInOrder(t *testing.T) {
	rate := 0.0021
	track := pipeline.Thing{Kind: "track", Name: "shop/user-service canary"}
	route := pipeline.Thing{Kind: "route", Name: "httpRoute shop/user-service"}
	stages := []pipeline.StagePlan{
		{Stage: "unit", Kind: "test", Plan: pipeline.Plan{Longest: 10 * time.Minute}},
		{Stage: "image", Kind: "build", Plan: pipeline.Plan{
			Writes:  []pipeline.PlannedWrite{{Thing: pipeline.Thing{Kind: "image", Name: "ghcr.io/acme/user-service:4f2c1aa"}, Verb: "push"}},
			Longest: time.Hour, Unknown: []string{"the digest: the image is not built yet"},
		}},
		{Stage: "rollout", Kind: "canary", Plan: pipeline.Plan{
			Writes: []pipeline.PlannedWrite{
				{Thing: track, Verb: "create", Summary: "Deployment user-service-canary, 1 pod", Diff: "--- live\n+++ planned\n@@ -1 +1,2 @@\n kind: Deployment\n+name: user-service-canary\n"},
				{Thing: route, Verb: "update", Summary: "20% to canary", After: "run"},
				{Thing: track, Verb: "delete", After: "finish"},
			},
			Peak: map[string]int{"shop/user-service": 6}, Shortest: 40 * time.Minute, Longest: 80 * time.Minute,
			Queries: []pipeline.Measurement{
				{Check: "errorRate", Outcome: pipeline.Pass, Result: "value", Query: "sum(rate(a[1m]))\n  / sum(rate(b[1m]))", Value: &rate, Bound: "max 5%"},
				{Check: "latency", Outcome: pipeline.Inconclusive, Result: "noData", Query: "histogram_quantile(0.95, c)", Bound: "max 1s", Reason: "no such series"},
			},
			Permissions: []string{"patch httproutes in shop", "get deployments in shop", "get deployments in shop"},
		}},
		{Stage: "ramp", Kind: "flag", Skipped: "its condition is false", Plan: pipeline.Plan{Writes: make([]pipeline.PlannedWrite, 3)}},
		{Stage: "odd", Kind: "gate", Error: "read gate: no such gate", Plan: pipeline.Plan{Longest: time.Minute}},
	}
	findings := []pipeline.Finding{
		{Pos: source.Pos{Line: 35, Col: 5}, Message: "permission is missing: patch httproutes in shop", Hint: "grant it to the service account shop/ci"},
		{Message: "Deployment user-service has no readiness probe", Warning: true},
	}
	p := &pipeline.Pipeline{Name: "user-service", File: source.File{Name: "headgate.yaml"}}
	var out bytes.Buffer
	if err := cli.WritePlan(&out, p, stages, findings); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "plan.txt", out.Bytes())
}

func TestPlanWithoutBoundSaysSo(t *testing.T) {
	var out bytes.Buffer
	p := &pipeline.Pipeline{Name: "p", File: source.File{Name: "f"}}
	stages := []pipeline.StagePlan{
		{Stage: "a", Kind: "test", Plan: pipeline.Plan{}},
		{Stage: "b", Kind: "gate", Plan: pipeline.Plan{Shortest: time.Minute, Longest: time.Minute}},
	}
	if err := cli.WritePlan(&out, p, stages, nil); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "plan-unbounded.txt", out.Bytes())
}

func TestPlanSaysAFindingOnce(t *testing.T) {
	var out bytes.Buffer
	p := &pipeline.Pipeline{Name: "p", File: source.File{Name: "f"}}
	f := pipeline.Finding{Message: "gate slo: no series", Warning: true}
	if err := cli.WritePlan(&out, p, nil, []pipeline.Finding{f, f}); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out.Bytes(), []byte("no series")); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, out.String())
	}
}
