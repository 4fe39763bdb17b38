package stages

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func gateKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "gate", Changes: false,
		Doc: "Judges what was rolled out for some time, and fails when a gate does.",
		New: func() pipeline.Task { return &GateStage{parts: parts} },
	}
}

// GateStage judges for some time.
type GateStage struct {
	Pos   source.Pos
	Use   source.String   `yaml:"use" required:"true" short:"true" doc:"Name of the gate, as declared under gates."`
	For   source.Duration `yaml:"for" doc:"How long it judges. Default: until every check has once shown that all is well."`
	Every source.Duration `yaml:"every" min:"100ms" doc:"Time from one look to the next. Default: that of the gate."`
	Of    source.String   `yaml:"of" doc:"The stage whose release is judged. Default: the last one before this that rolls out."`

	parts *Parts
}

// Check reports a gate or a stage that is not declared.
func (g *GateStage) Check(p *pipeline.Pipeline, st *pipeline.Stage, report func(source.Problem)) {
	checkGate(p, g.Use, report)
	if !g.Of.IsSet() {
		return
	}
	var known []string
	for _, earlier := range rolloutsBefore(p, st) {
		known = append(known, earlier.Name)
	}
	if !slices.Contains(known, g.Of.Value) {
		report(source.Problem{
			Pos: g.Of.Pos, Width: len(g.Of.Value), Message: fmt.Sprintf("no stage %q before this one rolls out", g.Of.Value),
			Hint: source.Suggest(g.Of.Value, known, "stages that roll out before it"),
		})
	}
}

// Preflight asks the gate's queries of what is live now.
func (g *GateStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	return g.parts.preflightGate(ctx, s, g.Use.Value, releaseTarget(ctx, s, g.Of.Value).Selector)
}

// Plan says what would be asked, and what the answer is now.
func (g *GateStage) Plan(ctx context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	plan := pipeline.Plan{Shortest: g.For.Value, Longest: g.For.Value}
	if g.parts.Gates.Metrics == nil {
		plan.Unknown = append(plan.Unknown, "the present values of the gate's queries: Prometheus was not asked")
		return plan, nil
	}
	plan.Queries = g.parts.planGate(ctx, s, g.Use.Value, releaseTarget(ctx, s, g.Of.Value).Selector)
	return plan, nil
}

// Run judges.
func (g *GateStage) Run(ctx context.Context, s *pipeline.Scope) error {
	since, err := s.Mark(ctx, "begun")
	if err != nil {
		return err
	}
	gate, ok := gates.Of(s.Pipeline(), g.Use.Value)
	if !ok {
		return fmt.Errorf("gate %q is not declared", g.Use.Value)
	}
	if g.Every.IsSet() {
		gate.Every = g.Every
	}
	return g.parts.guarded(ctx, s, carrying(s), func(ctx context.Context) error {
		return g.parts.watchFor(ctx, g.parts.watchGate(s, gate, releaseTarget(ctx, s, g.Of.Value)), since, g.For.Value)
	})
}

// releaseTarget is the release that a stage rolled out, or the last one that
// any stage did. A commit since then has brought it to stable, with new pods.
// Where no stage did, a gate's own queries say what they look at.
func releaseTarget(ctx context.Context, s *pipeline.Scope, of string) gates.Target {
	target := gates.Target{Since: s.Now()}
	var last rollout
	var passed map[string]string
	for _, st := range s.Pipeline().Stages {
		if st == s.Stage() {
			break
		}
		if _, commits := st.Task.(pipeline.Committer); commits && last != nil {
			if after := last.delivered(passed); after.Name != target.Track {
				target = gates.Target{Track: after.Name, Selector: last.selector(after), Since: s.Now()}
			}
		}
		task, rollsOut := st.Task.(rollout)
		if !rollsOut || (of != "" && st.Name != of) {
			continue
		}
		out := s.StageOutputs(st.Name)
		if out == nil { // it has not run: a plan or a preflight asks
			now := task.present(ctx)
			target.Track, target.Selector = now.Name, task.selector(now)
			continue
		}
		last, passed, target.Track, target.Selector = task, out, out["track"], out["selector"]
		if since, err := time.Parse(time.RFC3339Nano, out["since"]); err == nil {
			target.Since = since
		}
	}
	return target
}

// judgeFor runs a declared gate for some time.
func (p *Parts) judgeFor(ctx context.Context, s *pipeline.Scope, name string, d time.Duration, target gates.Target) error {
	watch, err := p.startWatch(s, name, target)
	if err != nil {
		return err
	}
	return p.watchFor(ctx, watch, s.Now(), d)
}

// watchFor lets a watch look until the time since the given moment is over
// and it has been shown that all is well.
func (p *Parts) watchFor(ctx context.Context, watch *watching, since time.Time, d time.Duration) error {
	return watch.beside(ctx, func(ctx context.Context) error {
		if left := d - watch.scope.Now().Sub(since); left > 0 {
			watch.scope.Waiting(left, "gate %s looks for %s", watch.gate.Name(), source.FormatDuration(left.Round(100*time.Millisecond)))
			if err := watch.scope.Sleep(ctx, left); err != nil {
				return err
			}
		}
		return watch.ready(ctx)
	})
}
