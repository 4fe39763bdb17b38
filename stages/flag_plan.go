package stages

import (
	"context"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
)

// Preflight looks whether the flag is there and its gate can be asked.
func (f *FlagStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	if f.parts.Flags == nil {
		return []pipeline.Finding{{Pos: f.Pos, Message: "a flag stage needs Redis", Hint: "add redis: {url: ...} at the top of the file"}}
	}
	now, err := f.parts.Flags.Get(ctx, f.Name.Value)
	switch {
	case err != nil:
		return []pipeline.Finding{finding(f.Name.Pos, err)}
	case !now.Exists:
		return []pipeline.Finding{{
			Pos: f.Name.Pos, Message: fmt.Sprintf("flag %q does not exist in Redis", f.Name.Value),
			Hint: "create its record, switched off, before the pipeline ramps it",
		}}
	case now.Enabled && now.Percentage > f.Steps[0].SetPercentage.Value:
		return []pipeline.Finding{{
			Pos: f.Steps[0].Pos, Hint: "begin the steps above that, or take the flag back first",
			Message: fmt.Sprintf("flag %q is on for %s already, more than the first step", f.Name.Value, percent(now.Percentage)),
		}}
	}
	if !f.Gate.IsSet() {
		return nil
	}
	return f.parts.preflightGate(ctx, s, f.Gate.Value, releaseTarget(ctx, s, "").Selector)
}

// Plan lists the percentages.
func (f *FlagStage) Plan(ctx context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	var plan pipeline.Plan
	for _, step := range f.Steps {
		if step.Pause != nil {
			plan.Shortest += step.Pause.Value
		}
	}
	plan.Longest = plan.Shortest
	from := "an unknown percentage"
	switch f.parts.Flags {
	case nil:
		plan.Unknown = append(plan.Unknown, "the flag's present percentage: Redis was not asked")
	default:
		now, err := f.parts.Flags.Get(ctx, f.Name.Value)
		if err != nil {
			return plan, err
		}
		from = percent(now.Percentage)
		if !now.Enabled {
			from = "off"
		}
		if f.Gate.IsSet() {
			plan.Queries = f.parts.planGate(ctx, s, f.Gate.Value, releaseTarget(ctx, s, "").Selector)
		}
	}
	for _, step := range f.Steps {
		if step.SetPercentage == nil {
			continue
		}
		to := percent(step.SetPercentage.Value)
		plan.Writes = append(plan.Writes, pipeline.PlannedWrite{
			Thing: pipeline.Thing{Kind: flagThing, Name: f.Name.Value}, Verb: "update", After: "run",
			Summary: fmt.Sprintf("from %s to %s of the users", from, to),
		})
		from = to
	}
	return plan, nil
}
