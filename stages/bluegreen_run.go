package stages

import (
	"context"
	"fmt"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// run takes the idle colour to all traffic, and judges it there.
func (c *colouring) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.up, c.preview} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := c.settle(ctx, c.split.New.Name); err != nil {
		return err
	}
	first := 100.0
	if len(c.Steps) > 0 {
		first = c.Steps[0].SetWeight.Value
	}
	if err := c.set(ctx, first); err != nil {
		return err
	}
	since, err := c.scope.Mark(ctx, "first traffic")
	if err != nil {
		return err
	}
	watch, err := c.parts.startWatch(c.scope, c.Gate.Value, c.target(gates.Target{Since: since}))
	if err != nil {
		return err
	}
	err = c.parts.guarded(ctx, c.scope, []Track{c.split.New}, func(ctx context.Context) error {
		return watch.beside(ctx, func(ctx context.Context) error { return c.walk(ctx, watch) })
	})
	if err == nil {
		c.parts.setOutputs(c.scope, c.release, c.split.New, since)
	}
	return err
}

// target is the new colour, for a gate.
func (c *colouring) target(t gates.Target) gates.Target {
	t.Track, t.Selector = c.split.New.Name, c.parts.Platform.Selector(c.split.New)
	return t
}

// up gives the idle colour the release and as many pods as the active one has,
// and keeps autoscalers from taking any away on either side.
func (c *colouring) up(ctx context.Context) error {
	idle := c.split.New
	if err := c.parts.hold(ctx, c.scope, c.split.Old, c.state.Size); err != nil {
		return err
	}
	// Before it has pods, of which an autoscaler would find too many, and once
	// more when the release has brought an autoscaler with it.
	if err := c.parts.holdIdle(ctx, c.scope, idle, c.state.Size); err != nil {
		return err
	}
	err := c.scope.Do(ctx, pipeline.Change{
		Thing: c.thing(idle), Key: fmt.Sprintf("take the release with %d pods", c.state.Size), Was: c.state,
		To:   updatedState{Track: idle, Image: c.release.Image, Container: c.release.Container},
		Make: func(ctx context.Context) error { return c.parts.Platform.SetTrack(ctx, idle, c.release, c.state.Size) },
	})
	if err != nil {
		return err
	}
	if err := c.parts.holdAgain(ctx, c.scope, idle, c.state.Size); err != nil {
		return err
	}
	return c.scope.Step(ctx, "idle colour ready", func(ctx context.Context) error {
		return c.parts.awaitReady(ctx, c.scope, idle, awaiting{c.state.Size, c.Ready.Value})
	})
}

// preview shows the idle colour to people, tests and a gate of its own.
func (c *colouring) preview(ctx context.Context) error {
	p := c.Preview
	if p == nil {
		return nil
	}
	if traffic := c.previewTraffic(); traffic != nil {
		sh, err := c.parts.shift(ctx, c.scope, *traffic, c.split)
		if err != nil {
			return err
		}
		if err := sh.show(ctx); err != nil {
			return err
		}
	} else if err := c.probeAt(ctx, p.Probe); err != nil {
		return err
	}
	if !p.Gate.IsSet() {
		return nil
	}
	since, err := c.scope.Mark(ctx, "preview")
	if err != nil {
		return err
	}
	return c.scope.Step(ctx, "preview judged", func(ctx context.Context) error {
		return c.parts.judgeFor(ctx, c.scope, p.Gate.Value, p.For.Value, c.target(gates.Target{Since: since}))
	})
}

// previewTraffic is what the preview's Service is switched by, nil where there
// is none.
func (b *BlueGreenStage) previewTraffic() *Traffic {
	if b.Preview == nil || !b.Preview.Service.IsSet() {
		return nil
	}
	return &Traffic{Service: b.Preview.Service, Probe: b.Preview.Probe}
}

// walk does the steps after the first, gives all traffic, and bakes.
func (c *colouring) walk(ctx context.Context, watch *watching) error {
	for i, step := range c.Steps {
		var err error
		switch {
		case i == 0:
		case step.SetWeight != nil:
			err = c.raise(ctx, watch, step.SetWeight.Value)
		case step.Pause != nil:
			err = c.pause(ctx, fmt.Sprintf("pause %d", i), step.Pause.Value)
		default:
			err = c.judge(ctx, i, step)
		}
		if err != nil {
			return err
		}
	}
	if c.weight < 100 {
		if err := c.raise(ctx, watch, 100); err != nil {
			return err
		}
	}
	if c.Bake.Value > 0 {
		if err := c.pause(ctx, "bake", c.Bake.Value); err != nil {
			return err
		}
	}
	if err := watch.ready(ctx); err != nil {
		return err
	}
	return c.unchanged(ctx)
}

// raise gives the new colour more traffic, once the gate has shown that what
// it has is well served.
func (c *colouring) raise(ctx context.Context, watch *watching, weight float64) error {
	err := c.scope.Step(ctx, "raise to "+percent(weight), func(ctx context.Context) error {
		if err := watch.ready(ctx); err != nil {
			return err
		}
		if err := c.unchanged(ctx); err != nil {
			return err
		}
		defer watch.changed()
		return c.set(ctx, weight)
	})
	if err == nil {
		c.weight = weight // also where an earlier process did it
	}
	return err
}

func (c *colouring) judge(ctx context.Context, step int, s ShiftStep) error {
	name := fmt.Sprintf("gate %d", step)
	since, err := c.scope.Mark(ctx, name)
	if err != nil {
		return err
	}
	return c.scope.Step(ctx, name, func(ctx context.Context) error {
		return c.parts.judgeFor(ctx, c.scope, s.Gate.Value, s.For.Value, c.target(gates.Target{Since: since}))
	})
}

// unchanged fails when somebody else has changed what the new colour runs.
func (c *colouring) unchanged(ctx context.Context) error {
	live, err := c.parts.Platform.Live(ctx, c.split.New.Workload)
	if err != nil {
		return err
	}
	if found := live.ImageFor(c.release); found != c.release.Image {
		if !live.Exists {
			found = "gone"
		}
		return &DriftError{Thing: "deployment " + c.split.New.Workload.String(), Found: found, Want: c.release.Image, By: live.By}
	}
	return nil
}
