package route

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// IngressNginx splits the traffic of an Ingress of the controller
// ingress-nginx, by a second Ingress beside it, the canary Ingress, which is
// made with the first weight and goes at the end. The user's own Ingress is
// written only when blue/green settles, and when that is put back.
type IngressNginx struct {
	c       *kube.Cluster
	set     Settings
	matches []match

	mu       sync.Mutex
	old, new service
}

var (
	_ stages.Router        = (*IngressNginx)(nil)
	_ stages.Checker       = (*IngressNginx)(nil)
	_ stages.Permitter     = (*IngressNginx)(nil)
	_ stages.WeightPlanner = (*IngressNginx)(nil)
	_ stages.Settler       = (*IngressNginx)(nil)
)

func ingresses() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
}

// NewIngressNginx returns the router for an Ingress. It makes no request.
func NewIngressNginx(c *kube.Cluster, s Settings) (*IngressNginx, error) {
	set, err := s.complete(c, stages.IngressNginxRouter)
	if err != nil {
		return nil, err
	}
	return &IngressNginx{c: c, set: set, matches: s.matches()}, nil
}

// Name returns "ingressNginx namespace/name".
func (r *IngressNginx) Name() string {
	return stages.IngressNginxRouter + " " + r.set.Namespace + "/" + r.set.Route
}

// pair is the user's Ingress and the canary Ingress, nil where there is none,
// and the Services that they split between.
type pair struct {
	user, canary *unstructured.Unstructured
	old, new     service
	colours      bool
}

func (r *IngressNginx) read(ctx context.Context) (pair, error) {
	user, err := r.c.Get(ctx, ingresses(), r.set.Namespace, r.set.Route)
	if err != nil {
		return pair{}, err
	}
	canary, err := r.c.Get(ctx, ingresses(), r.set.Namespace, kube.CanaryName(r.set.Route))
	if err != nil && !kube.IsNotFound(err) {
		return pair{}, err
	}
	if err != nil {
		canary = nil
	}
	p := pair{user: user, canary: canary, colours: r.set.colours()}
	p.old, p.new, err = r.services(ctx, user)
	return p, err
}

func (r *IngressNginx) services(ctx context.Context, user *unstructured.Unstructured) (old, next service, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.old.name != "" {
		return r.old, r.new, nil
	}
	find := finder{c: r.c, set: r.set, route: r.Name(), pointed: func(s service) bool {
		return s.namespace == r.set.Namespace && pathsTo(user, s.name) > 0
	}}
	old, next, final, err := find.find(ctx)
	if err != nil {
		return service{}, service{}, err
	}
	for _, s := range []service{old, next} {
		if s.namespace != r.set.Namespace {
			return service{}, service{}, fmt.Errorf("%s cannot point at Service %s of namespace %s; an Ingress has those of its own only", r.Name(), s.name, s.namespace)
		}
	}
	if final {
		r.old, r.new = old, next
	}
	return old, next, nil
}

// Weight reads what share the new track gets.
func (r *IngressNginx) Weight(ctx context.Context) (float64, error) {
	p, err := r.read(ctx)
	if err != nil {
		return 0, wrap("read weight", err)
	}
	w, err := p.share()
	return w, wrap("read weight of "+r.Name(), err)
}

// SetWeight moves the share from one to another; see [stages.Router].
func (r *IngressNginx) SetWeight(ctx context.Context, from, to float64) error {
	what := fmt.Sprintf("set weight of %s to %s", r.Name(), percent(to))
	for try := 1; ; try++ {
		p, err := r.read(ctx)
		if err != nil {
			return wrap(what, err)
		}
		next, err := r.moved(p, from, to)
		if err != nil {
			return wrap(what, err)
		}
		if next == nil {
			return wrap(what, r.await(ctx, p, p.newest(), to))
		}
		written, err := r.write(ctx, next, kube.Write{})
		if kube.IsConflict(err) && try < conflictTries {
			continue
		}
		if err != nil {
			return wrap(what, err)
		}
		p.canary = written
		return wrap(what, r.await(ctx, p, written, to))
	}
}

// newest is what a wait looks at when nothing was written.
func (p pair) newest() *unstructured.Unstructured {
	if p.canary != nil {
		return p.canary
	}
	return p.user
}

