package stages

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// finding makes one of an error, with its hint.
func finding(at source.Pos, err error) pipeline.Finding {
	f := pipeline.Finding{Pos: at, Message: err.Error()}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	return f
}

// Preflight asks the platform, the router and the gates whether the rollout
// would work.
func (c *CanaryStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	at := s.Stage().Pos
	var all []pipeline.Finding
	live, err := c.parts.Platform.Live(ctx, c.workload())
	if err != nil {
		return c.cannotRead(ctx, at, err)
	}
	if !live.Exists && len(c.Manifests) == 0 {
		return []pipeline.Finding{{
			Pos: c.Deployment.Pos, Message: fmt.Sprintf("deployment %s does not exist", c.workload()),
			Hint: "give manifests: to create it from, or mend the name or the namespace",
		}}
	}
	check := RolloutCheck{Kind: "canary", Split: c.split(), Workload: c.workload(), MaxReplicas: 1, Service: c.Traffic.Service.Value}
	release, err := c.parts.readRelease(ctx, s, c.taking())
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
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
		all = append(all, c.preflightProbe(ctx, s)...)
	}
	return append(all, c.preflightGates(ctx, s)...)
}

// preflightProbe sends the probe once, to stable. An address that is none, or
// that answers nobody, would be found out only with users on the canary.
func (c *CanaryStage) preflightProbe(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	if !c.Traffic.Probe.IsSet() {
		return nil
	}
	at := c.Traffic.Probe.Pos
	address, err := s.Text(c.Traffic.Probe, nil)
	if errors.Is(err, pipeline.ErrNotYetKnown) {
		return nil
	}
	if err != nil {
		return []pipeline.Finding{finding(at, err)}
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return []pipeline.Finding{{Pos: at, Message: "traffic.probe is no URL", Hint: "write it with http:// or https:// and a host"}}
	}
	if err := probeOnce(ctx, probeClient(), address); err != nil {
		return []pipeline.Finding{{
			Pos: at, Warning: true, Message: fmt.Sprintf("traffic.probe fails already: %s", err),
			Hint: "mend the URL, unless the release is meant to mend the service; a release whose probe fails is put back",
		}}
	}
	return nil
}

// cannotRead says why the workload cannot be read: where it is for want of
// permissions, platform and router name all that are missing.
func (c *CanaryStage) cannotRead(ctx context.Context, at source.Pos, err error) []pipeline.Finding {
	check := RolloutCheck{Kind: "canary", Split: c.split(), Workload: c.workload(), MaxReplicas: 1, Service: c.Traffic.Service.Value}
	all := []pipeline.Finding{finding(at, err)}
	if checker, ok := c.parts.Platform.(Checker); ok {
		if found, err := checker.Check(ctx, check); err == nil {
			all = append(all, found...)
		}
	}
	if router, err := c.parts.Router(c.Traffic, c.split()); err == nil {
		if checker, ok := router.(Checker); ok {
			if found, err := checker.Check(ctx, check); err == nil {
				all = append(all, found...)
			}
		}
	}
	for i := range all {
		if !all[i].Pos.IsValid() {
			all[i].Pos = at
		}
	}
	return all
}

func (c *CanaryStage) preflightGates(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	var all []pipeline.Finding
	for _, name := range c.gates() {
		all = append(all, c.parts.preflightGate(ctx, s, name, c.parts.Platform.Selector(c.stable()))...)
	}
	return all
}

// preflightGate asks a gate's queries of what is live now.
func (p *Parts) preflightGate(ctx context.Context, s *pipeline.Scope, name, selector string) []pipeline.Finding {
	gate, ok := gates.Of(s.Pipeline(), name)
	if !ok {
		return nil
	}
	providers := p.Gates
	providers.Text = s.Text
	return gate.Preflight(ctx, providers, gates.Target{Track: Stable, Selector: selector}, s.Now())
}

// planGate asks a gate's queries for the values of now.
func (p *Parts) planGate(ctx context.Context, s *pipeline.Scope, name, selector string) []pipeline.Measurement {
	gate, ok := gates.Of(s.Pipeline(), name)
	if !ok {
		return nil
	}
	providers := p.Gates
	providers.Text = s.Text
	return gate.Plan(ctx, providers, gates.Target{Track: Stable, Selector: selector}, s.Now())
}

