package route

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// conflictTries is how often a write is made anew on what was read anew; the
// controllers of Gateways write the status at any time.
const conflictTries = 10

// RuleRouter splits the traffic of an object whose rules have weighted
// backends: an HTTPRoute, a GRPCRoute, a VirtualService. It changes the
// backends of those rules that point at the tracks, and nothing else; a rule's
// other backends keep their proportion. For matches it puts a rule of its own
// in front of each of them.
type RuleRouter struct {
	c       *kube.Cluster
	kind    kind
	set     Settings
	matches []match

	mu       sync.Mutex
	resolved names
	version  string
}

var (
	_ stages.Router        = (*RuleRouter)(nil)
	_ stages.Checker       = (*RuleRouter)(nil)
	_ stages.Permitter     = (*RuleRouter)(nil)
	_ stages.WeightPlanner = (*RuleRouter)(nil)
	_ stages.Settler       = (*RuleRouter)(nil)
)

func newRuleRouter(c *kube.Cluster, k kind, s Settings) (*RuleRouter, error) {
	set, err := s.complete(c, k.router)
	if err != nil {
		return nil, err
	}
	return &RuleRouter{c: c, kind: k, set: set, matches: s.matches()}, nil
}

// Name returns the word of the pipeline file and "namespace/name".
func (r *RuleRouter) Name() string {
	return r.kind.router + " " + r.set.Namespace + "/" + r.set.Route
}

// resource is where the object is found, in a version that the cluster has.
func (r *RuleRouter) resource(ctx context.Context) (schema.GroupVersionResource, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version != "" {
		return r.kind.at(r.version), nil
	}
	if len(r.kind.versions) == 1 {
		return r.kind.at(r.kind.versions[0]), nil
	}
	served, err := r.c.Versions(ctx, r.kind.group)
	if err != nil {
		return schema.GroupVersionResource{}, err
	}
	for _, v := range r.kind.versions {
		if slices.Contains(served, v) {
			r.version = v
			return r.kind.at(v), nil
		}
	}
	return schema.GroupVersionResource{}, &NotInstalledError{Kind: r.kind.name, Group: r.kind.group}
}

// NotInstalledError reports a cluster that does not have a kind of object.
type NotInstalledError struct{ Kind, Group string }

// Error names the kind.
func (e *NotInstalledError) Error() string {
	return fmt.Sprintf("the cluster does not know the kind %s of %s", e.Kind, e.Group)
}

// Hint says what to do about it.
func (e *NotInstalledError) Hint() string {
	return "install its resource definitions, or choose another router"
}

// names are the Services that a route splits between.
func (r *RuleRouter) names(ctx context.Context, u *unstructured.Unstructured) (names, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resolved.old.name != "" {
		return r.resolved, nil
	}
	n := names{
		dialect: r.kind.dialect, routeNamespace: r.set.Namespace, port: int64(r.set.Port),
		colours: r.set.colours(), matches: r.matches,
	}
	find := finder{c: r.c, set: r.set, route: r.Name(), pointed: func(s service) bool { return n.pointsAt(u, s) }}
	old, next, final, err := find.find(ctx)
	if err != nil {
		return names{}, err
	}
	n.old, n.new = old, next
	if final {
		r.resolved = n
	}
	return n, nil
}

func (r *RuleRouter) get(ctx context.Context) (*unstructured.Unstructured, error) {
	at, err := r.resource(ctx)
	if err != nil {
		return nil, err
	}
	return r.c.Get(ctx, at, r.set.Namespace, r.set.Route)
}

// read reads the route and what it splits between.
func (r *RuleRouter) read(ctx context.Context) (*unstructured.Unstructured, names, error) {
	u, err := r.get(ctx)
	if err != nil {
		return nil, names{}, err
	}
	n, err := r.names(ctx, u)
	return u, n, err
}

// Weight reads what share the new track gets.
func (r *RuleRouter) Weight(ctx context.Context) (float64, error) {
	u, n, err := r.read(ctx)
	if err != nil {
		return 0, wrap("read weight", err)
	}
	w, err := n.share(u)
	return w, wrap("read weight of "+r.Name(), err)
}