// moved returns the canary Ingress with the weight to, nil when nothing is to
// be written.
func (r *IngressNginx) moved(p pair, from, to float64) (*unstructured.Unstructured, error) {
	now, err := p.share()
	if err != nil {
		return nil, r.drift(p.newest(), err.Error(), percent(from))
	}
	if !near(now, to) && !near(now, from) {
		return nil, r.drift(p.newest(), percent(now), percent(from))
	}
	if from > 0 && !p.matched(r.matches) && pathsTo(p.user, p.old.name) > 0 {
		return nil, r.drift(p.newest(), "without what match says", percent(from)+" with it")
	}
	if p.canary == nil && near(now, to) && (len(r.matches) == 0 || pathsTo(p.user, p.old.name) == 0) {
		return nil, nil //nolint:nilnil // nothing is to be done
	}
	next, err := p.at(to, r.set.Split.New.Name, r.matches)
	if err != nil || p.canary != nil && sameCanary(p.canary, next) {
		return nil, err
	}
	return next, nil
}

func (r *IngressNginx) write(ctx context.Context, u *unstructured.Unstructured, w kube.Write) (*unstructured.Unstructured, error) {
	if u.GetResourceVersion() == "" {
		return r.c.Create(ctx, ingresses(), u, w)
	}
	return r.c.Update(ctx, ingresses(), u, w)
}

func (r *IngressNginx) drift(u *unstructured.Unstructured, found, want string) error {
	return &stages.DriftError{Thing: r.Name(), Found: found, Want: want, By: kube.LastManager(u)}
}

// await waits until what was written has stayed for a while: nothing tells
// when the controller has loaded it.
func (r *IngressNginx) await(ctx context.Context, p pair, written *unstructured.Unstructured, want float64) error {
	return awaiting{
		c: r.c, gvr: ingresses(), name: r.Name(), settle: r.set.Settle, timeout: r.set.Timeout,
		holds: func(u *unstructured.Unstructured) error {
			seen := p
			if u.GetName() == p.user.GetName() {
				seen.user = u
			} else {
				seen.canary = u
			}
			now, err := seen.share()
			if err != nil {
				return r.drift(u, err.Error(), percent(want))
			}
			if !near(now, want) {
				return r.drift(u, percent(now), percent(want))
			}
			if seen.canary != nil && want > 0 && pathsTo(seen.user, p.old.name) > 0 && !seen.matched(r.matches) {
				return r.drift(u, "without what match says", percent(want)+" with it")
			}
			return nil
		},
		refused: func(*unstructured.Unstructured) error { return nil },
		said:    func(*unstructured.Unstructured) bool { return false },
	}.wait(ctx, written)
}

// PlanWeight says what SetWeight would write, by a dry run on the server.
func (r *IngressNginx) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	what := fmt.Sprintf("plan weight %s of %s", percent(to), r.Name())
	p, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	next, err := p.at(to, r.set.Split.New.Name, r.matches)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	after, err := r.write(ctx, next, kube.Write{DryRun: true})
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("%s of the traffic of %s to Service %s, by Ingress %s", percent(to), r.Name(), p.new.name, next.GetName()),
		Diff:    kube.Diff(p.canary, after),
	}, nil
}

// Permissions names what the router needs.
func (r *IngressNginx) Permissions(stages.Workload) []string {
	var out []string
	for _, p := range r.permissions() {
		out = append(out, p.String())
	}
	return out
}

func (r *IngressNginx) permissions() []kube.Permission {
	var out []kube.Permission
	for _, v := range []string{"get", "list", "watch", "create", "update", "delete"} {
		out = append(out, kube.Permission{Verb: v, Group: ingresses().Group, Resource: ingresses().Resource, Namespace: r.set.Namespace})
	}
	return out
}

// ingressSnapshot says which Ingress it is of, and between which Services it
// was split; what it was before then follows.
type ingressSnapshot struct {
	Router    string       `json:"router"`
	Namespace string       `json:"namespace"`
	Route     string       `json:"route"`
	Split     stages.Split `json:"split"`
	Old       string       `json:"old"`
	New       string       `json:"new"`
	Matches   []match      `json:"matches,omitempty"`
	// Weight is that of the new track: 0, or nothing can be put back by it.
	Weight float64 `json:"weight"`
}
