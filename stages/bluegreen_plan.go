package stages

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Check reports colours that are not two, steps that make no sense, and what
// the router cannot do.
func (b *BlueGreenStage) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	checkGate(p, b.Gate, report)
	b.Traffic.check("blueGreen", report)
	b.checkColours(report)
	if len(b.Traffic.Match) > 0 && len(b.Steps) == 0 {
		report(source.Problem{Pos: b.Traffic.Match[0].Pos, Width: 1, Message: "match: says nothing where all traffic is switched at once", Hint: "add steps:, of which the first may be setWeight: 0"})
	}
	if b.Preview != nil {
		checkGate(p, b.Preview.Gate, report)
		if b.Preview.For.IsSet() && !b.Preview.Gate.IsSet() {
			report(source.Problem{Pos: b.Preview.For.Pos, Width: 1, Message: "for: needs a gate that judges meanwhile", Hint: "name one with gate:, or leave for: out"})
		}
	}
	b.checkSteps(p, report)
}

func (b *BlueGreenStage) checkColours(report func(source.Problem)) {
	blue, green := b.colours()
	switch {
	case !b.Deployment.IsSet() && (!b.Blue.Deployment.IsSet() || !b.Green.Deployment.IsSet()):
		report(source.Problem{
			Pos: b.Pos, Width: 1, Message: "the Deployments of the colours are not named",
			Hint: "give deployment: NAME for NAME-blue and NAME-green, or blue: {deployment: …} and green: {deployment: …}",
		})
	case blue.Workload == green.Workload:
		report(source.Problem{Pos: b.Pos, Width: 1, Message: fmt.Sprintf("blue and green are both %s", strings.TrimPrefix(blue.Workload.String(), "/")), Hint: "give them different names or namespaces"})
	case blue.Workload.Namespace != green.Workload.Namespace:
		if router, _ := b.Traffic.Router(); router == ServiceRouter {
			report(source.Problem{
				Pos: b.Traffic.Pos, Width: 1, Message: "a Service cannot select pods of two namespaces",
				Hint: "name what is in front of both, such as nginx or an httpRoute, or put the colours into one namespace",
			})
		}
		if b.Preview != nil && b.Preview.Service.IsSet() {
			report(source.Problem{Pos: b.Preview.Service.Pos, Width: len(b.Preview.Service.Value), Message: "a preview Service cannot select pods of two namespaces", Hint: "use the Services of the colours' own"})
		}
	}
}

func (b *BlueGreenStage) checkSteps(p *pipeline.Pipeline, report func(source.Problem)) {
	router, _ := b.Traffic.Router()
	last := 0.0
	for i, step := range b.Steps {
		checkGate(p, step.Gate, report)
		if step.For.IsSet() != step.Gate.IsSet() {
			report(source.Problem{Pos: step.Pos, Width: 1, Message: "for: and gate: of a step go together", Hint: "write {gate: slo, for: 5m}"})
		}
		w := step.SetWeight
		if w == nil {
			if i == 0 {
				report(source.Problem{Pos: step.Pos, Width: 1, Message: "the first step must be setWeight", Hint: "use preview: for what comes before the traffic, and bake: for what comes after the switch"})
			}
			continue
		}
		switch {
		case i == 0 && w.Value == 0 && len(b.Traffic.Match) > 0: // only what matches
		case w.Value <= last:
			report(source.Problem{
				Pos: w.Pos, Width: 1, Hint: "weights only go up; a rollback goes back by itself",
				Message: fmt.Sprintf("setWeight %s does not give the new colour more than the %s before it", percent(w.Value), percent(last)),
			})
		case w.Value < 100 && !abilities(router).between:
			report(source.Problem{
				Pos: w.Pos, Width: 1, Message: fmt.Sprintf("%s cannot give a share of the traffic", router),
				Hint: "leave steps: out to switch all at once, or use a router that can split",
			})
		}
		last = w.Value
	}
}

func (b *BlueGreenStage) check(now presentColours) RolloutCheck {
	return RolloutCheck{
		Kind: "blueGreen", Split: now.split, Traffic: &b.Traffic,
		Workload: now.split.Old.Workload, MaxReplicas: 1, Service: b.Traffic.Service.Value,
	}
}

func (b *BlueGreenStage) gates() []string {
	names := []string{b.Gate.Value}
	if b.Preview != nil {
		names = append(names, b.Preview.Gate.Value)
	}
	for _, step := range b.Steps {
		names = append(names, step.Gate.Value)
	}
	return distinct(names)
}

