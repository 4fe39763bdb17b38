package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// argoUndoer gives a Rollout its former template back.
type argoUndoer struct{ parts *Parts }

// Undo aborts what is under way, which gives the traffic back at once, and
// puts the former template back, so that file and cluster agree; an abort by
// itself would leave the new template in the specification, to be tried again
// by whatever writes to it next. Where the release was delivered already, the
// way back is a rollout of its own; it is told to skip pauses and analyses.
func (u argoUndoer) Undo(ctx context.Context, _ pipeline.Thing, was json.RawMessage, hurry bool) error {
	var state argoState
	if err := json.Unmarshal(was, &state); err != nil {
		return fmt.Errorf("read the journal's Rollout: %w", err)
	}
	rollouts, err := u.parts.argo()
	if err != nil {
		return errNoCluster
	}
	b := argoBack{rollouts: rollouts, state: state, hurry: hurry}
	if err := b.abort(ctx); err != nil {
		return err
	}
	if err := rollouts.SetTemplate(ctx, state.Workload, state.Ours, state.Former); err != nil {
		return err
	}
	return b.await(ctx)
}

// Matches compares the template.
func (u argoUndoer) Matches(ctx context.Context, _ pipeline.Thing, to json.RawMessage) (bool, error) {
	var left argoTo
	if err := json.Unmarshal(to, &left); err != nil {
		return false, fmt.Errorf("read the journal's Rollout: %w", err)
	}
	rollouts, err := u.parts.argo()
	if err != nil {
		return false, err
	}
	now, err := rollouts.Read(ctx, left.Workload)
	return now.Exists && !now.Aborted && SameTemplate(now.Template, left.Template), err
}

// argoBack is one way back.
type argoBack struct {
	rollouts ArgoRollouts
	state    argoState
	hurry    bool
}

// abort gives the traffic back while our template is being rolled out. It is
// no loss when that is not possible: the former template does the same.
func (b argoBack) abort(ctx context.Context) error {
	for {
		now, err := b.rollouts.Read(ctx, b.state.Workload)
		switch {
		case err != nil:
			return err
		case !now.Exists:
			return &DriftError{Thing: "rollout " + b.state.Workload.String(), Found: "gone", Want: "there"}
		case !now.Observed || now.Aborted || now.New == now.Stable || now.New == b.state.Hash || !SameTemplate(now.Template, b.state.Ours):
			return nil
		}
		if err := b.rollouts.SetStatus(ctx, now, ArgoAbort); !errors.Is(err, ErrArgoMoved) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// await sees the former template through.
func (b argoBack) await(ctx context.Context) error {
	nudged := time.Now()
	return b.rollouts.Follow(ctx, b.state.Workload, func(now ArgoRollout) (bool, error) {
		if now.Exists && time.Since(nudged) > nudgeAfter && now.Phase != ArgoHealthy {
			nudged = time.Now()
			if err := b.ask(ctx, now, ArgoNudge); err != nil {
				return false, err
			}
		}
		switch {
		case !now.Exists:
			return false, &DriftError{Thing: "rollout " + b.state.Workload.String(), Found: "gone", Want: "there"}
		case !SameTemplate(now.Template, b.state.Former):
			return false, &DriftError{Thing: "rollout " + b.state.Workload.String(), Found: "at " + imagesOf(now), Want: "at its former template", By: now.By}
		case !now.Observed || now.New != b.state.Hash:
			return false, nil
		case now.New != now.Stable && !now.PromoteFull:
			return false, b.ask(ctx, now, ArgoPromoteFull)
		case now.New == now.Stable && (now.Aborted || now.PromoteFull && now.Phase == ArgoHealthy):
			// Left there, it would be taken for a word about the next release.
			return false, b.ask(ctx, now, ArgoReset)
		}
		return b.hurry || now.New == now.Stable && now.Phase == ArgoHealthy, nil
	})
}

// ask is for what is asked again as long as it is not there.
func (b argoBack) ask(ctx context.Context, now ArgoRollout, c ArgoChange) error {
	if err := b.rollouts.SetStatus(ctx, now, c); !errors.Is(err, ErrArgoMoved) {
		return err
	}
	return nil
}
