package stages

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// unfitError reports a Rollout that must not be touched now.
type unfitError struct{ message, hint string }

// Error says what is in the way.
func (e *unfitError) Error() string { return e.message }

// Hint says what to do about it.
func (e *unfitError) Hint() string { return e.hint }

// unfit says why a release must not begin, with Message "" where nothing is in
// the way. What was left half done before could not be told from what this
// run does, nor put back by it.
func unfit(now ArgoRollout) pipeline.Finding {
	name := "rollout " + now.Workload.String()
	plugin := func(verb string) string {
		return fmt.Sprintf("kubectl argo rollouts %s %s -n %s", verb, now.Workload.Name, now.Workload.Namespace)
	}
	switch {
	case !now.Exists:
		return pipeline.Finding{
			Message: name + " does not exist",
			Hint:    "mend the name or the namespace; a first deployment is made with kubectl apply",
		}
	case now.Ref != "":
		return pipeline.Finding{
			Message: fmt.Sprintf("%s takes its template from %s (workloadRef)", name, now.Ref),
			Hint:    "give the Rollout a template of its own, as kubectl argo rollouts convert does",
		}
	case !now.Observed || now.Phase == "":
		return pipeline.Finding{
			Message: name + " is not looked after: no controller has seen its present specification",
			Hint:    "see that the controller of Argo Rollouts runs, and watches this namespace",
		}
	case now.Paused:
		return pipeline.Finding{Message: name + " is paused by somebody (spec.paused)", Hint: "find out why, then " + plugin("promote")}
	case now.Aborted:
		return pipeline.Finding{
			Message: fmt.Sprintf("%s was aborted and its specification still has the aborted template: %s", name, now.Message),
			Hint:    plugin("undo") + " makes the specification again what runs",
		}
	case now.New != now.Stable || len(now.Pauses) > 0:
		return pipeline.Finding{
			Message: fmt.Sprintf("%s has an unfinished release: it is %s%s", name, strings.ToLower(now.Phase), stepText(now)),
			Hint:    "wait for it, or end it: " + plugin("abort") + ", then " + plugin("undo"),
		}
	case now.Phase != ArgoHealthy:
		return pipeline.Finding{
			Message: fmt.Sprintf("%s is %s before the release: %s", name, strings.ToLower(now.Phase), now.Message),
			Hint:    "make it healthy first: what is put back must be able to serve",
		}
	}
	return pipeline.Finding{}
}

// observeTime is how long the controller gets to see a specification that was
// written just now.
const observeTime = 3 * time.Second

// Preflight asks for the definition, the permissions, the controller, the
// state before, the image and the gates.
func (a *ArgoRolloutStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	rollouts, err := a.parts.argo()
	if err != nil {
		return []pipeline.Finding{finding(a.Pos, err)}
	}
	if access, ok := rollouts.(ArgoAccess); ok {
		switch what, hint, err := access.Refused(ctx, a.workload()); {
		case err != nil:
			return []pipeline.Finding{finding(a.Rollout.Pos, err)}
		case what != "":
			return []pipeline.Finding{{Pos: a.Rollout.Pos, Message: what, Hint: hint}}
		}
	}
	now, err := a.settled(ctx, s, rollouts)
	if err != nil {
		return []pipeline.Finding{finding(a.Rollout.Pos, err)}
	}
	var all []pipeline.Finding
	if found := unfit(now); found.Message != "" && !s.Resumed() {
		found.Pos = a.Rollout.Pos
		all = append(all, found)
	}
	if !now.Exists {
		return all
	}
	release, err := a.parts.readRelease(ctx, s, a.taking())
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
	case err != nil:
		all = append(all, finding(a.Image.Pos, err))
	case now.Ref == "":
		if _, err := withImage(now.Template, release); err != nil {
			all = append(all, finding(a.Rollout.Pos, err))
		}
	}
	all = append(all, a.preflightSteps(now)...)
	for _, name := range []string{a.Gate.Value, a.Preview.Value} {
		all = append(all, a.parts.preflightGate(ctx, s, name, now.StablePods)...)
	}
	return all
}

