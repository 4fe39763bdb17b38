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
	updatedThing  = "deployment"
	colourThing   = "colour"
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

// updatedState is what a change of a workload in place leaves.
type updatedState struct {
	Track     Track  `json:"track"`
	Image     string `json:"image"`
	Container string `json:"container,omitempty"`
}

// live reports whether the workload runs what the change gave it.
func (u updatedState) live(ctx context.Context, p *Parts) (bool, error) {
	live, err := p.Platform.Live(ctx, u.Track.Workload)
	return live.Exists && live.ImageFor(Release{Image: u.Image, Container: u.Container}) == u.Image, err
}

// updatedUndoer makes a workload that was changed in place what it was.
type updatedUndoer struct{ parts *Parts }

// Undo restores what the platform saved.
func (u updatedUndoer) Undo(ctx context.Context, _ pipeline.Thing, was json.RawMessage, hurry bool) error {
	return u.parts.restore(ctx, was, hurry)
}

// Matches compares the image.
func (u updatedUndoer) Matches(ctx context.Context, _ pipeline.Thing, to json.RawMessage) (bool, error) {
	var left updatedState
	if err := json.Unmarshal(to, &left); err != nil {
		return false, fmt.Errorf("read the journal's workload: %w", err)
	}
	return left.live(ctx, u.parts)
}

func (p *Parts) restore(ctx context.Context, was json.RawMessage, hurry bool) error {
	if p.Platform == nil {
		return errNoCluster
	}
	restorer, ok := p.Platform.(Restorer)
	if !ok {
		return errNotRestorable
	}
	return restorer.RestoreTrack(ctx, was, hurry)
}

// colourState is what the idle colour was before a rollout, and how long its
// pods are kept after its traffic has ended.
type colourState struct {
	Split Split           `json:"split"`
	Saved json.RawMessage `json:"saved"`
	Drain time.Duration   `json:"drain"`
	// Size is the active colour's when the rollout began.
	Size int `json:"size"`
}

// colourUndoer makes the idle colour what it was.
type colourUndoer struct{ parts *Parts }

// Undo waits for the drain and restores what was saved. The route was put back
// before, or the colour never had traffic.
func (u colourUndoer) Undo(ctx context.Context, _ pipeline.Thing, was json.RawMessage, hurry bool) error {
	var before colourState
	if err := json.Unmarshal(was, &before); err != nil {
		return fmt.Errorf("read the journal's colour: %w", err)
	}
	if !hurry {
		if err := (pipeline.RealClock{}).Sleep(ctx, before.Drain); err != nil {
			return err
		}
	}
	return u.parts.restore(ctx, before.Saved, hurry)
}

// Matches compares the image.
func (u colourUndoer) Matches(ctx context.Context, thing pipeline.Thing, to json.RawMessage) (bool, error) {
	return updatedUndoer(u).Matches(ctx, thing, to)
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
