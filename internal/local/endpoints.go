package local

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/headgate-dev/headgate/internal/local/metrics"
	"github.com/headgate-dev/headgate/stages"
)

// connect tells the proxy which pods serve, and Prometheus which there are;
// w.mu is held.
func (w *World) connect() {
	for name, r := range w.state.Routes {
		for track, b := range r.behind() {
			namespace, workload, _ := strings.Cut(b.Workload, "/")
			t := stages.Track{Workload: stages.Workload{Namespace: namespace, Name: workload}, Name: track}
			w.proxy.SetEndpoints(name, track, w.serving(t, b.Service))
		}
	}
	w.connectFronts()
	if targets := w.targets(); !reflect.DeepEqual(targets, w.scraped) {
		w.scraped = targets
		_ = w.metrics.SetTargets(targets) // the targets are ours, and so right
	}
}

// serving are the addresses of a track's ready pods for a Service's port.
func (w *World) serving(t stages.Track, service string) []string {
	r := w.running[t.Workload.Namespace+"/"+trackName(t)]
	if r == nil {
		return nil
	}
	svc, found := w.serviceOf(t.Workload, service)
	var out []string
	for _, p := range r.pods {
		if !p.ready() {
			continue
		}
		port := firstPort(p.template.Spec)
		if found && len(svc.Spec.Ports) > 0 {
			port = targetPort(p.template.Spec, svc.Spec.Ports[0])
		}
		if a, ok := p.addresses[port]; ok {
			out = append(out, a)
		}
	}
	return out
}

// serviceOf finds the Service that users reach a workload by: the one named,
// or the first that selects stable's pods.
func (w *World) serviceOf(wl stages.Workload, name string) (corev1.Service, bool) {
	if name != "" {
		return read[corev1.Service](w.state.Objects, objectKey{"Service", wl.Namespace, name})
	}
	d, ok := w.state.Deployments[wl.Namespace+"/"+wl.Name]
	if !ok {
		return corev1.Service{}, false
	}
	return selecting(w.state.Objects.services(wl.Namespace), d.Object.Spec.Template.Labels, wl.Name)
}

// selecting finds the Service that selects pods with labels; one with the
// preferred name first.
func selecting(all []corev1.Service, of map[string]string, preferred string) (corev1.Service, bool) {
	found := slices.DeleteFunc(slices.Clone(all), func(s corev1.Service) bool {
		return len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(of))
	})
	slices.SortStableFunc(found, func(a, b corev1.Service) int {
		return cmp.Compare(truth(b.Name == preferred), truth(a.Name == preferred))
	})
	if len(found) == 0 {
		return corev1.Service{}, false
	}
	return found[0], true
}

func firstPort(spec corev1.PodSpec) int32 {
	for _, c := range spec.Containers {
		for _, p := range c.Ports {
			if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
				return p.ContainerPort
			}
		}
	}
	return 0
}

// targetPort is the containerPort that a Service's port leads to.
func targetPort(spec corev1.PodSpec, p corev1.ServicePort) int32 {
	if name := p.TargetPort.StrVal; name != "" {
		for _, c := range spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name == name {
					return cp.ContainerPort
				}
			}
		}
		return 0
	}
	return cmp.Or(p.TargetPort.IntVal, p.Port)
}