// change writes what next makes of the route, nil for nothing to be done, on
// what was just read; and returns when that is carried out and holds.
func (r *RuleRouter) change(ctx context.Context, next func(*unstructured.Unstructured) (*unstructured.Unstructured, error), holds func(*unstructured.Unstructured) error) error {
	for try := 1; ; try++ {
		u, err := r.get(ctx)
		if err != nil {
			return err
		}
		want, err := next(u)
		if err != nil {
			return err
		}
		if want != nil {
			at, err := r.resource(ctx)
			if err != nil {
				return err
			}
			u, err = r.c.Update(ctx, at, want, kube.Write{})
			if kube.IsConflict(err) && try < conflictTries {
				continue // The status, or a part that is not ours; else next finds out.
			}
			if err != nil {
				return err
			}
		}
		return r.await(ctx, u, holds)
	}
}

// SetWeight moves the share from one to another; see [stages.Router].
func (r *RuleRouter) SetWeight(ctx context.Context, from, to float64) error {
	var n names
	err := r.change(ctx, func(u *unstructured.Unstructured) (next *unstructured.Unstructured, err error) {
		if n, err = r.names(ctx, u); err != nil {
			return nil, err
		}
		return r.moved(u, n, from, to)
	}, func(u *unstructured.Unstructured) error { return r.holds(u, n, to) })
	return wrap(fmt.Sprintf("set weight of %s to %s", r.Name(), percent(to)), err)
}

// moved returns the route with the weight to, nil when it has that already.
func (r *RuleRouter) moved(u *unstructured.Unstructured, n names, from, to float64) (*unstructured.Unstructured, error) {
	now, err := n.share(u)
	if err != nil {
		return nil, r.drift(u, err.Error(), percent(from))
	}
	right, some := n.matching(u)
	switch {
	case !near(now, to) && !near(now, from):
		return nil, r.drift(u, percent(now), percent(from))
	case from > 0 && len(n.matches) > 0 && !some:
		return nil, r.drift(u, "without the rules for match", percent(from)+" with them")
	case near(now, to) && right:
		return nil, nil //nolint:nilnil // nothing is to be done
	}
	next := u.DeepCopy()
	return next, n.setShare(next, to)
}

// holds returns an error when the route does not have the weight.
func (r *RuleRouter) holds(u *unstructured.Unstructured, n names, want float64) error {
	now, err := n.share(u)
	if err != nil {
		return r.drift(u, err.Error(), percent(want))
	}
	if !near(now, want) {
		return r.drift(u, percent(now), percent(want))
	}
	if _, some := n.matching(u); len(n.matches) > 0 && !some {
		return r.drift(u, "without the rules for match", percent(want)+" with them")
	}
	return nil
}

func (r *RuleRouter) drift(u *unstructured.Unstructured, found, want string) error {
	return &stages.DriftError{Thing: r.Name(), Found: found, Want: want, By: kube.LastManager(u)}
}

// Settle leaves no backend of the old track and no rules for matches; see
// [stages.Settler].
func (r *RuleRouter) Settle(ctx context.Context) error {
	var n names
	err := r.change(ctx, func(u *unstructured.Unstructured) (next *unstructured.Unstructured, err error) {
		if n, err = r.names(ctx, u); err != nil {
			return nil, err
		}
		if !n.colours {
			return nil, fmt.Errorf("only blue and green can settle")
		}
		if err := r.holdsAll(u, n); err != nil {
			return nil, err
		}
		next = u.DeepCopy()
		if err := n.settle(next); err != nil || sameSpec(u, next) {
			return nil, err
		}
		return next, nil
	}, func(u *unstructured.Unstructured) error { return r.holdsAll(u, n) })
	return wrap("settle "+r.Name()+" on "+r.set.Split.New.Name, err)
}

func (r *RuleRouter) holdsAll(u *unstructured.Unstructured, n names) error {
	now, err := n.share(u)
	if err != nil {
		return r.drift(u, err.Error(), percent(100))
	}
	if !near(now, 100) {
		return r.drift(u, percent(now), percent(100))
	}
	return nil
}

