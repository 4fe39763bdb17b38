package local

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/headgate-dev/headgate/internal/local/proxy"
	"github.com/headgate-dev/headgate/stages"
)

// front is where pods reach a Service.
type front struct {
	server  *proxy.Server
	service corev1.Service
	port    corev1.ServicePort
	h2c     bool
}

func (f *front) close() {
	now, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = f.server.Close(now) // the world is at its end, or the Service is gone
}

const frontTrack = "pods"

// connectFronts gives each Service an address, and the ready pods behind it.
func (w *World) connectFronts() {
	wanted, outside := map[string]bool{}, map[string]bool{}
	for k := range w.state.Objects {
		svc, ok := read[corev1.Service](w.state.Objects, k)
		if k.Kind != "Service" || !ok || len(svc.Spec.Selector) == 0 {
			continue
		}
		for _, p := range svc.Spec.Ports {
			key := fmt.Sprintf("%s/%s:%d", k.Namespace, k.Name, p.Port)
			wanted[key] = true
			f, err := w.front(key, svc, p)
			if err != nil {
				continue // pods that ask for it find no variable, and say so
			}
			pods := w.selected(k.Namespace, svc, p)
			f.server.SetEndpoints(key, frontTrack, pods)
			if p.Port == svc.Spec.Ports[0].Port && !w.state.routed(k) {
				outside[serviceRoute(k)] = true
				w.expose(k, f.h2c, pods)
			}
		}
	}
	for _, r := range w.proxy.Routes() {
		if _, kept := w.state.Routes[r.Name]; !kept && !outside[r.Name] {
			w.proxy.RemoveRoute(r.Name)
		}
	}
	for key, f := range w.fronts {
		if !wanted[key] {
			f.close()
			delete(w.fronts, key)
		}
	}
}

func (w *World) front(key string, svc corev1.Service, p corev1.ServicePort) (*front, error) {
	if f, ok := w.fronts[key]; ok {
		f.service, f.port = svc, p
		return f, nil
	}
	server, err := proxy.NewServer(proxy.Options{})
	if err != nil {
		return nil, err
	}
	h2c := p.AppProtocol != nil && *p.AppProtocol == "kubernetes.io/h2c"
	f := &front{server, svc, p, h2c}
	if err := server.SetRoute(proxy.Route{Name: key, H2C: h2c, Weights: map[string]float64{frontTrack: 100}}); err != nil {
		f.close()
		return nil, err
	}
	w.fronts[key] = f
	return f, nil
}

// expose lets users reach a Service that no HTTPRoute points at by the proxy,
// too, as they would with a load balancer: by its name, and by any where there
// is nothing else to reach.
func (w *World) expose(k objectKey, h2c bool, pods []string) {
	r := proxy.Route{
		Name: serviceRoute(k), H2C: h2c, Fallback: true, Weights: map[string]float64{frontTrack: 100},
		Hosts: []string{k.Name, k.Name + ".localhost", k.Name + "." + k.Namespace, k.Name + "." + k.Namespace + ".svc", k.Name + "." + k.Namespace + ".svc.cluster.local"},
	}
	r.Last = len(w.main) > 0 && !w.main[k]
	if now, ok := w.proxy.Route(r.Name); !ok || !reflect.DeepEqual(now, r) {
		if w.proxy.SetRoute(r) != nil {
			return // a name that no host has
		}
	}
	w.proxy.SetEndpoints(r.Name, frontTrack, pods)
}

func serviceRoute(k objectKey) string { return stages.ServiceRouter + " " + k.Namespace + "/" + k.Name }

// routed reports whether an HTTPRoute points at a Service.
func (s *state) routed(service objectKey) bool {
	for k := range s.Objects {
		if r, ok := s.Objects.route(k.Namespace, k.Name); ok && k.Kind == "HTTPRoute" && k.Namespace == service.Namespace && pointsAt(r, service.Name) {
			return true
		}
	}
	return false
}

// selected are the addresses of all ready pods that a Service selects.
func (w *World) selected(namespace string, svc corev1.Service, port corev1.ServicePort) []string {
	var out []string
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	for key, r := range w.running {
		if ns, _, _ := strings.Cut(key, "/"); ns != namespace {
			continue
		}
		for _, p := range r.pods {
			if a, ok := p.addresses[targetPort(p.template.Spec, port)]; ok && p.ready() && selector.Matches(labels.Set(p.labels)) {
				out = append(out, a)
			}
		}
	}
	slices.Sort(out)
	return out
}

// serviceVariables are those by which Kubernetes tells pods of Services.
func (w *World) serviceVariables(namespace string) [][2]string {
	var out [][2]string
	for _, key := range slices.Sorted(maps.Keys(w.fronts)) {
		f := w.fronts[key]
		if ns, _, _ := strings.Cut(key, "/"); ns != namespace {
			continue
		}
		name, port := variable(f.service.Name), strconv.Itoa(portOf(f.server.Address()))
		if f.port.Port == f.service.Spec.Ports[0].Port {
			out = append(out, [2]string{name + "_SERVICE_HOST", loopback}, [2]string{name + "_SERVICE_PORT", port},
				[2]string{name + "_PORT", "tcp://" + f.server.Address()})
		}
		if f.port.Name != "" {
			out = append(out, [2]string{name + "_SERVICE_PORT_" + variable(f.port.Name), port})
		}
	}
	return out
}
