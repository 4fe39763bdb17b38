package stages

import (
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Check reports steps that make no sense.
func (c *CanaryStage) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	checkGate(p, c.Gate, report)
	c.Traffic.check("canary", report)
	if c.Traffic.Replicas.Value {
		checkDrain(c.Traffic.Drain, report)
	}
	last := 0.0
	for i, step := range c.Steps {
		checkGate(p, step.Gate, report)
		if step.For.IsSet() != step.Gate.IsSet() {
			report(source.Problem{
				Pos: step.Pos, Width: 1, Message: "for: and gate: of a step go together",
				Hint: "write {gate: slo, for: 5m}",
			})
		}
		if sc := step.SetScale; sc != nil && sc.Match != nil && !sc.Match.Value {
			report(source.Problem{Pos: sc.Match.Pos, Width: 1, Message: "matchTrafficWeight: false says nothing", Hint: "write replicas: or weight: instead"})
		}
		if w := step.SetWeight; w != nil {
			first := i == 0 && w.Value == 0 && len(c.Traffic.Match) > 0
			if w.Value <= last && !first {
				report(source.Problem{
					Pos: w.Pos, Width: 1, Hint: "weights only go up; a rollback goes back by itself",
					Message: fmt.Sprintf("setWeight %s does not give the canary more than the %s before it", percent(w.Value), percent(last)),
				})
			}
			last = w.Value
		}
	}
	if last == 0 && len(c.Traffic.Match) == 0 {
		report(source.Problem{Pos: c.Pos, Width: 1, Message: "no step gives the canary any traffic", Hint: "add a step such as setWeight: 20%"})
	}
	if len(c.Steps) > 0 && c.Steps[0].SetWeight == nil {
		report(source.Problem{Pos: c.Steps[0].Pos, Width: 1, Message: "the first step must be setWeight", Hint: "before it there is nothing to wait for or to judge"})
	}
}
