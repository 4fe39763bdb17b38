package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// Preflight asks the platform, the router and the gates whether the rollout
// would work.
func (c *CanaryStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	at := s.Stage().Pos
	var all []pipeline.Finding
	live, err := c.parts.Platform.Live(ctx, c.workload())
	if err != nil {
		return c.parts.cannotRead(ctx, at, c.check(), err)
	}
	if !live.Exists && len(c.Manifests) == 0 {
		return []pipeline.Finding{{
			Pos: c.Deployment.Pos, Message: fmt.Sprintf("deployment %s does not exist", c.workload()),
			Hint: "give manifests: to create it from, or mend the name or the namespace",
		}}
	}
	check := c.check()
	release, err := c.readRelease(ctx, s)
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		check.Release, all = c.parts.preflightManifests(ctx, s, c.taking())
	case err != nil:
		all = append(all, finding(c.Image.Pos, err))
	default:
		check.Release = release
	}
	all = append(all, ask(ctx, at, c.parts.Platform, check)...)
	if live.Exists {
		router, err := c.parts.Router(c.Traffic, c.split())
		if err != nil {
			return append(all, finding(c.Traffic.Pos, err))
		}
		all = append(all, ask(ctx, c.Traffic.Pos, router, check)...)
	}
	if live.Exists {
		all = append(all, preflightProbe(ctx, s, c.Traffic.Probe)...)
		if c.Traffic.Replicas.Value && !c.parts.unneeded(ctx, c.stable(), live, check.Release) {
			all = append(all, c.parts.preflightDrain(ctx, draining{
				workload: c.workload(), live: live, key: "traffic.drain", set: c.placed(Release{}).Drain > 0, at: c.Traffic.Pos,
			})...)
		}
	}
	return append(all, c.parts.preflightGates(ctx, s, c.gates(), c.stable())...)
}

// check is what platform and router are asked about.
func (c *CanaryStage) check() RolloutCheck {
	return RolloutCheck{
		Kind: "canary", Split: c.split(), Traffic: &c.Traffic,
		Workload: c.workload(), MaxReplicas: 1, Service: c.Traffic.Service.Value,
	}
}

// gates are the names of those that the stage uses, each once.
func (c *CanaryStage) gates() []string {
	names := []string{c.Gate.Value}
	for _, step := range c.Steps {
		names = append(names, step.Gate.Value)
	}
	return distinct(names)
}

// Plan says what Run and Finish would write.
func (c *CanaryStage) Plan(ctx context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	plan := pipeline.Plan{Peak: map[string]int{}}
	c.planTimes(&plan)
	if c.parts.Platform == nil {
		plan.Unknown = append(plan.Unknown, "what it would write: no cluster was asked")
		router, name := c.Traffic.Router()
		c.planWeights(&plan, router+" "+name)
		return plan, nil
	}
	c.parts.planPermissions(&plan, c.check())
	live, err := c.parts.Platform.Live(ctx, c.workload())
	if err != nil {
		return plan, err
	}
	release, done, err := c.parts.planRelease(ctx, s, &plan, planning{
		taking: c.taking(), live: live, track: c.stable(), active: c.stable(), dressed: c.placed,
	})
	if err != nil || done {
		return plan, err
	}
	for _, name := range c.gates() {
		plan.Queries = append(plan.Queries, c.parts.planGate(ctx, s, name, c.parts.Platform.Selector(c.stable()))...)
	}
	if !live.Exists {
		return plan, c.parts.planTrack(ctx, &plan, planned{track: c.stable(), release: release, replicas: -1})
	}
	size := max(1, live.Replicas)
	plan.Peak[c.workload().String()] = 2*size + live.Surge
	if _, ok := c.parts.Platform.(Pacer); ok && !c.Traffic.Replicas.Value {
		plan.Peak[c.workload().String()] = 3 * size // where there is room
	}
	return plan, c.planRollout(ctx, &plan, release, size)
}

// planTimes bounds the stage's time. Waiting for pods and drains is bounded;
// a gate that extends is not counted.
func (c *CanaryStage) planTimes(plan *pipeline.Plan) {
	fixed := c.pauses() + 2*c.Traffic.Drain.Value + 2*c.Traffic.Settle.Value
	waits, last := 1, 0.0 // the promotion
	for _, step := range c.Steps {
		if step.SetWeight != nil {
			waits++
			last = step.SetWeight.Value
		}
	}
	if last < 100 { // What follows the last step.
		waits++
	}
	plan.Shortest = fixed
	plan.Longest = fixed + time.Duration(waits)*c.Ready.Value
}

func (c *CanaryStage) planRollout(ctx context.Context, plan *pipeline.Plan, release Release, size int) error {
	router, err := c.parts.Router(c.Traffic, c.split())
	if err != nil {
		return err
	}
	first := &canaryRun{CanaryStage: c, shifting: &shifting{router: router}, size: size}
	pods := first.podsFor(first.capacity(0, c.Steps[0].SetWeight.Value))
	if err := c.parts.planTrack(ctx, plan, planned{track: c.canary(), release: release, replicas: pods}); err != nil {
		return err
	}
	at := len(plan.Writes)
	c.planWeights(plan, router.Name())
	if dry, ok := router.(WeightPlanner); ok {
		write, err := dry.PlanWeight(ctx, c.Steps[0].SetWeight.Value)
		if err != nil {
			return err
		}
		plan.Writes[at].Diff = write.Diff // the later ones differ in the numbers alone
	}
	if err := c.parts.planTrack(ctx, plan, planned{track: c.stable(), release: release, replicas: -1, after: "finish"}); err != nil {
		return err
	}
	plan.Writes = append(plan.Writes,
		pipeline.PlannedWrite{
			Thing: pipeline.Thing{Kind: routeThing, Name: router.Name()}, Verb: "update", After: "finish",
			Summary: "made what it was before the rollout; all traffic on " + c.workload().String(),
		},
		pipeline.PlannedWrite{Thing: c.trackThing(), Verb: "delete", After: "finish", Summary: "the canary and its Service are removed"})
	return nil
}

// planWeights lists the changes of the route.
func (c *CanaryStage) planWeights(plan *pipeline.Plan, route string) {
	add := func(weight float64) {
		plan.Writes = append(plan.Writes, pipeline.PlannedWrite{
			Thing: pipeline.Thing{Kind: routeThing, Name: route}, Verb: "update", After: "run",
			Summary: percent(weight) + " of the traffic to the canary",
		})
	}
	last := 0.0
	for _, step := range c.Steps {
		if step.SetWeight != nil {
			last = step.SetWeight.Value
			add(last)
		}
	}
	if last < 100 {
		add(100)
	}
}
