package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// The kinds of things that the stages of this package change.
const (
	routeThing    = "route"
	trackThing    = "track"
	workloadThing = "workload"
	flagThing     = "flag"
)

var errNoCluster = errors.New("no cluster is named in which it could be put back")

// routeState is what a change of a route leaves: its weight, and the route
// as it was before the rollout, which names it.
type routeState struct {
	Weight float64         `json:"weight"`
	Before json.RawMessage `json:"before"`
}

// routeUndoer puts all traffic back to where it was, in one write.
type routeUndoer struct{ parts *Parts }

// Undo restores the snapshot.
func (u routeUndoer) Undo(ctx context.Context, _ pipeline.Thing, was json.RawMessage, _ bool) error {
	if u.parts.RouterOf == nil {
		return errNoCluster
	}
	r, err := u.parts.RouterOf(was)
	if err != nil {
		return fmt.Errorf("find the router: %w", err)
	}
	return r.Restore(ctx, was)
}

// Matches compares the weight.
func (u routeUndoer) Matches(ctx context.Context, _ pipeline.Thing, to json.RawMessage) (bool, error) {
	var left routeState
	if err := json.Unmarshal(to, &left); err != nil {
		return false, fmt.Errorf("read the journal's weight: %w", err)
	}
	r, err := u.parts.RouterOf(left.Before)
	if err != nil {
		return false, fmt.Errorf("find the router: %w", err)
	}
	weight, err := r.Weight(ctx)
	return weight == left.Weight, err
}

// trackState is what a track was before a rollout, and how long its pods are
// kept after its traffic has ended.
type trackState struct {
	Track    Track         `json:"track"`
	Replicas int           `json:"replicas"`
	Drain    time.Duration `json:"drain"`
	// Size and Version are the stable track's when the rollout began, which
	// a process that goes on with it needs.
	Size    int    `json:"size,omitempty"`
	Version string `json:"version,omitempty"`
}

// trackUndoer removes a track that was not there before.
type trackUndoer struct{ parts *Parts }

// Undo waits for the drain and removes the track. Its route was put back
// before, or it never had one.
func (u trackUndoer) Undo(ctx context.Context, _ pipeline.Thing, was json.RawMessage, hurry bool) error {
	var before trackState
	if err := json.Unmarshal(was, &before); err != nil {
		return fmt.Errorf("read the journal's track: %w", err)
	}
	if u.parts.Platform == nil {
		return errNoCluster
	}
	if !hurry {
		if err := (pipeline.RealClock{}).Sleep(ctx, before.Drain); err != nil {
			return err
		}
	}
	return u.parts.Platform.RemoveTrack(ctx, before.Track, hurry)
}

// workloadUndoer removes what a first deployment created.
type workloadUndoer struct{ parts *Parts }

// Undo removes the workload.
func (u workloadUndoer) Undo(ctx context.Context, _ pipeline.Thing, was json.RawMessage, hurry bool) error {
	var before trackState
	if err := json.Unmarshal(was, &before); err != nil {
		return fmt.Errorf("read the journal's workload: %w", err)
	}
	if u.parts.Platform == nil {
		return errNoCluster
	}
	return u.parts.Platform.RemoveTrack(ctx, before.Track, hurry)
}

// flagUndoer gives a flag its former meaning.
type flagUndoer struct{ parts *Parts }

// Undo restores the record.
func (u flagUndoer) Undo(ctx context.Context, thing pipeline.Thing, was json.RawMessage, _ bool) error {
	var before Flag
	if err := json.Unmarshal(was, &before); err != nil {
		return fmt.Errorf("read the journal's flag: %w", err)
	}
	if u.parts.Flags == nil {
		return errors.New("no Redis is named in which the flag could be put back")
	}
	return u.parts.Flags.Restore(ctx, before, "headgate put back "+thing.Name)
}

// Matches compares the percentage.
func (u flagUndoer) Matches(ctx context.Context, thing pipeline.Thing, to json.RawMessage) (bool, error) {
	var left Flag
	if err := json.Unmarshal(to, &left); err != nil {
		return false, fmt.Errorf("read the journal's flag: %w", err)
	}
	now, err := u.parts.Flags.Get(ctx, thing.Name)
	return now.Exists && now.Enabled && now.Percentage == left.Percentage, err
}