// Snapshot returns the backends of the rules that will be changed.
func (r *RuleRouter) Snapshot(ctx context.Context) (json.RawMessage, error) {
	u, n, err := r.read(ctx)
	if err != nil {
		return nil, wrap("read route", err)
	}
	rules, err := n.rules(u)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	s := snapshot{
		Router: r.kind.router, Namespace: r.set.Namespace, Route: r.set.Route, Service: n.old.name, Canary: n.new.name,
		Split: r.set.Split, Port: r.set.Port, Matches: r.matches,
	}
	for _, x := range rules {
		s.Rules = append(s.Rules, savedRule{Index: x.index, Rest: n.without(x.rule), BackendRefs: deepCopy(anySlice(x.refs))})
	}
	b, err := json.Marshal(s)
	return b, wrap("save "+r.Name(), err)
}

// Restore makes the backends what a snapshot holds; see [stages.Router]. A
// rule that somebody else has changed meanwhile keeps that change, and only
// loses the new track.
func (r *RuleRouter) Restore(ctx context.Context, was json.RawMessage) error {
	what := "restore " + r.Name()
	s, err := readSnapshot(was)
	if err != nil {
		return wrap(what, err)
	}
	if s.Router != r.kind.router || s.Namespace != r.set.Namespace || s.Route != r.set.Route {
		return fmt.Errorf("%s: the snapshot is of %s %s/%s", what, s.Router, s.Namespace, s.Route)
	}
	n := s.names(r.kind.dialect)
	restored := func(u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		next := u.DeepCopy()
		if err := s.writeTo(next, n); err != nil || sameSpec(u, next) {
			return nil, err
		}
		return next, nil
	}
	return wrap(what, r.change(ctx, restored, func(u *unstructured.Unstructured) error {
		next, err := restored(u)
		if err == nil && next != nil {
			err = r.drift(u, "other backends", "those of before the rollout")
		}
		return err
	}))
}

// PlanWeight says what SetWeight would write, by a dry run on the server.
func (r *RuleRouter) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	what := fmt.Sprintf("plan weight %s of %s", percent(to), r.Name())
	u, n, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	after, err := r.dryRun(ctx, u, n, to)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	summary := fmt.Sprintf("%s of the traffic of %s to Service %s", percent(to), r.Name(), n.new.name)
	if len(r.matches) > 0 {
		summary += ", and all with " + together(r.matches)
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight", Summary: summary, Diff: kube.Diff(u, after),
	}, nil
}

// dryRun asks the server what it would make of a weight.
func (r *RuleRouter) dryRun(ctx context.Context, u *unstructured.Unstructured, n names, to float64) (*unstructured.Unstructured, error) {
	at, err := r.resource(ctx)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		next := u.DeepCopy()
		if err := n.setShare(next, to); err != nil {
			return nil, err
		}
		after, err := r.c.Update(ctx, at, next, kube.Write{DryRun: true})
		if !kube.IsConflict(err) || try == conflictTries {
			return after, err
		}
		if u, err = r.get(ctx); err != nil { // The controller has written its status.
			return nil, err
		}
	}
}

// Permissions names what the router needs.
func (r *RuleRouter) Permissions(stages.Workload) []string {
	var out []string
	for _, p := range r.permissions() {
		out = append(out, p.String())
	}
	return out
}

func (r *RuleRouter) permissions() []kube.Permission {
	var out []kube.Permission
	for _, v := range []string{"get", "list", "watch", "update"} {
		out = append(out, kube.Permission{Verb: v, Group: r.kind.group, Resource: r.kind.resource, Namespace: r.set.Namespace})
	}
	return out
}

func near(a, b float64) bool { return math.Abs(a-b) <= 2*tolerance }

// percent writes a share as people do: "20 %", "0.5 %".
func percent(f float64) string {
	return strconv.FormatFloat(math.Round(f*1e4)/1e4, 'f', -1, 64) + "%"
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func sameSpec(a, b *unstructured.Unstructured) bool {
	return slices.Equal(canonical(a.Object["spec"]), canonical(b.Object["spec"]))
}

// canonical is JSON with sorted keys.
func canonical(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("route: object from the API is no JSON: " + err.Error())
	}
	return b
}