// routeAll makes the routes that HTTPRoutes and Services tell of, leaving the
// weights of those that are there; w.mu is held.
func (w *World) routeAll(s *state) error {
	for k := range s.Objects {
		route, ok := s.Objects.route(k.Namespace, k.Name)
		if k.Kind != "HTTPRoute" || !ok {
			continue
		}
		for _, d := range s.Deployments {
			if d.Object.Namespace != k.Namespace || d.Object.Labels[trackLabel] == stages.Canary {
				continue
			}
			svc, ok := selecting(s.Objects.services(k.Namespace), d.Object.Spec.Template.Labels, d.Object.Name)
			if !ok || !pointsAt(route, svc.Name) || s.Routes[k.Namespace+"/"+k.Name].has(d.key()) {
				continue
			}
			if err := s.route(route, k.Namespace+"/"+k.Name, &d.Object, svc.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// route makes or mends the proxy's route of a name for a workload.
func (s *state) route(from gatewayv1.HTTPRoute, name string, d *appsv1.Deployment, service string) error {
	r := routing{Workload: d.Namespace + "/" + d.Name, Service: service}
	r.Name = name
	several := map[string]bool{}
	for _, rule := range from.Spec.Rules {
		for _, b := range rule.BackendRefs {
			several[string(b.Name)] = true
		}
	}
	if len(several) > 1 {
		r.Name += "/" + d.Name
	}
	for _, h := range from.Spec.Hostnames {
		r.Hosts = append(r.Hosts, string(h))
	}
	r.Paths, r.Exact = pathsOf(from, service)
	if svc, ok := read[corev1.Service](s.Objects, objectKey{"Service", d.Namespace, service}); ok && len(svc.Spec.Ports) > 0 {
		p := svc.Spec.Ports[0].AppProtocol
		r.H2C = p != nil && *p == "kubernetes.io/h2c"
	}
	r.Weights = map[string]float64{stages.Stable: 100}
	if now, ok := s.Routes[r.Name]; ok {
		r.Weights = now.Weights
	}
	if err := r.Validate(); err != nil {
		return err
	}
	s.Routes[r.Name] = r
	return nil
}

func pointsAt(r gatewayv1.HTTPRoute, service string) bool {
	return slices.ContainsFunc(r.Spec.Rules, func(rule gatewayv1.HTTPRouteRule) bool { return ruleFor(rule, service) })
}

func ruleFor(rule gatewayv1.HTTPRouteRule, service string) bool {
	return slices.ContainsFunc(rule.BackendRefs, func(b gatewayv1.HTTPBackendRef) bool { return string(b.Name) == service })
}

// pathsOf are those of the rules that point at a Service; none at all where
// one of them is for every path.
func pathsOf(r gatewayv1.HTTPRoute, service string) (prefixes, exact []string) {
	for _, rule := range r.Spec.Rules {
		if !ruleFor(rule, service) {
			continue
		}
		if len(rule.Matches) == 0 {
			return nil, nil
		}
		for _, m := range rule.Matches {
			switch {
			case m.Path == nil || m.Path.Value == nil || *m.Path.Value == "/" && (m.Path.Type == nil || *m.Path.Type == gatewayv1.PathMatchPathPrefix):
				return nil, nil
			case m.Path.Type != nil && *m.Path.Type == gatewayv1.PathMatchExact:
				exact = append(exact, *m.Path.Value)
			default:
				prefixes = append(prefixes, *m.Path.Value)
			}
		}
	}
	return prefixes, exact
}

// targets are the pods that Prometheus asks, by the annotations that people
// use for it; without them, the first port and /metrics.
func (w *World) targets() []metrics.Target {
	var out []metrics.Target
	for _, key := range slices.Sorted(maps.Keys(w.running)) {
		namespace, _, _ := strings.Cut(key, "/")
		for _, p := range w.running[key].pods {
			if p.run == nil || p.ending || len(p.addresses) == 0 {
				continue
			}
			t, ok := targetOf(p)
			if !ok {
				continue
			}
			t.Labels = map[string]string{}
			for k, v := range p.labels {
				t.Labels[labelName(k)] = v
			}
			t.Labels["job"], t.Labels["namespace"], t.Labels["pod"] = "pods", namespace, p.name
			out = append(out, t)
		}
	}
	if w.usage != nil {
		out = append(out, metrics.Target{Address: w.usage.address(), Labels: map[string]string{"job": "containers"}})
	}
	return out
}

func targetOf(p *livePod) (metrics.Target, bool) {
	a := p.template.Annotations
	if wanted, ok := a["prometheus.io/scrape"]; ok && wanted != "true" {
		return metrics.Target{}, false
	}
	port := firstPort(p.template.Spec)
	if text, ok := a["prometheus.io/port"]; ok {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return metrics.Target{}, false
		}
		port = int32(n)
	}
	address, ok := p.addresses[port]
	return metrics.Target{Address: address, Path: a["prometheus.io/path"]}, ok
}

// labelName makes a pod's label a name that Prometheus takes, as its own
// discovery does.
func labelName(k string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, k)
}
