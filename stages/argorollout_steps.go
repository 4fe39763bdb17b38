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

// up gives the Rollout its new template and goes with it through its steps.
func (r *argoRun) up(ctx context.Context) error {
	err := r.scope.Do(ctx, pipeline.Change{
		Thing: r.thing(), Key: "image", Urgent: true, Was: r.state,
		To: argoTo{Workload: r.workload(), Template: r.state.Ours, Image: r.release.Image},
		Make: func(ctx context.Context) error {
			return r.rollouts.SetTemplate(ctx, r.workload(), r.state.Former, r.state.Ours)
		},
	})
	if err != nil {
		return err
	}
	if err := r.untilTraffic(ctx); err != nil {
		return err
	}
	since, err := r.scope.Mark(ctx, "first traffic")
	if err != nil {
		return err
	}
	watch, err := r.parts.startWatch(r.scope, r.Gate.Value, gates.Target{Track: Canary, Selector: r.last.NewPods, Since: since})
	if err != nil {
		return err
	}
	err = watch.beside(ctx, func(ctx context.Context) error { return r.walk(ctx, watch) })
	if err == nil {
		r.setOutputs(since)
	}
	return err
}

// untilTraffic waits until the new pods get requests. Pauses before that are
// not the gate's to judge, which would see nothing.
func (r *argoRun) untilTraffic(ctx context.Context) error {
	for {
		err := r.follow(ctx, func(now ArgoRollout) bool { return now.Weight > 0 || r.held(now) || r.done(now) })
		if err != nil || !r.held(r.last) || r.last.Weight > 0 {
			return err
		}
		at := r.last
		err = r.scope.Step(ctx, fmt.Sprintf("preview at step %d", at.Step), func(ctx context.Context) error {
			return r.watched(ctx, at, func(ctx context.Context) error { return r.preview(ctx, at) })
		})
		if err != nil {
			return err
		}
		if err := r.promote(ctx, at); err != nil {
			return err
		}
	}
}

func (r *argoRun) preview(ctx context.Context, at ArgoRollout) error {
	if !r.Preview.IsSet() {
		return nil
	}
	return r.parts.judgeFor(ctx, r.scope, r.Preview.Value, 0, gates.Target{Track: Canary, Selector: at.NewPods, Since: r.scope.Now()})
}

// walk promotes pause after pause until Argo is done and the gate content.
func (r *argoRun) walk(ctx context.Context, watch *watching) error {
	for {
		if err := r.follow(ctx, func(now ArgoRollout) bool { return r.held(now) || r.done(now) }); err != nil {
			return err
		}
		at := r.last
		if r.done(at) {
			return r.watched(ctx, at, func(ctx context.Context) error { return r.bake(ctx, watch) })
		}
		if err := r.watched(ctx, at, watch.ready); err != nil {
			return err
		}
		if err := r.promote(ctx, at); err != nil {
			return err
		}
		watch.changed()
	}
}

// bake lets the gate look at the end of it all.
func (r *argoRun) bake(ctx context.Context, watch *watching) error {
	began, err := r.scope.Mark(ctx, "done")
	if err != nil {
		return err
	}
	watch.changed()
	if left := r.Bake.Value - r.scope.Now().Sub(began); left > 0 {
		r.scope.Waiting(left, "gate %s looks for %s after the last step", r.Gate.Value, source.FormatDuration(left.Round(100*time.Millisecond)))
		if err := r.scope.Sleep(ctx, left); err != nil {
			return err
		}
	}
	return watch.ready(ctx)
}

