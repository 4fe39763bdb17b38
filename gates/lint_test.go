package gates_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// nothingStage does nothing, so that a file can be parsed.
type nothingStage struct {
	Pos source.Pos
}

func (*nothingStage) Run(context.Context, *pipeline.Scope) error { return nil }

func grammar() pipeline.Grammar {
	return pipeline.Grammar{
		Sections: []pipeline.Section{gates.Declare()},
		Kinds:    []pipeline.Kind{{Name: "nothing", New: func() pipeline.Task { return &nothingStage{} }}},
	}
}

// TestMistakes parses every file in testdata/err and compares what people
// read with the .out file beside it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no files: %v", err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f := source.File{Name: name + ".yaml", Data: data}
			_, problems := pipeline.Parse(f, grammar())
			if len(problems) == 0 {
				t.Error("no problem found")
			}
			golden.EqualFile(t, "testdata/err/"+name+".out", []byte(problems.Render(f)))
		})
	}
}

// TestNoMistakes: what is right gets no remark.
func TestNoMistakes(t *testing.T) {
	data, err := os.ReadFile("testdata/ok/gates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := source.File{Name: "gates.yaml", Data: data}
	p, problems := pipeline.Parse(f, grammar())
	if len(problems) > 0 {
		t.Fatalf("got %s", problems.Render(f))
	}
	g, ok := gates.Of(p, "slo")
	if !ok || g.Name() != "slo" || len(g.Checks) != 9 {
		t.Errorf("got %+v", g)
	}
	if _, ok := gates.Of(p, "nothing"); ok {
		t.Error("found a gate that is not there")
	}
}

// TestPreflight says before a run what the gate could not judge.
func TestPreflight(t *testing.T) {
	series := buckets("old", 90, 96, 100, 100) + `
		http_requests_total{pod="old",status="200"} 0+100x40
		failures_total{pod="old"} 0+1x40
		failures_total{pod="older"} 0+1x40`
	g := gate(t, `[{errorRate: 5%}, {latency: 800ms}, {memory: 80%}, {query: missing_total, max: 1}, {query: failures_total, max: 1},
		{query: 0/0, max: 1}, {query: "sum(failures_total) +", max: 1}, {http: "http://shop/"}, {command: ./smoke.sh}]`)
	var b strings.Builder
	for _, f := range g.Preflight(t.Context(), gates.Providers{Metrics: load(t, series), HTTP: hangs{}, Commands: hangs{}},
		gates.Target{Track: "stable", Selector: `pod=~"old.*"`}, second(600)) {
		fmt.Fprintf(&b, "warning=%t %s\n  %s\n", f.Warning, f.Message, f.Hint)
	}
	g = gate(t, `[{errorRate: 5%}, {latency: 800ms}]`)
	for _, f := range g.Preflight(t.Context(), gates.Providers{Metrics: fake{"": away}}, gates.Target{}, second(600)) {
		fmt.Fprintf(&b, "warning=%t %s\n  %s\n", f.Warning, f.Message, f.Hint)
	}
	golden.Equal(t, "preflight.txt", []byte(b.String()))
}

// TestPlan shows the values of now, and asks nothing that could have effects.
func TestPlan(t *testing.T) {
	series := buckets("old", 90, 96, 100, 100) + `
		http_requests_total{pod="old",status="200"} 0+99x40
		http_requests_total{pod="old",status="500"} 0+1x40`
	g := gate(t, `[{errorRate: 0.5%}, {latency: 1s}, {cpu: 80%}, {query: "sum(rate(http_requests_total{${{ selector }}}[${{ window }}]))", max: 1},
		{http: "http://shop/"}, {command: ./smoke.sh}]`)
	var b strings.Builder
	for _, m := range g.Plan(t.Context(), gates.Providers{Metrics: load(t, series), HTTP: hangs{}, Commands: hangs{}},
		gates.Target{Track: "stable", Selector: `pod="old"`}, second(600)) {
		value := "-"
		if m.Value != nil {
			value = fmt.Sprintf("%.4g", *m.Value)
		}
		if m.Outcome != pipeline.Inconclusive {
			t.Errorf("%s: a plan judges nothing, got %s", m.Check, m.Outcome)
		}
		fmt.Fprintf(&b, "%s %s now %s (%s): %s\n  %s\n", m.Check, m.Result, value, m.Bound, m.Reason, m.Query)
	}
	golden.Equal(t, "plan.txt", []byte(b.String()))
}
