package stages

import (
	"context"
	"fmt"
	"math"

	"github.com/headgate-dev/headgate/pipeline"
)

// capacity looks ahead: steps that follow at once are prepared for together.
func (r *canaryRun) capacity(step int, weight float64) float64 {
	if r.Gate.IsSet() || r.counts() {
		return weight
	}
	for _, s := range r.Steps[min(step+1, len(r.Steps)):] {
		if s.SetWeight == nil {
			return weight
		}
		weight = s.SetWeight.Value
	}
	return 100
}

// podsFor is the share of stable's size that a weight needs, rounded up, or
// what a router needs that splits by numbers of pods; more, where the last
// setCanaryScale asked for more.
func (r *canaryRun) podsFor(weight float64) int {
	n := share(r.size, weight)
	if sizer, ok := r.router.(Sizer); ok {
		_, n = sizer.Pods(weight, r.size)
	} else if r.scale != nil {
		n = max(n, r.scale.pods(r.size))
	}
	return max(1, n)
}

// share is a share of a size in percent, rounded up.
func share(size int, weight float64) int { return int(math.Ceil(float64(size)*weight/100 - 1e-9)) }

// pods is how many a canary beside so many has at least.
func (s *CanaryScale) pods(size int) int {
	switch {
	case s.Replicas != nil:
		return s.Replicas.Value
	case s.Weight != nil:
		return share(size, s.Weight.Value)
	}
	return 0
}

// rescale sees to the pods that a setCanaryScale asks for, and lets the canary
// lose those that neither it nor the weight needs any more.
func (r *canaryRun) rescale(ctx context.Context, step int, to *CanaryScale) error {
	r.scale = to
	n := r.podsFor(r.weight)
	if n == r.replicas {
		return nil
	}
	return r.resize(ctx, n, fmt.Sprintf("%d pods at step %d", n, step))
}

// atLeast is n, or more where an autoscaler of the canary's own has found that
// its traffic needs more.
func (r *canaryRun) atLeast(ctx context.Context, n int) (int, error) {
	resizer, ok := r.parts.Platform.(Resizer)
	if !ok || r.counts() || r.weight == 0 {
		return n, nil
	}
	if a, err := r.scaler(ctx); err != nil || !a.Exists() {
		return n, err
	}
	now, err := resizer.Size(ctx, r.canary())
	return max(n, now), err
}

// scaler is what scales stable, and the canary by a copy.
func (r *canaryRun) scaler(ctx context.Context) (Autoscaler, error) {
	scaler, ok := r.parts.Platform.(Scaler)
	if !ok {
		return Autoscaler{}, nil
	}
	return scaler.Autoscaler(ctx, r.workload())
}

// resize gives the canary so many pods and waits for them; key names the change
// in the journal.
func (r *canaryRun) resize(ctx context.Context, n int, key string) error {
	err := r.scope.Do(ctx, pipeline.Change{
		Thing: r.trackThing(), Key: key,
		Was:  trackState{Track: r.canary(), Drain: r.Traffic.Drain.Value, Size: r.size, Version: r.version},
		To:   trackState{Track: r.canary(), Replicas: n},
		Make: func(ctx context.Context) error { return r.parts.Platform.SetTrack(ctx, r.canary(), r.release, n) },
	})
	if err != nil {
		return err
	}
	err = r.scope.Step(ctx, key+" ready", func(ctx context.Context) error {
		return r.parts.awaitReady(ctx, r.scope, r.canary(), awaiting{n, r.Ready.Value})
	})
	if err == nil {
		r.replicas = n
	}
	return err
}

// counts reports whether the numbers of pods are what splits the traffic.
func (r *canaryRun) counts() bool {
	_, ok := r.router.(Sizer)
	return ok
}

// hold keeps an autoscaler from taking stable's pods away while the canary has
// their traffic. Where the numbers of pods are what splits, that is the
// router's to change.
func (r *canaryRun) hold(ctx context.Context) error {
	if r.counts() {
		return nil
	}
	return r.parts.hold(ctx, r.scope, r.stable(), r.size)
}

// grown is how many pods stable needs to take the traffic back: as many as an
// autoscaler has given the canary meanwhile, or -1 for those that it has.
func (r *canaryRun) grown(ctx context.Context, live Live) (int, error) {
	resizer, ok := r.parts.Platform.(Resizer)
	if !ok || r.counts() {
		return -1, nil
	}
	if a, err := r.scaler(ctx); err != nil || !a.Exists() {
		return -1, err
	}
	n, err := resizer.Size(ctx, r.canary())
	if err != nil || n <= live.Replicas {
		return -1, err
	}
	return n, r.parts.hold(ctx, r.scope, r.stable(), n)
}
