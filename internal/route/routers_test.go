package route_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// subject is a kind of route that the suites are run on. In its texts OLD
// stands for the Service that has the traffic, and NS for its namespace.
type subject struct {
	router, resource string
	// object is the route.
	object string
	// rules is where the rules are, backends the key of those of one.
	rules    []string
	backends string
	// names reports whether a backend is a Service.
	names func(ref map[string]any, svc string) bool
	match stages.Match
}

func subjects() map[string]subject {
	gateway := func(ref map[string]any, svc string) bool { return ref["name"] == svc }
	istio := func(ref map[string]any, svc string) bool {
		host, _ := ref["destination"].(map[string]any)["host"].(string)
		return host == svc || strings.HasPrefix(host, svc+".")
	}
	return map[string]subject{
		"HTTPRoute": {
			router: stages.HTTPRouteRouter, resource: "httproutes", rules: []string{"spec", "rules"}, backends: "backendRefs", names: gateway,
			match: stages.Match{Cookie: text("beta"), Value: text("a.b")},
			object: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: user, namespace: web}
spec:
  parentRefs: [{name: web}, {name: web, sectionName: tls}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /old}}]
    backendRefs: [{name: legacy, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /}, headers: [{name: X-Tier, value: gold}]}, {path: {type: Exact, value: /x}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Via, value: gateway}]}}]
    timeouts: {request: 5s}
    backendRefs: [{name: OLD, namespace: NS, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /api}}]
    backendRefs: [{name: legacy, port: 80, weight: 1}, {name: OLD, namespace: NS, port: 80, weight: 9}]
`,
		},
		"GRPCRoute": {
			router: stages.GRPCRouteRouter, resource: "grpcroutes", rules: []string{"spec", "rules"}, backends: "backendRefs", names: gateway,
			match: stages.Match{Header: text("x-canary"), Value: text("always")},
			object: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: user, namespace: web}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{method: {service: shop.Users}}]
    backendRefs: [{name: OLD, namespace: NS, port: 80}]
  - name: all
    backendRefs: [{name: OLD, namespace: NS, port: 80, weight: 7}]
`,
		},
		"VirtualService": {
			router: stages.IstioRouter, resource: "virtualservices", rules: []string{"spec", "http"}, backends: "route", names: istio,
			match: stages.Match{Header: text("X-Canary"), Value: text("always")},
			object: `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: user, namespace: web}
spec:
  hosts: [shop.example]
  gateways: [mesh, web]
  http:
  - name: moved
    match: [{uri: {prefix: /moved}}]
    redirect: {uri: /}
  - name: api
    match: [{uri: {prefix: /api}, headers: {x-tier: {exact: gold}}}, {uri: {prefix: /v2}}]
    retries: {attempts: 3}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}
    mirror: {host: legacy}
    route: [{destination: {host: OLD.NS.svc.cluster.local, subset: v1, port: {number: 80}}, headers: {request: {set: {x-to: user}}}}]
  - route:
    - {destination: {host: legacy}, weight: 10}
    - {destination: {host: OLD.NS.svc.cluster.local, port: {number: 80}}, weight: 90}
  tcp:
  - route: [{destination: {host: OLD.NS.svc.cluster.local, port: {number: 9000}}}]
`,
		},
		"Ingress": {
			router: stages.IngressNginxRouter, resource: "ingresses",
			match: stages.Match{Header: text("x-canary"), Value: text("on")},
			object: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: user
  namespace: web
  annotations:
    nginx.ingress.kubernetes.io/affinity: cookie
    nginx.ingress.kubernetes.io/rewrite-target: /
    cert-manager.io/cluster-issuer: letsencrypt
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example], secretName: tls}]
  rules:
  - host: shop.example
    http:
      paths:
      - {path: /old, pathType: Prefix, backend: {service: {name: legacy, port: {number: 80}}}}
      - {path: /, pathType: Prefix, backend: {service: {name: OLD, port: {number: 80}}}}
  - host: legacy.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: legacy, port: {number: 80}}}}]}
