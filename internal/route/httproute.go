package route

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Settings say what a router of the Gateway API splits. The zero value of a
// field means what stands at it.
type Settings struct {
	// Namespace is the route's: the workload's.
	Namespace string
	// Route is its name. It must be set.
	Route string
	// Split is between which tracks it splits. The workload of the old one
	// must be set.
	Split stages.Split
	// Matches are the requests that go to the new track whatever its weight.
	Matches []stages.Match
	// Service is the one that stable is reached by: that which the route
	// points at and which selects the workload's pods.
	Service string
	// Canary is the canary's Service: [kube.CanaryName] of the workload.
	Canary string
	// Port limits what is split to backends with this port: any.
	Port int
	// Timeout bounds the wait for the route's controllers: 10 seconds.
	Timeout time.Duration
}

// conflictTries is how often a write is made anew on what was read anew; the
// controllers of Gateways write the status at any time.
const conflictTries = 10

// HTTPRoute splits the traffic of an HTTPRoute of the Gateway API: it changes
// the backendRefs of those rules that point at stable's Service, and nothing
// else. A rule's other backends keep their proportion.
type HTTPRoute struct {
	c    *kube.Cluster
	kind kind
	set  Settings

	mu       sync.Mutex
	resolved names
}

// kind is one of the kinds of routes that have rules with backendRefs.
type kind struct {
	router string // the word in the pipeline file
	name   string // the Kubernetes kind
	gvr    schema.GroupVersionResource
}

func httpRoute() kind {
	return kind{
		router: "httpRoute", name: "HTTPRoute",
		gvr: schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	}
}

var (
	_ stages.Router    = (*HTTPRoute)(nil)
	_ stages.Checker   = (*HTTPRoute)(nil)
	_ stages.Permitter = (*HTTPRoute)(nil)
)

// NewHTTPRoute returns the router for an HTTPRoute. It makes no request.
func NewHTTPRoute(c *kube.Cluster, s Settings) (*HTTPRoute, error) {
	if s.Route == "" || s.Split.Old.Workload.Name == "" {
		return nil, fmt.Errorf("make router httpRoute: the names of route and workload must be given")
	}
	s.Split.Old.Workload.Namespace = cmp.Or(s.Split.Old.Workload.Namespace, c.Namespace())
	s.Namespace = cmp.Or(s.Namespace, s.Split.Old.Workload.Namespace)
	s.Canary = cmp.Or(s.Canary, kube.CanaryName(s.Split.Old.Workload.Name))
	s.Timeout = cmp.Or(s.Timeout, 10*time.Second)
	return &HTTPRoute{c: c, kind: httpRoute(), set: s}, nil
}

// Name returns "httpRoute namespace/name".
func (r *HTTPRoute) Name() string {
	return r.kind.router + " " + r.set.Namespace + "/" + r.set.Route
}

// names are the Services that a route splits between.
func (r *HTTPRoute) names(ctx context.Context, u *unstructured.Unstructured) (names, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resolved.stable != "" {
		return r.resolved, nil
	}
	n := names{
		stable: r.set.Service, canary: r.set.Canary, port: int64(r.set.Port),
		namespace: r.set.Split.Old.Workload.Namespace, routeNamespace: r.set.Namespace,
	}
	if n.stable == "" {
		svcs, err := r.c.ServicesOf(ctx, r.set.Split.Old.Workload)
		if err != nil {
			return names{}, err
		}
		var at []string
		for _, s := range svcs {
			n.stable = s
			if rules, err := n.rules(u); err == nil && len(rules) > 0 {
				at = append(at, s)
			}
		}
		switch len(at) {
		case 1:
			n.stable = at[0]
		case 0:
			return names{}, &PointsElsewhereError{Route: r.Name(), Workload: r.set.Split.Old.Workload, Services: svcs}
		default:
			return names{}, fmt.Errorf("%s points at several Services of the workload (%s); say which with the key service", r.Name(), strings.Join(at, ", "))
		}
	}
	r.resolved = n
	return n, nil
}

// PointsElsewhereError reports a route none of whose rules points at a Service
// of the workload.
type PointsElsewhereError struct {
	Route    string
	Workload stages.Workload
	Services []string
}

// Error names the route and the Services that were looked for.
func (e *PointsElsewhereError) Error() string {
	if len(e.Services) == 0 {
		return fmt.Sprintf("%s cannot be split: no Service selects the pods of %s", e.Route, e.Workload)
	}
	return fmt.Sprintf("%s has no rule that points at a Service of %s (%s)", e.Route, e.Workload, strings.Join(e.Services, ", "))
}

// Hint says what to do about it.
func (e *PointsElsewhereError) Hint() string {
	return "name the route that carries the workload's traffic, or its Service with service:"
}

func (r *HTTPRoute) get(ctx context.Context) (*unstructured.Unstructured, error) {
	return r.c.Get(ctx, r.kind.gvr, r.set.Namespace, r.set.Route)
}

// read reads the route and what it splits between.
func (r *HTTPRoute) read(ctx context.Context) (*unstructured.Unstructured, names, error) {
	u, err := r.get(ctx)
	if err != nil {
		return nil, names{}, err
	}
	n, err := r.names(ctx, u)
	return u, n, err
}

// Weight reads what share the canary gets.
func (r *HTTPRoute) Weight(ctx context.Context) (float64, error) {
	u, n, err := r.read(ctx)
	if err != nil {
		return 0, wrap("read weight", err)
	}
	w, err := n.weight(u)
	return w, wrap("read weight of "+r.Name(), err)
}

