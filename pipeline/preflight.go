package pipeline

import (
	"context"
	"fmt"
	"strings"
)

// preflight asks every stage that has yet to run whether it could. It reports
// ended, with a result that names all findings, when one could not.
func (x *execution) preflight(ctx context.Context, stages []*Stage) (result Result, ended bool) {
	findings := x.findings(ctx, stages)
	var bad []string
	for _, f := range findings {
		if f.Warning {
			if !x.warned[f.Message] { // it is asked twice
				x.warned[f.Message] = true
				x.tell(Event{Type: Warned, Message: f.Message, Pos: f.Pos})
			}
			continue
		}
		bad = append(bad, f.Message)
	}
	if ctx.Err() != nil {
		return x.fail(ctx, "", context.Cause(ctx)), true
	}
	if len(bad) == 0 {
		return Result{}, false
	}
	err := fmt.Errorf("preflight: %s", strings.Join(bad, "; "))
	return Result{Ending: FailedUnchanged, Reason: err.Error(), Findings: findings, Err: err}, true
}

func (x *execution) findings(ctx context.Context, stages []*Stage) []Finding {
	var all []Finding
	running := x.Options.From == ""
	for _, st := range stages {
		running = running || st.Name == x.Options.From
		var begun bool
		x.look(func(s *State) { begun = s.Stage(st.Name) != nil })
		checker, ok := st.Task.(Preflighter)
		if ok && running && !begun {
			scope := x.scope(st)
			scope.asking = true
			all = append(all, checker.Preflight(ctx, scope)...)
		}
		if st.Name == x.Options.Until {
			break
		}
	}
	return all
}

// StagePlan is what one stage of a pipeline would do.
type StagePlan struct {
	Stage string `json:"stage"`
	Kind  string `json:"kind"`
	// Skipped says why the stage would not run, "" if it would.
	Skipped string `json:"skipped,omitempty"`
	Plan    Plan   `json:"plan"`
	// Error is set when the stage could not say.
	Error string `json:"error,omitempty"`
}

// Plan asks every stage what it would do, after a preflight whose findings it
// returns too. It changes nothing. It is the same code that runs.
func (r *Runner) Plan(ctx context.Context) ([]StagePlan, []Finding) {
	x := r.execution()
	findings := x.findings(ctx, r.Pipeline.Stages)
	var plans []StagePlan
	running := r.Options.From == ""
	for _, st := range r.Pipeline.Stages {
		running = running || st.Name == r.Options.From
		plans = append(plans, x.plan(ctx, st, running))
		if st.Name == r.Options.Until {
			break
		}
	}
	return plans, findings
}

func (x *execution) plan(ctx context.Context, st *Stage, running bool) StagePlan {
	p := StagePlan{Stage: st.Name, Kind: st.Kind}
	if !running {
		p.Skipped = "before " + x.Options.From
		return p
	}
	if st.If.IsSet() {
		ok, err := x.Pipeline.Condition(st.If, x.values())
		if err == nil && !ok {
			p.Skipped = "its condition is false"
			return p
		}
		if err != nil {
			p.Plan.Unknown = append(p.Plan.Unknown, "whether it runs: its condition depends on earlier stages")
		}
	}
	planner, ok := st.Task.(Planner)
	if !ok {
		return p
	}
	scope := x.scope(st)
	scope.asking = true
	plan, err := planner.Plan(ctx, scope)
	plan.Unknown = append(p.Plan.Unknown, plan.Unknown...)
	p.Plan = plan
	if err != nil {
		p.Error = err.Error()
	}
	return p
}
