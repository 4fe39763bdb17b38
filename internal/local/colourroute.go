package local

import (
	"fmt"
	"maps"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/headgate-dev/headgate/internal/local/proxy"
	"github.com/headgate-dev/headgate/stages"
)

// behind are the Deployments of a route, by the names of their tracks.
func (r routing) behind() map[string]backing {
	if len(r.Colours) > 0 {
		return r.Colours
	}
	b := backing{r.Workload, r.Service}
	return map[string]backing{stages.Stable: b, stages.Canary: b}
}

// has reports whether a route is between colours, one of which is a Deployment.
func (r routing) has(key string) bool {
	for _, b := range r.Colours {
		if b.Workload == key {
			return true
		}
	}
	return false
}

// colourRouter returns the router of a route between two colours, which is made
// where it is missing; w.mu is held.
func (w *World) colourRouter(key string, split stages.Split) (stages.Router, error) {
	colours := map[string]backing{}
	for _, t := range []stages.Track{split.Old, split.New} {
		colours[t.Name] = backing{t.Workload.String(), t.Service}
	}
	now, ok := w.state.Routes[key]
	if !ok || !maps.Equal(now.Colours, colours) {
		err := w.change(func(s *state) error { return s.colourRoute(key, colours, split) })
		if err == nil {
			err = w.followRoutes()
		}
		if err != nil {
			return nil, err
		}
	}
	return proxy.NewRouter(w.proxy, routes{w}, key).Between(split.Old.Name, split.New.Name), nil
}

// colourRoute makes a route between colours, of what an HTTPRoute or the
// configuration of an nginx says where there is one.
func (s *state) colourRoute(key string, colours map[string]backing, split stages.Split) error {
	r := routing{Colours: colours}
	r.Name = key
	maps.DeleteFunc(s.Routes, func(name string, old routing) bool {
		return (name == key || strings.HasPrefix(name, key+"/")) && (r.has(old.Workload) || len(old.Colours) > 0)
	})
	if other, ok := s.Routes[key]; ok {
		return fmt.Errorf("%s is the route of deployment %s", key, other.Workload)
	}
	weights := map[string]float64{}
	namespace, name, _ := strings.Cut(key, "/")
	if from, ok := s.Objects.route(namespace, name); ok {
		for _, h := range from.Spec.Hostnames {
			r.Hosts = append(r.Hosts, string(h))
		}
		for track, b := range colours {
			service := s.serviceFor(b)
			if weight := backendWeight(from, service); weight > 0 {
				weights[track] = weight
			}
			if pointsAt(from, service) {
				r.Paths, r.Exact = pathsOf(from, service)
			}
		}
	} else if rest, ok := strings.CutPrefix(key, stages.NginxRouter+" "); ok {
		weights = s.nginxWeights(rest, colours)
	}
	r.Weights = shares(weights)
	if r.Weights == nil {
		r.Weights = map[string]float64{s.guess(split): 100}
	}
	if err := r.Validate(); err != nil {
		return err
	}
	s.Routes[key] = r
	return nil
}

// guess is the colour that has the traffic where nothing says it: the only one
// that is there, else blue.
func (s *state) guess(split stages.Split) string {
	for _, t := range []stages.Track{split.Old, split.New} {
		_, there := s.Deployments[t.Workload.String()]
		_, peer := s.Deployments[t.Peer.String()]
		if there && !peer {
			return t.Name
		}
	}
	return stages.Blue
}

// serviceFor is the name of the Service of what stands behind a route.
func (s *state) serviceFor(b backing) string {
	if b.Service != "" {
		return b.Service
	}
	d := s.Deployments[b.Workload]
	svc, ok := selecting(s.Objects.services(d.Object.Namespace), d.Object.Spec.Template.Labels, d.Object.Name)
	if !ok {
		return ""
	}
	return svc.Name
}

func backendWeight(r gatewayv1.HTTPRoute, service string) float64 {
	for _, rule := range r.Spec.Rules {
		for _, b := range rule.BackendRefs {
			switch {
			case string(b.Name) != service:
			case b.Weight == nil:
				return 1
			default:
				return float64(*b.Weight)
			}
		}
	}
	return 0
}

// shares makes percentages of weights, nil where all are 0.
func shares(weights map[string]float64) map[string]float64 {
	sum, out := 0.0, map[string]float64{}
	for _, w := range weights {
		sum += w
	}
	if sum <= 0 {
		return nil
	}
	for track, w := range weights {
		if w > 0 {
			out[track] = math.Round(w/sum*1e6) / 1e4
		}
	}
	return out
}

// nginxWeights reads what the upstream block in a ConfigMap gives to each
// colour. It knows the servers by the names of their Services.
func (s *state) nginxWeights(target string, colours map[string]backing) map[string]float64 {
	target, _, _ = strings.Cut(target, " ")
	namespace, name, _ := strings.Cut(target, "/")
	data, _ := s.Objects.configMap(namespace, name)
	server := regexp.MustCompile(`(?m)^\s*server\s+([^\s;]+)([^;]*);`)
	out := map[string]float64{}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		for _, m := range server.FindAllStringSubmatch(data[key], -1) {
			host, _, err := net.SplitHostPort(m[1])
			if err != nil {
				host = m[1]
			}
			for track, b := range colours {
				ns, workload, _ := strings.Cut(b.Workload, "/")
				service := s.serviceFor(b)
				if service == "" {
					service = workload
				}
				if host == service && ns == namespace || host == service+"."+ns || strings.HasPrefix(host, service+"."+ns+".svc") {
					out[track] += serverWeight(strings.Fields(m[2]))
				}
			}
		}
	}
	return out
}

func serverWeight(words []string) float64 {
	weight := 1.0
	for _, word := range words {
		if word == "down" || word == "backup" {
			return 0
		}
		if text, ok := strings.CutPrefix(word, "weight="); ok {
			if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 && n <= math.MaxInt32 {
				weight = n
			}
		}
	}
	return weight
}