`,
		},
	}
}

func text(s string) source.String { return source.String{Value: s} }

// place is where a colour or a track is.
type place struct{ ns, name string }

// around are the objects of both tracks; a canary has no Deployment.
func around(old, next place) string {
	const deployment = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NS}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: user, image: "r.example/user:1"}]}
`
	const svc = `---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NS}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8000}]}
`
	var out strings.Builder
	out.WriteString(strings.NewReplacer("NAME", "legacy", "NS", "web").Replace(svc))
	for _, p := range []place{old, next} {
		named := strings.NewReplacer("NAME", p.name, "NS", p.ns)
		out.WriteString(named.Replace(svc))
		if p.name != old.name+"-canary" {
			out.WriteString(named.Replace(deployment))
		}
	}
	return out.String()
}

// build makes a world with a subject in it, with everything at old.
func (s subject) build(t *testing.T, old, next place) (*kubetest.Server, *kube.Cluster) {
	t.Helper()
	object := strings.NewReplacer("OLD", old.name, "NS", old.ns).Replace(s.object)
	srv, c := kubetest.New(t, kubetest.Objects(t, strings.TrimPrefix(around(old, next), "---\n")+"---"+object)...)
	srv.With(func() { srv.Groups = map[string][]string{"networking.istio.io": {"v1", "v1beta1"}} })
	return srv, c
}

// split is between a workload and its canary, or between two colours.
func split(old, next place) stages.Split {
	w := func(p place) stages.Workload { return stages.Workload{Namespace: p.ns, Name: p.name} }
	if next.name == old.name+"-canary" {
		return stages.Split{Old: stages.Track{Workload: w(old), Name: stages.Stable}, New: stages.Track{Workload: w(old), Name: stages.Canary}}
	}
	colour := func(p place) string {
		if strings.HasSuffix(p.name, "green") || strings.HasSuffix(p.ns, "green") {
			return stages.Green
		}
		return stages.Blue
	}
	return stages.Split{
		Old: stages.Track{Workload: w(old), Name: colour(old), Peer: w(next)},
		New: stages.Track{Workload: w(next), Name: colour(next), Peer: w(old)},
	}
}

func (s subject) make(t *testing.T, c *kube.Cluster, sp stages.Split, matches ...stages.Match) stages.Router {
	t.Helper()
	r, err := route.New(c, s.router, route.Settings{Namespace: "web", Route: "user", Split: sp, Matches: matches, Settle: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fixture is a subject's in the fake API.
func (s subject) fixture(srv *kubetest.Server, r stages.Router, old, next place) portstest.RouterFixture {
	return portstest.RouterFixture{
		Router: r,
		State: func(t *testing.T) string {
			var out strings.Builder
			for _, name := range []string{"user", "user-canary"} {
				if u := srv.Get(s.resource, "web", name); u != nil {
					b, err := yaml.Marshal(map[string]any{name: u.Object["spec"], "annotations": u.GetAnnotations()})
					if err != nil {
						t.Fatal(err)
					}
					out.Write(b)
				}
			}
			return out.String()
		},
		SetByOther: func(_ *testing.T, w float64) {
			if s.rules == nil {
				srv.Edit(s.resource, "web", "user-canary", func(u *unstructured.Unstructured) {
					annotate(u, "nginx.ingress.kubernetes.io/canary-weight", percents(w))
				})
				return
			}
			srv.Edit(s.resource, "web", "user", func(u *unstructured.Unstructured) { s.share(u, old.name, next.name, int64(w)) })
		},
		EditByOther: func(*testing.T) {
			srv.Edit(s.resource, "web", "user", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedStringSlice(u.Object, []string{"www.shop.example"}, "spec", "hostnames")
				annotate(u, "example.com/edited", "yes")
			})
		},
		RemoveCanary: func(*testing.T) { srv.Remove("services", next.ns, next.name) },
		Fractions:    true,
		Patience:     20 * time.Second,
	}
}

func percents(w float64) string { return strings.TrimSuffix(yamlOf(w), "\n") }

func yamlOf(v any) string {
	b, _ := yaml.Marshal(v)
	return string(b)
}

func annotate(u *unstructured.Unstructured, k, v string) {
	a := u.GetAnnotations()
	if a == nil {
		a = map[string]string{}
	}
	a[k] = v
	u.SetAnnotations(a)
}

// share gives the new track a share of what both have, in the manner of a
// person.
func (s subject) share(u *unstructured.Unstructured, old, next string, w int64) {
	rules, _, _ := unstructured.NestedSlice(u.Object, s.rules...)
	for _, v := range rules {
		refs, _ := v.(map[string]any)[s.backends].([]any)
		for _, b := range refs {
			switch ref := b.(map[string]any); {
			case len(refs) == 1:
			case s.names(ref, old):
				ref["weight"] = 100 - w
			case s.names(ref, next):
				ref["weight"] = w
			}
		}
	}
	_ = unstructured.SetNestedSlice(u.Object, rules, s.rules...)
}

func TestRoutersConform(t *testing.T) {
	old, next := place{"web", "user"}, place{"web", "user-canary"}
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			portstest.Router(t, func(t *testing.T) portstest.RouterFixture {
				srv, c := s.build(t, old, next)
				return s.fixture(srv, s.make(t, c, split(old, next)), old, next)
			})
		})
	}
}

