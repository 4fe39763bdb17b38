package proxy

import (
	"context"
	"encoding/json"
	"fmt"
)

// kind tells snapshots of this router from those of others.
const kind = "local"

// snapshot is what the weights of a route were. It names the route, so that it
// can be put back by a process that knows nothing else.
type snapshot struct {
	Router  string             `json:"router"`
	Route   string             `json:"route"`
	Old     string             `json:"old,omitempty"`
	New     string             `json:"new,omitempty"`
	Weights map[string]float64 `json:"weights"`
}

// IsSnapshot reports whether this package's router has made a snapshot.
func IsSnapshot(was json.RawMessage) bool {
	_, err := readSnapshot(was)
	return err == nil
}

// FromSnapshot returns the router that made a snapshot, for putting it back.
func FromSnapshot(s *Server, store Store, was json.RawMessage) (*Router, error) {
	snap, err := readSnapshot(was)
	if err != nil {
		return nil, err
	}
	r := NewRouter(s, store, snap.Route)
	if snap.New == "" {
		return r, nil
	}
	return r.Between(snap.Old, snap.New), nil
}

func readSnapshot(was json.RawMessage) (snapshot, error) {
	var s snapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return snapshot{}, fmt.Errorf("read snapshot of local route: %w", err)
	}
	if s.Router != kind {
		return snapshot{}, fmt.Errorf("read snapshot of local route: it is of router %q", s.Router)
	}
	if err := (Route{Name: s.Route, Weights: s.Weights}).Validate(); err != nil {
		return snapshot{}, fmt.Errorf("read snapshot of local route: %w", err)
	}
	return s, nil
}

// Snapshot returns the weights of now.
func (r *Router) Snapshot(ctx context.Context) (json.RawMessage, error) {
	rt, err := r.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Name(), err)
	}
	b, err := json.Marshal(snapshot{Router: kind, Route: r.name, Old: r.old, New: r.new, Weights: rt.Weights})
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", r.Name(), err)
	}
	return b, nil
}

// Restore makes the weights what a snapshot holds, whatever they are; see
// [stages.Router]. Hosts and paths stay as they are.
func (r *Router) Restore(ctx context.Context, was json.RawMessage) error {
	if err := r.restore(ctx, was); err != nil {
		return fmt.Errorf("restore %s: %w", r.Name(), err)
	}
	return nil
}

func (r *Router) restore(ctx context.Context, was json.RawMessage) error {
	s, err := readSnapshot(was)
	if err != nil {
		return err
	}
	if s.Route != r.name {
		return fmt.Errorf("the snapshot is of %s", display(s.Route))
	}
	r.s.writing.Lock()
	defer r.s.writing.Unlock()
	rt, err := r.read(ctx)
	if err != nil {
		return err
	}
	rt.Weights = s.Weights
	return r.write(ctx, rt)
}