// Preflight asks the platform, the router and the gates whether the rollout
// would work.
func (b *BlueGreenStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	at := s.Stage().Pos
	if _, ok := b.parts.Platform.(Restorer); !ok {
		return []pipeline.Finding{finding(at, errNotRestorable)}
	}
	blue, green := b.colours()
	now := presentColours{split: Split{Old: blue, New: green}}
	if state, begun, err := b.begun(s); err == nil && begun {
		now.split = state.Split // an earlier process of the run has moved traffic
	} else if found, err := b.look(ctx); err != nil {
		return b.parts.cannotRead(ctx, at, b.check(now), err)
	} else if now = found; !now.old.Exists {
		return b.preflightFirst(ctx, s)
	}
	var all []pipeline.Finding
	check := b.check(now)
	release, err := b.parts.readRelease(ctx, s, b.taking())
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		check.Release, all = b.parts.preflightManifests(ctx, s, b.taking())
	case err != nil:
		all = append(all, finding(b.Image.Pos, err))
	default:
		check.Release = release
	}
	all = append(all, ask(ctx, at, b.parts.Platform, check)...)
	router, err := b.parts.Router(b.Traffic, now.split)
	if err != nil {
		return append(all, finding(b.Traffic.Pos, err))
	}
	all = append(all, ask(ctx, b.Traffic.Pos, router, check)...)
	if preview := b.previewTraffic(); preview != nil {
		shown, err := b.parts.Router(*preview, now.split)
		if err != nil {
			return append(all, finding(b.Preview.Service.Pos, err))
		}
		if _, err := shown.Weight(ctx); err != nil {
			all = append(all, finding(b.Preview.Service.Pos, err))
		}
	}
	all = append(all, preflightProbe(ctx, s, b.Traffic.Probe)...)
	return append(all, b.parts.preflightGates(ctx, s, b.gates(), now.split.Old)...)
}

// preflightFirst is about a first deployment, which makes the blue colour.
func (b *BlueGreenStage) preflightFirst(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	blue, green := b.colours()
	if len(b.Manifests) == 0 {
		return []pipeline.Finding{{
			Pos: b.Pos, Message: fmt.Sprintf("neither deployment %s nor %s exists", blue.Workload, green.Workload),
			Hint: "give manifests: to create one from, or name the Deployment that is there with blue: {deployment: …}",
		}}
	}
	check := b.check(presentColours{split: Split{Old: blue, New: blue}})
	release, err := b.parts.readRelease(ctx, s, b.taking())
	if err == nil {
		check.Release = release
	} else if !errors.Is(err, pipeline.ErrNotYetKnown) {
		return []pipeline.Finding{finding(b.Image.Pos, err)}
	}
	all := ask(ctx, s.Stage().Pos, b.parts.Platform, check)
	return append(all, b.parts.preflightGates(ctx, s, b.gates(), blue)...)
}

// Plan says what Run and Finish would write.
func (b *BlueGreenStage) Plan(ctx context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	plan := pipeline.Plan{Peak: map[string]int{}}
	b.planTimes(&plan)
	router, name := b.Traffic.Router()
	if b.parts.Platform == nil {
		plan.Unknown = append(plan.Unknown, "what it would write: no cluster was asked")
		b.planWeights(&plan, router+" "+name, "the idle colour")
		return plan, nil
	}
	now, err := b.look(ctx)
	if err != nil {
		return plan, err
	}
	b.parts.planPermissions(&plan, b.check(now))
	release, done, err := b.parts.planRelease(ctx, s, &plan, planning{taking: b.taking(), live: now.old, track: now.split.New, active: now.split.Old})
	if err != nil || done {
		return plan, err
	}
	for _, gate := range b.gates() {
		plan.Queries = append(plan.Queries, b.parts.planGate(ctx, s, gate, b.parts.Platform.Selector(now.split.Old))...)
	}
	if !now.old.Exists {
		return plan, b.parts.planTrack(ctx, &plan, planned{track: now.split.Old, release: release, replicas: -1})
	}
	size := max(1, now.old.Replicas)
	plan.Peak[now.split.Old.Workload.String()] = size
	plan.Peak[now.split.New.Workload.String()] = size
	if now.idle.Replicas > 0 { // They are there until those of the release are.
		plan.Peak[now.split.New.Workload.String()] += now.idle.Surge
	}
	if err := b.parts.planTrack(ctx, &plan, planned{track: now.split.New, release: release, replicas: size}); err != nil {
		return plan, err
	}
	if preview := b.previewTraffic(); preview != nil {
		plan.Writes = append(plan.Writes, pipeline.PlannedWrite{
			Thing: pipeline.Thing{Kind: routeThing, Name: ServiceRouter + " " + b.Preview.Service.Value}, Verb: "update", After: "run",
			Summary: "the preview shows " + now.split.New.Name,
		})
	}
	b.planWeights(&plan, router+" "+name, now.split.New.Name)
	plan.Writes = append(plan.Writes, pipeline.PlannedWrite{
		Thing: b.thing(now.split.Old), Verb: "scale", After: "finish",
		Summary: fmt.Sprintf("pods that %s keeps: %d", now.split.Old.Name, b.IdleReplicas.Value),
	})
	return plan, nil
}

func (b *BlueGreenStage) planTimes(plan *pipeline.Plan) {
	fixed := b.pauses() + b.KeepOld.Value + b.Traffic.Drain.Value + b.Traffic.Settle.Value
	if b.Preview != nil {
		fixed += b.Preview.For.Value
	}
	plan.Shortest, plan.Longest = fixed, fixed+b.Ready.Value
}

func (b *BlueGreenStage) planWeights(plan *pipeline.Plan, route, to string) {
	add := func(weight float64) {
		plan.Writes = append(plan.Writes, pipeline.PlannedWrite{
			Thing: pipeline.Thing{Kind: routeThing, Name: route}, Verb: "update", After: "run",
			Summary: percent(weight) + " of the traffic to " + to,
		})
	}
	last := 0.0
	for _, step := range b.Steps {
		if step.SetWeight != nil {
			last = step.SetWeight.Value
			add(last)
		}
	}
	if last < 100 {
		add(100)
	}
}
