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
// may be there without being the pipeline's.
func (w *World) Router(t stages.Traffic, split stages.Split) (stages.Router, error) {
	wl := split.Old.Workload
	if !t.HTTPRoute.IsSet() {
		return nil, errors.New("choose router: only httpRoute can be run locally")
	}
	wl = w.placed(wl)
	namespace, name, ok := strings.Cut(t.HTTPRoute.Value, "/")
	if !ok {
		namespace, name = wl.Namespace, t.HTTPRoute.Value
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	base := namespace + "/" + name
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
		return nil, fmt.Errorf("choose router: HTTPRoute %s does not point at a Service of deployment %s", base, wl)
	}
	err := w.change(func(s *state) error {
		service := t.Service.Value
		if svc, ok := selecting(s.Objects.services(wl.Namespace), d.Object.Spec.Template.Labels, wl.Name); ok && service == "" {
			service = svc.Name
		}
		bare := d.Object.DeepCopy()
		bare.Namespace = namespace
		if err := s.route(gatewayv1.HTTPRoute{}, name, bare, service); err != nil {
			return err
		}
		r := s.Routes[base]
		r.Workload = wl.String()
		s.Routes[base] = r
		return nil
	})
	if err == nil {
		err = w.followRoutes()
	}
	if err != nil {
		return nil, fmt.Errorf("choose router: %w", err)
	}
	return proxy.NewRouter(w.proxy, routes{w}, base), nil
}

// RouterOf returns the router that made a snapshot.
func (w *World) RouterOf(was json.RawMessage) (stages.Router, error) {
	return proxy.FromSnapshot(w.proxy, routes{w}, was)
}