// watched does work at a pause, or at the end, while the Rollout stays there.
func (r *argoRun) watched(ctx context.Context, at ArgoRollout, work func(ctx context.Context) error) error {
	look := func(ctx context.Context) error {
		err := r.rollouts.Follow(ctx, r.workload(), func(now ArgoRollout) (bool, error) {
			now = r.seen(now)
			if err := r.wrong(now); err != nil {
				return false, err
			}
			if now.Observed && !r.done(at) && !r.held(now) {
				return false, r.drift(now.StatusBy, fmt.Sprintf("promoted to step %d of %d", now.Step, len(now.Steps)), fmt.Sprintf("paused at step %d", at.Step))
			}
			return false, nil
		})
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return r.scope.While(ctx, look, work)
}

// promote ends one pause, once.
func (r *argoRun) promote(ctx context.Context, at ArgoRollout) error {
	step := at.Step
	err := r.scope.Do(ctx, pipeline.Change{
		Thing: r.thing(), Key: fmt.Sprintf("promote step %d", step), Urgent: true,
		Was: r.state, To: argoTo{Workload: r.workload(), Template: r.state.Ours, Promoted: &step},
		Make: func(ctx context.Context) error {
			r.scope.Progress("rollout %s: promoted%s", r.workload(), stepText(at))
			return r.endPause(ctx, step)
		},
	})
	if err != nil {
		return err
	}
	since := r.scope.Now()
	for {
		left := false
		err := r.follow(ctx, func(now ArgoRollout) bool {
			left = !r.held(now) || now.Step != step
			return left || r.scope.Now().Sub(since) > nudgeAfter
		})
		if left || err != nil {
			return err
		}
		// The controller has put the pause back, over our word.
		since = r.scope.Now()
		if err := r.endPause(ctx, step); err != nil {
			return err
		}
	}
}

// nudgeAfter is how long the controller gets to hear what it was asked for.
const nudgeAfter = 3 * time.Second

// nudge makes a controller look again that has not heard: of the present
// specification, or of the end of a pause.
func (r *argoRun) nudge(ctx context.Context, now ArgoRollout) error {
	heard := now.Observed && (now.Phase != ArgoPaused || now.Paused || len(now.Pauses) > 0)
	switch {
	case heard:
		r.deaf = time.Time{}
		return nil
	case r.deaf.IsZero():
		r.deaf = r.scope.Now()
		return nil
	case r.scope.Now().Sub(r.deaf) < nudgeAfter:
		return nil
	}
	r.deaf = r.scope.Now()
	if err := r.rollouts.SetStatus(ctx, now, ArgoNudge); !errors.Is(err, ErrArgoMoved) {
		return err
	}
	return nil
}

// endPause sets a value, so that it can be made again: a Rollout that has left
// the step by our own hand needs no second promotion.
func (r *argoRun) endPause(ctx context.Context, step int) error {
	for {
		now, err := r.rollouts.Read(ctx, r.workload())
		if err != nil {
			return err
		}
		now = r.seen(now)
		if err := r.wrong(now); err != nil {
			return err
		}
		if !now.Observed {
			return fmt.Errorf("promote rollout %s: %w", r.workload(), ErrArgoMoved)
		}
		if now.Step != step || !r.held(now) {
			return nil
		}
		err = r.rollouts.SetStatus(ctx, now, ArgoPromote)
		if !errors.Is(err, ErrArgoMoved) {
			return err
		}
		if err := r.scope.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// follow waits until the Rollout is where until says, and reports what it
// does. What it does must go on, and be what this run asked for.
func (r *argoRun) follow(ctx context.Context, until func(now ArgoRollout) bool) error {
	r.moved = r.scope.Now()
	return r.rollouts.Follow(ctx, r.workload(), func(now ArgoRollout) (bool, error) {
		now = r.seen(now)
		r.report(now)
		if err := r.wrong(now); err != nil {
			return false, err
		}
		if err := r.nudge(ctx, now); err != nil {
			return false, err
		}
		if !now.Observed {
			return false, r.still(now)
		}
		r.last = now
		if until(now) {
			return true, nil
		}
		return false, r.still(now)
	})
}

// seen takes a status that still speaks of the former template as one that has
// not seen ours.
func (r *argoRun) seen(now ArgoRollout) ArgoRollout {
	now.Observed = now.Observed && now.New != r.state.Hash
	return now
}

// held reports whether the Rollout waits for somebody to promote it, and that
// is for us to do.
func (r *argoRun) held(now ArgoRollout) bool {
	return r.Promote.Value != "person" && now.Observed && !now.Paused && endless(now)
}

// endless reports whether the Rollout is at a pause that does not end by
// itself.
func endless(now ArgoRollout) bool {
	for _, reason := range now.Pauses {
		switch {
		case reason == ArgoBlueGreenPause:
			return !now.AutoPromote
		case reason == ArgoCanaryPause && now.Step >= 0 && now.Step < len(now.Steps):
			return now.Steps[now.Step].Pause && now.Steps[now.Step].For == 0
		}
	}
	return false
}

// done reports whether the release is delivered as far as Argo is concerned.
func (r *argoRun) done(now ArgoRollout) bool {
	return now.Observed && now.Phase == ArgoHealthy && now.New != "" && now.New == now.Stable &&
		SameTemplate(now.Template, r.state.Ours)
}