// gates are the names of those that the stage uses, each once.
func (c *CanaryStage) gates() []string {
	var names []string
	seen := map[string]bool{"": true}
	add := func(name string) {
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	add(c.Gate.Value)
	for _, step := range c.Steps {
		add(step.Gate.Value)
	}
	return names
}

// ask puts a check to whatever can answer it.
func ask(ctx context.Context, at source.Pos, who any, check RolloutCheck) []pipeline.Finding {
	checker, ok := who.(Checker)
	if !ok {
		return nil
	}
	findings, err := checker.Check(ctx, check)
	if err != nil {
		findings = append(findings, finding(at, err))
	}
	for i := range findings {
		if !findings[i].Pos.IsValid() {
			findings[i].Pos = at
		}
	}
	return findings
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
	if permitter, ok := c.parts.Platform.(Permitter); ok {
		plan.Permissions = append(plan.Permissions, permitter.Permissions(c.workload())...)
	}
	if router, err := c.parts.Router(c.Traffic, c.split()); err == nil {
		if permitter, ok := router.(Permitter); ok {
			plan.Permissions = append(plan.Permissions, permitter.Permissions(c.workload())...)
		}
	}
	live, err := c.parts.Platform.Live(ctx, c.workload())
	if err != nil {
		return plan, err
	}
	release, err := c.parts.readRelease(ctx, s, c.taking())
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		plan.Unknown = append(plan.Unknown, "the image: "+c.Image.Raw+" is known once that stage has run; the diffs show the present one")
		if release, err = c.parts.readManifests(s, c.taking()); err != nil {
			return plan, err
		}
		release.Image = c.presentImage(live)
	case err != nil:
		return plan, err
	case live.Exists && live.ImageFor(release) == release.Image && len(release.Manifests) == 0:
		plan.Unknown = append(plan.Unknown, "nothing would be written: the release is live already")
		return plan, nil
	}
	if permitter, ok := c.parts.Platform.(ReleasePermitter); ok && len(release.Manifests) > 0 {
		more, err := permitter.ReleasePermissions(ctx, c.workload(), release)
		if err != nil {
			return plan, err
		}
		plan.Permissions = append(plan.Permissions, more...)
	}
	for _, name := range c.gates() {
		plan.Queries = append(plan.Queries, c.parts.planGate(ctx, s, name, c.parts.Platform.Selector(c.stable()))...)
	}
	if !live.Exists {
		return plan, c.planTrack(ctx, &plan, c.stable(), release, -1)
	}
	size := max(1, live.Replicas)
	plan.Peak[c.workload().String()] = 2*size + live.Surge
	return plan, c.planRollout(ctx, &plan, release, size)
}

// presentImage stands for an image that is not known yet.
func (c *CanaryStage) presentImage(live Live) string {
	if image := live.ImageFor(Release{Container: c.Container.Value}); image != "" {
		return image
	}
	for _, image := range live.Images {
		return image
	}
	return "image-that-the-build-makes:latest"
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

func (c *CanaryStage) planTrack(ctx context.Context, plan *pipeline.Plan, t Track, release Release, replicas int) error {
	planner, ok := c.parts.Platform.(Planner)
	if !ok {
		return nil
	}
	writes, err := planner.PlanTrack(ctx, t, release, replicas)
	plan.Writes = append(plan.Writes, writes...)
	return err
}

func (c *CanaryStage) planRollout(ctx context.Context, plan *pipeline.Plan, release Release, size int) error {
	router, err := c.parts.Router(c.Traffic, c.split())
	if err != nil {
		return err
	}
	first := &canaryRun{CanaryStage: c, size: size}
	pods := first.podsFor(first.capacity(0, c.Steps[0].SetWeight.Value))
	if err := c.planTrack(ctx, plan, c.canary(), release, pods); err != nil {
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
	before := len(plan.Writes)
	if err := c.planTrack(ctx, plan, c.stable(), release, -1); err != nil {
		return err
	}
	for i := range plan.Writes[before:] {
		plan.Writes[before+i].After = "finish"
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
