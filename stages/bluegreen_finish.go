package stages

import (
	"context"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
)

// Finish lets the old colour drain, keeps it for a while and gives its pods
// back. The new colour is the active one from now on.
func (b *BlueGreenStage) Finish(ctx context.Context, s *pipeline.Scope) error {
	state, begun, err := b.begun(s)
	if err != nil {
		return err
	}
	if !begun { // a first deployment, or the release was live already
		return b.parts.tidy(ctx, b.named(s.Outputs()["track"]))
	}
	sh, err := b.parts.shift(ctx, s, b.Traffic, state.Split)
	if err != nil {
		return err
	}
	sh.weight = 100
	c := &colouring{BlueGreenStage: b, shifting: sh, state: state}
	for _, step := range []func(context.Context) error{c.verify, c.drainOld, c.settleRoute, c.keepOld, c.giveBack, c.verify} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return b.parts.tidy(ctx, c.split.New)
}

// verify looks whether what was asked for is what is live.
func (c *colouring) verify(ctx context.Context) error {
	image := c.scope.Outputs()["image"]
	live, err := c.parts.Platform.Live(ctx, c.split.New.Workload)
	if err != nil {
		return err
	}
	if found := live.ImageFor(Release{Image: image, Container: c.Container.Value}); found != image {
		return &DriftError{Thing: "deployment " + c.split.New.Workload.String(), Found: found, Want: image, By: live.By}
	}
	weight, err := c.router.Weight(ctx)
	if err != nil {
		return err
	}
	if weight != 100 {
		return &DriftError{Thing: c.router.Name(), Found: percent(weight) + " on " + c.split.New.Name, Want: "all of it"}
	}
	return nil
}

func (c *colouring) drainOld(ctx context.Context) error { return c.drain(ctx, c.split.Old.Name) }

// settleRoute leaves no trace of the rollout in the route.
func (c *colouring) settleRoute(ctx context.Context) error {
	settler, ok := c.router.(Settler)
	if !ok {
		return nil
	}
	return c.scope.Do(ctx, pipeline.Change{
		Thing: c.routeThing(), Key: "settled", To: routeState{Weight: 100, Before: c.before},
		Make: settler.Settle,
	})
}

// keepOld waits for as long as the old colour shall stay up.
func (c *colouring) keepOld(ctx context.Context) error {
	if c.KeepOld.Value <= 0 {
		return nil
	}
	return c.pause(ctx, "keep old", c.KeepOld.Value)
}

// giveBack takes the old colour's pods away and lets autoscalers go.
func (c *colouring) giveBack(ctx context.Context) error {
	old, n := c.split.Old, int(c.IdleReplicas.Value)
	resizer, ok := c.parts.Platform.(Resizer)
	if !ok {
		return errNotRestorable
	}
	now, err := resizer.Size(ctx, old)
	if err != nil {
		return err
	}
	if now > n {
		err := c.scope.Do(ctx, pipeline.Change{
			Thing: c.thing(old), Key: fmt.Sprintf("%d pods", n),
			Make: func(ctx context.Context) error { return resizer.Resize(ctx, old, n) },
		})
		if err != nil {
			return err
		}
	}
	for _, t := range []Track{old, c.split.New} {
		if err := c.parts.release(ctx, c.scope, t.Workload); err != nil {
			return err
		}
	}
	return nil
}