// settled reads the Rollout, and again where its controller may only need a
// moment.
func (a *ArgoRolloutStage) settled(ctx context.Context, s *pipeline.Scope, rollouts ArgoRollouts) (ArgoRollout, error) {
	until := s.Now().Add(observeTime)
	for {
		now, err := rollouts.Read(ctx, a.workload())
		if err != nil || !now.Exists || now.Observed || s.Now().After(until) {
			return now, err
		}
		if err := s.Sleep(ctx, 200*time.Millisecond); err != nil {
			return now, err
		}
	}
}

// preflightSteps warns of what the gate cannot hold up, and of what Argo will
// do by itself.
func (a *ArgoRolloutStage) preflightSteps(now ArgoRollout) []pipeline.Finding {
	var all []pipeline.Finding
	warn := func(hint, format string, args ...any) {
		all = append(all, pipeline.Finding{Pos: a.Rollout.Pos, Warning: true, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	for i, step := range now.Steps {
		if step.Pause && step.For > 0 && a.Gate.IsSet() {
			warn("leave the duration out of the Rollout's step: then the gate decides; a gate that fails aborts either way",
				"step %d (%s): Argo goes on by itself then, whether or not gate %s was shown to be well", i+1, step.Text, a.Gate.Value)
			break // They are all alike.
		}
	}
	if now.BlueGreen && now.AutoPromote && (a.Preview.IsSet() || a.Gate.IsSet()) {
		warn("set autoPromotionEnabled: false in the Rollout: then the switch waits for preview:",
			"this blue/green Rollout switches all traffic by itself; gates can only put it back afterwards")
	}
	if len(now.Analyses) > 0 {
		warn("", "the Rollout has analyses of its own (%s): they are left to Argo, which aborts when one fails", strings.Join(now.Analyses, ", "))
	}
	return all
}

// Plan says what would be written.
func (a *ArgoRolloutStage) Plan(ctx context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	plan := pipeline.Plan{Peak: map[string]int{}}
	rollouts, err := a.parts.argo()
	if err != nil {
		plan.Unknown = append(plan.Unknown, "what it would write: no cluster was asked")
		return plan, nil
	}
	if permitter, ok := rollouts.(Permitter); ok {
		plan.Permissions = permitter.Permissions(a.workload())
	}
	now, err := rollouts.Read(ctx, a.workload())
	if err != nil || !now.Exists {
		return plan, err
	}
	image := a.Image.Raw
	release, err := a.parts.readRelease(ctx, s, a.taking())
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		plan.Unknown = append(plan.Unknown, "the image: "+image+" is known once that stage has run")
	case err != nil:
		return plan, err
	default:
		image = release.Image
		if ours, err := withImage(now.Template, release); err == nil && SameTemplate(now.Template, ours) {
			plan.Unknown = append(plan.Unknown, "nothing would be written: the release is live already")
			return plan, nil
		}
	}
	write := func(verb, format string, args ...any) {
		plan.Writes = append(plan.Writes, pipeline.PlannedWrite{Thing: a.thing(), Verb: verb, After: "run", Summary: fmt.Sprintf(format, args...)})
	}
	write("update", "image %s; Argo Rollouts does its %d steps", image, len(now.Steps))
	plan.Shortest = a.Bake.Value
	for i, step := range now.Steps {
		plan.Shortest += step.For
		if step.Pause && step.For == 0 && a.Promote.Value != "person" {
			write("promote", "step %d of %d (%s) is promoted", i+1, len(now.Steps), step.Text)
		}
	}
	if now.BlueGreen && !now.AutoPromote && a.Promote.Value != "person" {
		write("promote", "the switch to the new pods is promoted")
	}
	plan.Unknown = append(plan.Unknown, "how long it takes: Argo Rollouts decides")
	for _, name := range []string{a.Gate.Value, a.Preview.Value} {
		plan.Queries = append(plan.Queries, a.parts.planGate(ctx, s, name, now.StablePods)...)
	}
	return plan, nil
}