// SetWeight moves the share from one to another; see [stages.Router].
func (r *HTTPRoute) SetWeight(ctx context.Context, from, to float64) error {
	what := fmt.Sprintf("set weight of %s to %s", r.Name(), percent(to))
	for try := 1; ; try++ {
		u, n, err := r.read(ctx)
		if err != nil {
			return wrap(what, err)
		}
		next, err := r.moved(u, n, from, to)
		if err != nil {
			return wrap(what, err)
		}
		if next != nil {
			u, err = r.c.Update(ctx, r.kind.gvr, next, kube.Write{})
			if kube.IsConflict(err) && try < conflictTries {
				continue // The status, or a part that is not ours; else moved finds out.
			}
			if err != nil {
				return wrap(what, err)
			}
		}
		return wrap(what, r.await(ctx, u, func(u *unstructured.Unstructured) error { return r.holds(u, n, to) }))
	}
}

// moved returns the route with the weight to, nil when it has that already.
func (r *HTTPRoute) moved(u *unstructured.Unstructured, n names, from, to float64) (*unstructured.Unstructured, error) {
	now, err := n.weight(u)
	if err != nil {
		return nil, r.drift(u, err.Error(), percent(from))
	}
	switch {
	case near(now, to):
		return nil, nil
	case !near(now, from):
		return nil, r.drift(u, percent(now), percent(from))
	}
	next := u.DeepCopy()
	return next, n.setWeight(next, to)
}

// holds returns an error when the route does not have the weight.
func (r *HTTPRoute) holds(u *unstructured.Unstructured, n names, want float64) error {
	now, err := n.weight(u)
	if err != nil {
		return r.drift(u, err.Error(), percent(want))
	}
	if !near(now, want) {
		return r.drift(u, percent(now), percent(want))
	}
	return nil
}

func (r *HTTPRoute) drift(u *unstructured.Unstructured, found, want string) error {
	return &stages.DriftError{Thing: r.Name(), Found: found, Want: want, By: kube.LastManager(u)}
}

// Snapshot returns the backends of the rules that will be changed.
func (r *HTTPRoute) Snapshot(ctx context.Context) (json.RawMessage, error) {
	u, n, err := r.read(ctx)
	if err != nil {
		return nil, wrap("read route", err)
	}
	rules, err := n.rules(u)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	s := snapshot{
		Router: r.kind.router, Namespace: r.set.Namespace, Route: r.set.Route, Service: n.stable, Canary: n.canary,
		Split: r.set.Split, Port: r.set.Port,
	}
	for _, i := range rules {
		s.Rules = append(s.Rules, savedRule{Index: i.index, Rest: without(i.rule), BackendRefs: i.refs()})
	}
	b, err := json.Marshal(s)
	return b, wrap("save "+r.Name(), err)
}

// Restore makes the backends what a snapshot holds; see [stages.Router]. A
// rule that somebody else has changed meanwhile keeps that change, and only
// loses the canary.
func (r *HTTPRoute) Restore(ctx context.Context, was json.RawMessage) error {
	what := "restore " + r.Name()
	s, err := readSnapshot(was)
	if err != nil {
		return wrap(what, err)
	}
	if s.Router != r.kind.router || s.Namespace != r.set.Namespace || s.Route != r.set.Route {
		return fmt.Errorf("%s: the snapshot is of %s %s/%s", what, s.Router, s.Namespace, s.Route)
	}
	for try := 1; ; try++ {
		u, err := r.get(ctx)
		if err != nil {
			return wrap(what, err)
		}
		next := u.DeepCopy()
		if err := s.writeTo(next); err != nil {
			return wrap(what, err)
		}
		if !sameSpec(u, next) {
			u, err = r.c.Update(ctx, r.kind.gvr, next, kube.Write{})
			if kube.IsConflict(err) && try < conflictTries {
				continue
			}
			if err != nil {
				return wrap(what, err)
			}
		}
		return wrap(what, r.await(ctx, u, func(u *unstructured.Unstructured) error {
			again := u.DeepCopy()
			if err := s.writeTo(again); err != nil {
				return err
			}
			if !sameSpec(u, again) {
				return r.drift(u, "other backends", "those of before the rollout")
			}
			return nil
		}))
	}
}

// PlanWeight says what SetWeight would write, by a dry run on the server.
func (r *HTTPRoute) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	what := fmt.Sprintf("plan weight %s of %s", percent(to), r.Name())
	u, n, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	next := u.DeepCopy()
	if err := n.setWeight(next, to); err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	after, err := r.c.Update(ctx, r.kind.gvr, next, kube.Write{DryRun: true})
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("%s of the traffic of %s to Service %s", percent(to), r.Name(), n.canary),
		Diff:    kube.Diff(u, after),
	}, nil
}

// Permissions names what the router needs.
func (r *HTTPRoute) Permissions(stages.Workload) []string {
	var out []string
	for _, p := range r.permissions() {
		out = append(out, p.String())
	}
	return out
}

func (r *HTTPRoute) permissions() []kube.Permission {
	var out []kube.Permission
	for _, v := range []string{"get", "list", "watch", "update"} {
		out = append(out, kube.Permission{Verb: v, Group: r.kind.gvr.Group, Resource: r.kind.gvr.Resource, Namespace: r.set.Namespace})
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
