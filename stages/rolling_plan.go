package stages

import (
	"context"
	"errors"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
)

func (r *RollingStage) check() RolloutCheck {
	return RolloutCheck{Kind: "rolling", Split: Split{Old: r.stable(), New: r.stable()}, Workload: r.workload()}
}

// Preflight asks the platform and the gate whether the update would work.
func (r *RollingStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	at := s.Stage().Pos
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return r.parts.cannotRead(ctx, at, r.check(), err)
	}
	if !live.Exists && len(r.Manifests) == 0 {
		return []pipeline.Finding{{
			Pos: r.Deployment.Pos, Message: fmt.Sprintf("deployment %s does not exist", r.workload()),
			Hint: "give manifests: to create it from, or mend the name or the namespace",
		}}
	}
	if _, ok := r.parts.Platform.(Restorer); !ok {
		return []pipeline.Finding{finding(at, errNotRestorable)}
	}
	var all []pipeline.Finding
	check := r.check()
	release, err := r.readRelease(ctx, s)
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		check.Release, all = r.parts.preflightManifests(ctx, s, r.taking())
	case err != nil:
		all = append(all, finding(r.Image.Pos, err))
	default:
		check.Release = release
	}
	all = append(all, ask(ctx, at, r.parts.Platform, check)...)
	if !r.parts.unneeded(ctx, r.stable(), live, check.Release) {
		all = append(all, r.parts.preflightDrain(ctx, draining{workload: r.workload(), live: live, key: "drain", set: r.Drain.Value > 0, at: at})...)
	}
	return append(all, r.parts.preflightGates(ctx, s, distinct([]string{r.Gate.Value}), r.stable())...)
}

// Plan says what Run would write.
func (r *RollingStage) Plan(ctx context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	plan := pipeline.Plan{Peak: map[string]int{}, Shortest: r.Bake.Value, Longest: r.Bake.Value + r.Ready.Value}
	if r.parts.Platform == nil {
		plan.Unknown = append(plan.Unknown, "what it would write: no cluster was asked")
		return plan, nil
	}
	r.parts.planPermissions(&plan, r.check())
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return plan, err
	}
	release, done, err := r.parts.planRelease(ctx, s, &plan, planning{
		taking: r.taking(), live: live, track: r.stable(), active: r.stable(), dressed: r.draining,
	})
	if err != nil || done {
		return plan, err
	}
	for _, name := range distinct([]string{r.Gate.Value}) {
		plan.Queries = append(plan.Queries, r.parts.planGate(ctx, s, name, r.parts.Platform.Selector(r.stable()))...)
	}
	plan.Peak[r.workload().String()] = max(1, live.Replicas) + live.Surge
	return plan, r.parts.planTrack(ctx, &plan, planned{track: r.stable(), release: release, replicas: -1})
}
