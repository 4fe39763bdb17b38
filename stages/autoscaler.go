package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
)

const autoscalerThing = "autoscaler"

// heldState is what a change of an autoscaler leaves.
type heldState struct {
	Autoscaler
	// Held is its minimum while the rollout goes on.
	Held int `json:"held"`
}

func heldThing(a Autoscaler) pipeline.Thing {
	return pipeline.Thing{Kind: autoscalerThing, Name: a.String()}
}

// hold keeps the autoscaler of a workload, if there is one, from taking pods
// away while their traffic is elsewhere: they may have to carry it again at
// any time. Twice with a larger size is holding at the larger one.
func (p *Parts) hold(ctx context.Context, s *pipeline.Scope, w Workload, size int) error {
	scaler, ok := p.Platform.(Scaler)
	if !ok {
		return nil
	}
	now, err := scaler.Autoscaler(ctx, w)
	if err != nil || !now.Exists() {
		return err
	}
	if size = min(size, now.Max); now.Min >= size {
		return nil
	}
	return s.Do(ctx, pipeline.Change{
		Thing: heldThing(now), Key: fmt.Sprintf("at least %d pods", size),
		Was: now, To: heldState{now, size},
		Make: func(ctx context.Context) error { return scaler.SetMinimum(ctx, now, now.Min, size) },
	})
}

// release gives an autoscaler that was held its own minimum back.
func (p *Parts) release(ctx context.Context, s *pipeline.Scope, w Workload) error {
	scaler, ok := p.Platform.(Scaler)
	if !ok {
		return nil
	}
	now, err := scaler.Autoscaler(ctx, w)
	if err != nil || !now.Exists() {
		return err
	}
	raw, held := s.Was(heldThing(now))
	if !held {
		return nil
	}
	var was Autoscaler
	if err := json.Unmarshal(raw, &was); err != nil {
		return fmt.Errorf("read the journal's autoscaler: %w", err)
	}
	return s.Do(ctx, pipeline.Change{
		Thing: heldThing(now), Key: "its own minimum", To: heldState{was, was.Min},
		Make: func(ctx context.Context) error { return scaler.SetMinimum(ctx, was, now.Min, was.Min) },
	})
}

// autoscalerUndoer gives an autoscaler its former minimum.
type autoscalerUndoer struct{ parts *Parts }

// Undo sets the minimum, whatever it is now.
func (u autoscalerUndoer) Undo(ctx context.Context, _ pipeline.Thing, raw json.RawMessage, _ bool) error {
	var was Autoscaler
	if err := json.Unmarshal(raw, &was); err != nil {
		return fmt.Errorf("read the journal's autoscaler: %w", err)
	}
	scaler, ok := u.parts.Platform.(Scaler)
	if !ok {
		return errNoCluster
	}
	now, err := scaler.Autoscaler(ctx, was.Workload)
	if err != nil {
		return err
	}
	if !now.Exists() { // somebody has removed it; there is nothing to put back
		return nil
	}
	return scaler.SetMinimum(ctx, was, now.Min, was.Min)
}

// Matches compares the minimum.
func (u autoscalerUndoer) Matches(ctx context.Context, _ pipeline.Thing, to json.RawMessage) (bool, error) {
	var left heldState
	if err := json.Unmarshal(to, &left); err != nil {
		return false, fmt.Errorf("read the journal's autoscaler: %w", err)
	}
	scaler, ok := u.parts.Platform.(Scaler)
	if !ok {
		return false, errors.New("the platform has no autoscalers")
	}
	now, err := scaler.Autoscaler(ctx, left.Workload)
	return now.Exists() && now.Min == left.Held, err
}
