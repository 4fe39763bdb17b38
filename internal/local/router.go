package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/headgate-dev/headgate/internal/local/proxy"
	"github.com/headgate-dev/headgate/stages"
)

// routes keeps the proxy's routes in the world's state.
type routes struct{ w *World }

var _ proxy.Store = routes{}

// Load returns a route by its name.
func (r routes) Load(name string) (proxy.Route, bool, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	kept, ok := r.w.state.Routes[name]
	return kept.Clone(), ok, nil
}

// Save writes a route.
func (r routes) Save(next proxy.Route) error {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.w.change(func(s *state) error {
		kept, ok := s.Routes[next.Name]
		if !ok {
			return &proxy.MissingError{Route: next.Name}
		}
		kept.Route = next
		s.Routes[next.Name] = kept
		return nil
	})
}

// Router returns the router that a traffic setting of a workload names. A
// route that no manifest has is made, for all hosts and paths: on a cluster it
// may be there without being the pipeline's. Whatever stands in front of the
// pods there, the proxy stands for it here.
func (w *World) Router(t stages.Traffic, split stages.Split) (stages.Router, error) {
	r, err := w.router(t, split)
	if err != nil {
		return nil, fmt.Errorf("choose router: %w", err)
	}
	return r, nil
}

func (w *World) router(t stages.Traffic, split stages.Split) (stages.Router, error) {
	split.Old, split.New = w.placedTrack(split.Old), w.placedTrack(split.New)
	kind, target := t.Router()
	namespace, name, ok := strings.Cut(target, "/")
	if !ok {
		namespace, name = split.Old.Workload.Namespace, target
		if split.Old.Colour() && split.New.Workload.Namespace != namespace {
			namespace = w.opts.Namespace // that of neither colour alone
		}
	}
	key := namespace + "/" + name
	switch kind {
	case "", stages.ReplicasRouter:
		return nil, errNoRatio
	case stages.ServiceRouter:
		r := &serviceSwitch{w: w, key: objectKey{"Service", namespace, name}, split: split}
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.main[r.key] {
			w.main[r.key] = true
			w.connect()
		}
		return r, nil
	case stages.HTTPRouteRouter:
	default:
		if key = kind + " " + key; t.Upstream.Value != "" {
			key += " " + t.Upstream.Value
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if split.Old.Colour() {
		return w.colourRouter(key, split)
	}
	return w.canaryRouter(key, split.Old.Workload, t.Service.Value)
}

var errNoRatio = errors.New("without a cluster, nothing splits traffic by the numbers of pods; name a route")

// canaryRouter returns the router of a route between stable and canary.
func (w *World) canaryRouter(base string, wl stages.Workload, service string) (stages.Router, error) {
	for _, key := range []string{base, base + "/" + wl.Name} {
		if r, ok := w.state.Routes[key]; ok && r.Workload == wl.String() {
			return proxy.NewRouter(w.proxy, routes{w}, key), nil
		}
	}
	d, live := w.state.Deployments[wl.String()]
	if !live {
		return proxy.NewRouter(w.proxy, routes{w}, base), nil // which says that it is missing
	}
	if _, taken := w.state.Routes[base]; taken {
		return nil, fmt.Errorf("HTTPRoute %s does not point at a Service of deployment %s", base, wl)
	}
	err := w.change(func(s *state) error {
		if svc, ok := selecting(s.Objects.services(wl.Namespace), d.Object.Spec.Template.Labels, wl.Name); ok && service == "" {
			service = svc.Name
		}
		return s.route(gatewayv1.HTTPRoute{}, base, &d.Object, service)
	})
	if err == nil {
		err = w.followRoutes()
	}
	if err != nil {
		return nil, err
	}
	return proxy.NewRouter(w.proxy, routes{w}, base), nil
}

// RouterOf returns the router that made a snapshot.
func (w *World) RouterOf(was json.RawMessage) (stages.Router, error) {
	if r, ok := w.switchOf(was); ok {
		return r, nil
	}
	return proxy.FromSnapshot(w.proxy, routes{w}, was)
}