func TestRoutersMatch(t *testing.T) {
	old, next := place{"web", "user"}, place{"web", "user-canary"}
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			portstest.RouterMatches(t, func(t *testing.T) portstest.MatchesFixture {
				srv, c := s.build(t, old, next)
				f := portstest.MatchesFixture{
					RouterFixture: s.fixture(srv, s.make(t, c, split(old, next), s.match), old, next),
					Again:         func(t *testing.T) stages.Router { return s.make(t, c, split(old, next), s.match) },
				}
				f.Matched = func(t *testing.T) bool {
					state := f.State(t)
					return strings.Contains(state, "headgate-match-") || strings.Contains(state, "canary-by-header: x-canary")
				}
				f.Unmatch = func(*testing.T) { s.unmatch(srv) }
				return f
			})
		})
	}
}

// unmatch takes away what sends matching requests to the new track.
func (s subject) unmatch(srv *kubetest.Server) {
	name := "user"
	if s.rules == nil {
		name = "user-canary"
	}
	srv.Edit(s.resource, "web", name, s.strip)
}

func (s subject) strip(u *unstructured.Unstructured) {
	if s.rules == nil {
		a := u.GetAnnotations()
		delete(a, "nginx.ingress.kubernetes.io/canary-by-header")
		u.SetAnnotations(a)
		return
	}
	rules, _, _ := unstructured.NestedSlice(u.Object, s.rules...)
	rules = slices.DeleteFunc(rules, func(v any) bool {
		name, _ := v.(map[string]any)["name"].(string)
		return strings.HasPrefix(name, "headgate-match-")
	})
	_ = unstructured.SetNestedSlice(u.Object, rules, s.rules...)
}

func TestRoutersSwitchColours(t *testing.T) {
	for name, s := range subjects() {
		worlds := map[string][2]place{"one namespace": {{"web", "user-blue"}, {"web", "user-green"}}}
		if s.rules != nil { // An Ingress points at Services of its own namespace only.
			worlds["two namespaces"] = [2]place{{"shop-blue", "user"}, {"shop-green", "user"}}
		}
		for world, p := range worlds {
			t.Run(name+" in "+world, func(t *testing.T) {
				t.Parallel()
				build := func(t *testing.T) portstest.ColoursFixture {
					srv, c := s.build(t, p[0], p[1])
					return portstest.ColoursFixture{
						RouterFixture: s.fixture(srv, s.make(t, c, split(p[0], p[1])), p[0], p[1]),
						Back:          func(t *testing.T) stages.Router { return s.make(t, c, split(p[1], p[0])) },
					}
				}
				portstest.RouterColours(t, build)
				if name == "HTTPRoute" && p[0].name != p[1].name || name == "Ingress" {
					portstest.Router(t, func(t *testing.T) portstest.RouterFixture { return build(t).RouterFixture })
				}
			})
		}
	}
}
