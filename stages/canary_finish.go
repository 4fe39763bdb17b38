package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// paceTime bounds the one write after a promotion that did not get ready.
const paceTime = 2 * time.Second

// Finish gives the release to the user's Deployment while the canary carries
// the load, brings traffic back to it, and removes the canary.
func (c *CanaryStage) Finish(ctx context.Context, s *pipeline.Scope) error {
	out := s.Outputs()
	if out["track"] != Canary {
		return c.parts.tidy(ctx, c.stable()) // a first deployment, or the release was live already
	}
	sh, err := c.parts.shift(ctx, s, c.Traffic, c.split())
	if err != nil {
		return err
	}
	release, err := c.parts.passedRelease(ctx, s, c.taking())
	if err != nil {
		return err
	}
	f := &canaryRun{CanaryStage: c, shifting: sh, release: c.placed(release)}
	if _, ok := s.Was(f.routeThing()); !ok {
		return fmt.Errorf("the journal does not say what %s was", sh.router.Name())
	}
	for _, step := range []func(context.Context) error{f.promote, f.trafficBack, f.removeCanary, f.letGo, f.verifyEnd} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return c.parts.tidy(ctx, c.stable())
}

// letGo gives the autoscaler of stable its own minimum back.
func (r *canaryRun) letGo(ctx context.Context) error {
	since, err := r.scope.Mark(ctx, "drain "+Canary) // when stable's traffic came back
	if err != nil {
		return err
	}
	return r.parts.letGo(ctx, r.scope, r.workload(), since)
}

// promote updates the user's Deployment; its pods get no traffic meanwhile.
func (r *canaryRun) promote(ctx context.Context) error {
	if err := r.drain(ctx, Stable); err != nil {
		return err
	}
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return err
	}
	n, err := r.grown(ctx, live)
	if err != nil {
		return err
	}
	err = r.scope.Do(ctx, pipeline.Change{
		Thing: r.workloadThing(), Key: "take the release", To: r.release.Image,
		Make: func(ctx context.Context) error {
			return r.parts.Platform.SetTrack(ctx, r.stable(), r.release, n)
		},
	})
	if err != nil {
		return err
	}
	if live, err = r.parts.Platform.Live(ctx, r.workload()); err != nil {
		return err
	}
	r.scope.Progress("%s takes the release while the canary carries the load", r.workload())
	err = r.parts.awaitReady(ctx, r.scope, r.stable(), awaiting{live.Replicas, r.Ready.Value})
	if err := r.ownPace(ctx, err); err != nil {
		return err
	}
	return r.settle(ctx, Stable)
}

// ownPace gives stable its own rules for rolling updates back, even if it did
// not get ready, of which err tells.
func (r *canaryRun) ownPace(ctx context.Context, err error) error {
	pacer, ok := r.parts.Platform.(Pacer)
	if !ok || r.counts() {
		return err
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), paceTime)
		defer cancel()
		return errors.Join(err, pacer.OwnPace(ctx, r.stable()))
	}
	return r.scope.Do(ctx, pipeline.Change{
		Thing: r.workloadThing(), Key: "its own pace",
		Make: func(ctx context.Context) error { return pacer.OwnPace(ctx, r.stable()) },
	})
}

// trafficBack makes the route what it was before the rollout.
func (r *canaryRun) trafficBack(ctx context.Context) error {
	if err := r.back(ctx); err != nil {
		return err
	}
	return r.drain(ctx, Canary)
}

func (r *canaryRun) removeCanary(ctx context.Context) error {
	return r.scope.Do(ctx, pipeline.Change{
		Thing: r.trackThing(), Key: "remove",
		Make: func(ctx context.Context) error { return r.parts.Platform.RemoveTrack(ctx, r.canary(), false) },
	})
}

// verifyEnd looks whether what was asked for is what is live.
func (r *canaryRun) verifyEnd(ctx context.Context) error {
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return err
	}
	if found := live.ImageFor(r.release); found != r.release.Image {
		return &DriftError{Thing: r.workload().String(), Found: found, Want: r.release.Image}
	}
	weight, err := r.router.Weight(ctx)
	if err != nil {
		return err
	}
	if weight != 0 {
		return &DriftError{Thing: r.router.Name(), Found: percent(weight) + " on the canary", Want: "all on stable"}
	}
	return nil
}

// changedManifestsError stops a finish that would bring what no gate has seen.
type changedManifestsError struct{ workload Workload }

// Error says what differs.
func (e *changedManifestsError) Error() string {
	return "the manifests are not those that the gates have judged for " + e.workload.String()
}

// Hint says where they are.
func (e *changedManifestsError) Hint() string {
	return "run headgate recover in a checkout of the commit that was rolled out; headgate status names it"
}
