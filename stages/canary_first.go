package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// firstDeployment applies the manifests where there is no stable track yet:
// nothing to compare with and nothing to split. It is proved ready, judged
// for as long as the steps would have taken, and taken away on failure.
func (c *CanaryStage) firstDeployment(ctx context.Context, s *pipeline.Scope, release Release) error {
	if len(release.Manifests) == 0 {
		return fmt.Errorf("%s does not exist, and there are no manifests to create it from", c.workload())
	}
	s.Progress("%s does not exist yet: this is its first deployment", c.workload())
	t := c.stable()
	err := s.Do(ctx, pipeline.Change{
		Thing: c.workloadThing(), Key: "create",
		Was: trackState{Track: t}, To: release.Image,
		Make: func(ctx context.Context) error { return c.parts.Platform.SetTrack(ctx, t, release, -1) },
	})
	if err != nil {
		return err
	}
	if err := c.proveFirst(ctx, s, release); err != nil {
		if !errors.Is(err, pipeline.ErrCancelled) {
			c.parts.evidence(ctx, s, t, 5*time.Second)
		}
		return err
	}
	return nil
}

func (c *CanaryStage) proveFirst(ctx context.Context, s *pipeline.Scope, release Release) error {
	live, err := c.parts.Platform.Live(ctx, c.workload())
	if err != nil {
		return err
	}
	if err := c.parts.awaitReady(ctx, s, c.stable(), awaiting{live.Replicas, c.Ready.Value}); err != nil {
		return err
	}
	since, err := s.Mark(ctx, "first traffic")
	if err != nil {
		return err
	}
	target := gates.Target{Track: Stable, Selector: c.parts.Platform.Selector(c.stable()), Since: since}
	watch, err := c.parts.startWatch(s, c.Gate.Value, target)
	if err != nil {
		return err
	}
	err = watch.beside(ctx, func(ctx context.Context) error {
		if left := c.pauses() - s.Now().Sub(since); left > 0 {
			s.Waiting(left, "first deployment is judged for %s", source.FormatDuration(left.Round(100*time.Millisecond)))
			if err := s.Sleep(ctx, left); err != nil {
				return err
			}
		}
		return watch.ready(ctx)
	})
	if err == nil {
		c.setOutputs(s, release, c.stable(), since)
	}
	return err
}

// pauses is the sum of the times that the steps ask for.
func (c *CanaryStage) pauses() time.Duration {
	var sum time.Duration
	for _, step := range c.Steps {
		if step.Pause != nil {
			sum += step.Pause.Value
		}
		sum += step.For.Value
	}
	return sum
}
