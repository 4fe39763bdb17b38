package stages

import (
	"context"
	"fmt"
	"time"

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
	// The old colour stays as long as it is not certain that the new one does:
	// who delivered has somewhere to go back to.
	err = b.parts.guarded(ctx, s, []Track{c.split.New}, func(ctx context.Context) error {
		return inOrder(ctx, c.verify, c.drainOld, c.settleRoute, c.keepOld, c.serving)
	})
	if err != nil {
		return err
	}
	if err := inOrder(ctx, c.giveBack, c.verify); err != nil {
		return err
	}
	return b.parts.tidy(ctx, c.split.New)
}

// inOrder takes steps until one fails.
func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serving proves that the new colour is ready, at the size that it has now.
func (c *colouring) serving(ctx context.Context) error {
	live, err := c.parts.Platform.Live(ctx, c.split.New.Workload)
	if err != nil {
		return err
	}
	return c.parts.awaitReady(ctx, c.scope, c.split.New, awaiting{live.Replicas, c.Ready.Value})
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
	old, n := c.split.Old, c.IdleReplicas.Value
	resizer, ok := c.parts.Platform.(Resizer)
	if !ok {
		return errNotRestorable
	}
	if err := c.parts.letGo(ctx, c.scope, old.Workload, time.Time{}); err != nil {
		return err
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
	switched, err := c.scope.Mark(ctx, "drain "+old.Name)
	if err != nil {
		return err
	}
	return c.parts.letGo(ctx, c.scope, c.split.New.Workload, switched)
}
