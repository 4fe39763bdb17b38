package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Store keeps routes, so that their weights survive the process.
type Store interface {
	// Load returns a route by its name, and false where none was saved.
	Load(name string) (Route, bool, error)
	// Save returns when the route would be loaded after a crash.
	Save(Route) error
}

// Router splits one route of a [Server] between two tracks.
type Router struct {
	s        *Server
	store    Store
	name     string
	old, new string
}

var (
	_ stages.Router        = (*Router)(nil)
	_ stages.Checker       = (*Router)(nil)
	_ stages.WeightPlanner = (*Router)(nil)
)

// NewRouter returns the router of a route between stable and canary. The route
// must have been given to [Server.SetRoute] by the time it is used. A weight is
// saved before the proxy goes by it.
func NewRouter(s *Server, store Store, route string) *Router {
	return &Router{s: s, store: store, name: route, old: stages.Stable, new: stages.Canary}
}

// Between returns the router of the same route between two other tracks, such
// as those of blue/green.
func (r *Router) Between(old, next string) *Router {
	out := *r
	out.old, out.new = old, next
	return &out
}

// Name returns "httpRoute namespace/name", or the route's own name where that
// says what kind it is.
func (r *Router) Name() string { return display(r.name) }

func display(route string) string {
	if strings.Contains(route, " ") {
		return route
	}
	return stages.HTTPRouteRouter + " " + route
}

// MissingError reports a route that the proxy does not have.
type MissingError struct{ Route string }

// Error names the route.
func (e *MissingError) Error() string {
	if strings.Contains(e.Route, " ") {
		return "there is no " + e.Route
	}
	return "there is no HTTPRoute " + e.Route
}

// Hint says what to do about it.
func (e *MissingError) Hint() string {
	return "check the name, and that the manifests with the HTTPRoute are named in the file"
}

// read returns the route as requests go by it now.
func (r *Router) read(ctx context.Context) (Route, error) {
	if ctx.Err() != nil {
		return Route{}, context.Cause(ctx)
	}
	rt, ok := r.s.Route(r.name)
	if !ok {
		return Route{}, &MissingError{r.name}
	}
	return rt, nil
}

// Weight reads what share the new track gets.
func (r *Router) Weight(ctx context.Context) (float64, error) {
	rt, err := r.read(ctx)
	if err != nil {
		return 0, fmt.Errorf("read weight of %s: %w", r.Name(), err)
	}
	return rt.Weights[r.new], nil
}

// SetWeight moves the share from one to another; see [stages.Router].
func (r *Router) SetWeight(ctx context.Context, from, to float64) error {
	if err := r.move(ctx, from, to); err != nil {
		return fmt.Errorf("set weight of %s to %s: %w", r.Name(), percent(to), err)
	}
	return nil
}

func (r *Router) move(ctx context.Context, from, to float64) error {
	if !(to >= 0 && to <= 100) {
		return fmt.Errorf("%v is no percentage", to)
	}
	r.s.writing.Lock()
	defer r.s.writing.Unlock()
	rt, err := r.read(ctx)
	if err != nil {
		return err
	}
	switch now := rt.Weights[r.new]; {
	case near(now, to): // Perhaps by a call that died before it could say so.
	case !near(now, from):
		return r.drift(percent(now), percent(from))
	default:
		rt.Weights = r.shared(to)
	}
	return r.write(ctx, rt)
}

// shared gives the new track a share and the old one the rest.
func (r *Router) shared(share float64) map[string]float64 {
	w := map[string]float64{}
	if share < 100 {
		w[r.old] = 100 - share
	}
	if share > 0 {
		w[r.new] = share
	}
	return w
}

// write saves a route, makes the proxy go by it, and reads both back.
func (r *Router) write(ctx context.Context, rt Route) error {
	if err := rt.Validate(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.store.Save(rt.Clone()); err != nil {
		return fmt.Errorf("save route: %w", err)
	}
	if err := r.s.SetRoute(rt); err != nil {
		return err
	}
	saved, ok, err := r.store.Load(r.name)
	if err != nil {
		return fmt.Errorf("read saved route: %w", err)
	}
	now, _ := r.s.Route(r.name)
	switch {
	case !ok:
		return errors.New("read saved route: it was not saved")
	case !maps.Equal(saved.Weights, rt.Weights):
		return r.drift(r.weights(saved.Weights), r.weights(rt.Weights))
	case !maps.Equal(now.Weights, rt.Weights):
		return r.drift(r.weights(now.Weights), r.weights(rt.Weights))
	}
	return nil
}

func (r *Router) drift(found, want string) error {
	return &stages.DriftError{Thing: r.Name(), Found: found, Want: want}
}

// Check finds out whether the route could be split; it changes nothing.
func (r *Router) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	rt, err := r.read(ctx)
	if e, ok := errors.AsType[*MissingError](err); ok {
		return []pipeline.Finding{{Message: e.Error(), Hint: e.Hint()}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", r.Name(), err)
	}
	if w := rt.Weights[r.new]; w != 0 {
		return []pipeline.Finding{{
			Message: fmt.Sprintf("%s gives %s of its traffic to %s already", r.Name(), percent(w), the(r.new)),
			Hint:    "an earlier run is not finished: headgate recover puts it right",
		}}, nil
	}
	if c.Traffic != nil && len(c.Traffic.Match) > 0 {
		return []pipeline.Finding{{
			Message: "without a cluster, match: has no effect; requests are split by weight alone", Warning: true,
		}}, nil
	}
	return nil, nil
}

// PlanWeight says what SetWeight would write.
func (r *Router) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	rt, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, fmt.Errorf("plan weight %s of %s: %w", percent(to), r.Name(), err)
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("%s of the traffic of %s to %s, which has %s now", percent(to), r.Name(), the(r.new), percent(rt.Weights[r.new])),
	}, nil
}

// near forgives what writing a number as text may lose.
func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

// percent writes a share as people do: "20%", "0.5%".
func percent(f float64) string {
	return strconv.FormatFloat(math.Round(f*1e6)/1e6, 'f', -1, 64) + "%"
}

// weights writes the shares of both tracks.
func (r *Router) weights(w map[string]float64) string {
	return percent(w[r.old]) + " on " + r.old + " and " + percent(w[r.new]) + " on " + the(r.new)
}

// the names a track in a sentence.
func the(track string) string {
	if track == stages.Canary {
		return "the canary"
	}
	return track
}
