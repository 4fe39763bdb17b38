//go:build e2e

package route_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// realPlace is a set of fresh namespaces on a real cluster, in which the
// subjects of one suite are made anew for each case.
type realPlace struct {
	c  *kube.Cluster
	ns string // the route's
}

// newPlace makes the namespaces NS, NS-blue and NS-green, and lets routes of
// the first point at Services of the others.
func newPlace(t *testing.T) realPlace {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	p := realPlace{ns: fmt.Sprintf("route-e2e-%d", time.Now().UnixNano()%1e10)}
	c, err := kube.New(kube.Config{Namespace: p.ns})
	if err != nil {
		t.Fatal(err)
	}
	p.c = c
	for _, ns := range []string{p.ns, p.ns + "-blue", p.ns + "-green"} {
		u := kubetest.Objects(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+ns+"}}")[0]
		p.apply(t, u)
		t.Cleanup(func() {
			if err := c.Delete(context.Background(), resourceOf(u), u, false); err != nil {
				t.Error(err)
			}
		})
		if ns == p.ns {
			continue
		}
		p.apply(t, kubetest.Objects(t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: web, namespace: %s}
spec:
  from:
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: %s}
  - {group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: %s}
  to: [{group: "", kind: Service}]
`, ns, p.ns, p.ns))[0])
	}
	return p
}

func resourceOf(u *unstructured.Unstructured) schema.GroupVersionResource {
	gvr := resource(u)
	if strings.HasSuffix(gvr.Resource, "sss") { // ingresss
		gvr.Resource = strings.TrimSuffix(gvr.Resource, "s") + "es"
	}
	return gvr
}

// gvr is where a subject is found; VirtualServices in the older version, which
// is the only one that the tests define.
func (s subject) gvr(t *testing.T) schema.GroupVersionResource {
	gvr := resourceOf(kubetest.Objects(t, s.object)[0])
	if s.router == stages.IstioRouter {
		gvr.Version = "v1beta1"
	}
	return gvr
}

func (p realPlace) apply(t *testing.T, u *unstructured.Unstructured) {
	t.Helper()
	if _, err := p.c.Apply(t.Context(), resourceOf(u), u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
}

// definitions brings VirtualServices into a cluster that has none, and takes
// them out again.
func definitions(t *testing.T, c *kube.Cluster) {
	t.Helper()
	served := func(want bool) bool {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if v, err := c.Versions(context.Background(), "networking.istio.io"); err == nil && slices.Contains(v, "v1beta1") == want {
				return true
			}
		}
		return false
	}
	if v, err := c.Versions(t.Context(), "networking.istio.io"); err == nil && slices.Contains(v, "v1beta1") {
		return
	}
	b, err := os.ReadFile("testdata/virtualservice-crd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u := kubetest.Objects(t, string(b))[0]
	if u, err = c.Create(t.Context(), resourceOf(u), u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), resourceOf(u), u, false); err != nil {
			t.Error(err)
		}
		if !served(false) {
			t.Error("the definition of VirtualServices does not go")
		}
	})
	if !served(true) {
		t.Fatal("the definition of VirtualServices is not served")
	}
}

// clear removes the route of the case before.
func (p realPlace) clear(t *testing.T, s subject) {
	t.Helper()
	gvr := s.gvr(t)
	for _, name := range []string{"user", "user-canary"} {
		u := &unstructured.Unstructured{}
		u.SetNamespace(p.ns)
		u.SetName(name)
		if err := p.c.Delete(t.Context(), gvr, u, false); err != nil {
			t.Fatal(err)
		}
	}
}

// build makes the world of one case.
func (p realPlace) build(t *testing.T, s subject, old, next place) (at place, _ place) {
	t.Helper()
	p.clear(t, s)
	move := func(x place) place {
		return place{strings.NewReplacer("shop", p.ns, "web", p.ns).Replace(x.ns), x.name}
	}
	old, next = move(old), move(next)
	object := strings.NewReplacer("OLD", old.name, "NS", old.ns, "namespace: web", "namespace: "+p.ns,
		"{name: web, sectionName: tls}", "", "{name: web}", "{name: "+cmp.Or(os.Getenv("HEADGATE_TEST_GATEWAY_NAME"), "headgate")+", namespace: default}",
		"istio.io/v1\n", "istio.io/v1beta1\n").Replace(s.object)
	others := strings.ReplaceAll(strings.ReplaceAll(around(old, next), "namespace: web", "namespace: "+p.ns), "replicas: 1", "replicas: 0")
	for _, u := range kubetest.Objects(t, strings.TrimPrefix(others, "---\n")+"---"+object) {
		p.apply(t, u)
	}
	return old, next
}

func (p realPlace) router(t *testing.T, s subject, sp stages.Split, matches ...stages.Match) stages.Router {
	t.Helper()
	r, err := route.New(p.c, s.router, route.Settings{Namespace: p.ns, Route: "user", Split: sp, Matches: matches, Settle: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (p realPlace) fixture(t *testing.T, s subject, r stages.Router, old, next place) portstest.RouterFixture {
	gvr := s.gvr(t)
	edit := func(t *testing.T, name string, change func(u *unstructured.Unstructured)) {
		for {
			u, err := p.c.Get(t.Context(), gvr, p.ns, name)
			if err != nil {
				t.Fatal(err)
			}
			change(u)
			if _, err := p.c.Update(t.Context(), gvr, u, kube.Write{}); err == nil {
				return
			} else if !kube.IsConflict(err) {
				t.Fatal(err)
			}
		}
	}
	return portstest.RouterFixture{
		Router: r,
		State: func(t *testing.T) string {
			var out strings.Builder
			for _, name := range []string{"user", "user-canary"} {
				u, err := p.c.Get(t.Context(), gvr, p.ns, name)
				if kube.IsNotFound(err) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				b, err := yaml.Marshal(map[string]any{name: u.Object["spec"], "annotations": u.GetAnnotations()})
				if err != nil {
					t.Fatal(err)
				}
				out.Write(b)
			}
			return out.String()
		},
		SetByOther: func(t *testing.T, w float64) {
			if s.rules == nil {
				edit(t, "user-canary", func(u *unstructured.Unstructured) {
					annotate(u, "nginx.ingress.kubernetes.io/canary-weight", percents(w))
				})
				return
			}
			edit(t, "user", func(u *unstructured.Unstructured) { s.share(u, old.name, next.name, int64(w)) })
		},
		EditByOther: func(t *testing.T) {
			edit(t, "user", func(u *unstructured.Unstructured) { annotate(u, "example.com/edited", "yes") })
		},
		RemoveCanary: func(t *testing.T) {
			u := &unstructured.Unstructured{}
			u.SetNamespace(next.ns)
			u.SetName(next.name)
			if err := p.c.Delete(t.Context(), schema.GroupVersionResource{Version: "v1", Resource: "services"}, u, false); err != nil {
				t.Fatal(err)
			}
		},
		Fractions: true,
		Patience:  40 * time.Second,
	}
}

func TestE2ERoutersConform(t *testing.T) {
	p := newPlace(t)
	definitions(t, p.c)
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) {
			portstest.Router(t, func(t *testing.T) portstest.RouterFixture {
				old, next := p.build(t, s, place{"web", "user"}, place{"web", "user-canary"})
				return p.fixture(t, s, p.router(t, s, split(old, next)), old, next)
			})
		})
	}
}

func TestE2ERoutersMatch(t *testing.T) {
	p := newPlace(t)
	definitions(t, p.c)
	for name, s := range subjects() {
		t.Run(name, func(t *testing.T) {
			portstest.RouterMatches(t, func(t *testing.T) portstest.MatchesFixture {
				old, next := p.build(t, s, place{"web", "user"}, place{"web", "user-canary"})
				f := portstest.MatchesFixture{
					RouterFixture: p.fixture(t, s, p.router(t, s, split(old, next), s.match), old, next),
					Again:         func(t *testing.T) stages.Router { return p.router(t, s, split(old, next), s.match) },
				}
				f.Matched = func(t *testing.T) bool {
					state := f.State(t)
					return strings.Contains(state, "headgate-match-") || strings.Contains(state, "canary-by-header: x-canary")
				}
				f.Unmatch = func(t *testing.T) { p.unmatch(t, s) }
				return f
			})
		})
	}
}

func (p realPlace) unmatch(t *testing.T, s subject) {
	t.Helper()
	gvr := s.gvr(t)
	name := "user"
	if s.rules == nil {
		name = "user-canary"
	}
	for {
		u, err := p.c.Get(t.Context(), gvr, p.ns, name)
		if err != nil {
			t.Fatal(err)
		}
		s.strip(u)
		if _, err := p.c.Update(t.Context(), gvr, u, kube.Write{}); err == nil {
			return
		} else if !kube.IsConflict(err) {
			t.Fatal(err)
		}
	}
}

func TestE2ERoutersSwitchColours(t *testing.T) {
	p := newPlace(t)
	definitions(t, p.c)
	for name, s := range subjects() {
		worlds := map[string][2]place{"one namespace": {{"web", "user-blue"}, {"web", "user-green"}}}
		if s.rules != nil {
			worlds["two namespaces"] = [2]place{{"shop-blue", "user"}, {"shop-green", "user"}}
		}
		for world, at := range worlds {
			t.Run(name+" in "+world, func(t *testing.T) {
				portstest.RouterColours(t, func(t *testing.T) portstest.ColoursFixture {
					old, next := p.build(t, s, at[0], at[1])
					return portstest.ColoursFixture{
						RouterFixture: p.fixture(t, s, p.router(t, s, split(old, next)), old, next),
						Back:          func(t *testing.T) stages.Router { return p.router(t, s, split(next, old)) },
					}
				})
			})
		}
	}
}

// backend answers requests with its name, over HTTP/1 and over HTTP/2 without
// TLS, as servers of gRPC do; it returns its port.
func backend(t *testing.T, address, name string) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, Protocols: new(http.Protocols),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Proto", r.Proto)
			_, _ = io.WriteString(w, name)
		}),
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
	})
	addr, _ := l.Addr().(*net.TCPAddr)
	return addr.Port
}

// hostAddress is one of this machine's that the cluster's proxy reaches.
func hostAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback, which endpoints cannot have")
	return ""
}

// TestE2EMatchedRequestsReachTheNewTrack sends real requests through the
// cluster's Gateway, those for the GRPCRoute over HTTP/2 without TLS.
func TestE2EMatchedRequestsReachTheNewTrack(t *testing.T) {
	gateway := os.Getenv("HEADGATE_TEST_GATEWAY")
	if gateway == "" {
		t.Skip("HEADGATE_TEST_GATEWAY is not set")
	}
	p := newPlace(t)
	address := hostAddress(t)
	for _, name := range []string{"user", "user-canary"} {
		for _, u := range kubetest.Objects(t, fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s}, spec: {ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: %s, namespace: %s, labels: {kubernetes.io/service-name: %s}}, addressType: IPv4, ports: [{port: %d}], endpoints: [{addresses: [%s], conditions: {ready: true}}]}`,
			name, p.ns, name, p.ns, name, backend(t, address, name), address)) {
			p.apply(t, u)
		}
	}
	for _, k := range []struct {
		kind, router, path, proto string
		matches                   []stages.Match
		protocols                 func(*http.Protocols)
	}{
		{"HTTPRoute", stages.HTTPRouteRouter, "/", "HTTP/1.1", []stages.Match{
			{Header: text("x-canary"), Value: text("always")}, {Cookie: text("beta"), Value: text("a.b")},
		}, func(p *http.Protocols) { p.SetHTTP1(true) }},
		{"GRPCRoute", stages.GRPCRouteRouter, "/shop.Users/Get", "HTTP/2.0", []stages.Match{
			{Header: text("x-canary"), Value: text("always")},
		}, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
	} {
		t.Run(k.kind, func(t *testing.T) {
			host := strings.ToLower(k.kind) + "." + p.ns + ".example"
			p.apply(t, kubetest.Objects(t, fmt.Sprintf(`{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: user, namespace: %s}, spec: {parentRefs: [{name: %s, namespace: default}], hostnames: [%s], rules: [{backendRefs: [{name: user, port: 80}]}]}}`,
				k.kind, p.ns, cmp.Or(os.Getenv("HEADGATE_TEST_GATEWAY_NAME"), "headgate"), host))[0])
			r, err := route.New(p.c, k.router, route.Settings{
				Namespace: p.ns, Route: "user", Service: "user", Matches: k.matches,
				Split: stages.Split{Old: stages.Track{Workload: stages.Workload{Namespace: p.ns, Name: "user"}, Name: stages.Stable}},
			})
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{Protocols: new(http.Protocols)}
			k.protocols(transport.Protocols)
			defer transport.CloseIdleConnections()
			ask := func(header, value string) string {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway+k.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = host
				req.Header.Set("Content-Type", "application/grpc")
				if header != "" {
					req.Header.Set(header, value)
				}
				resp, err := transport.RoundTrip(req)
				if err != nil {
					return err.Error()
				}
				defer func() { _ = resp.Body.Close() }()
				b, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
				if got := resp.Header.Get("X-Proto"); resp.StatusCode == http.StatusOK && k.proto == "HTTP/2.0" && got != k.proto {
					t.Errorf("the backend was asked by %s", got)
				}
				return string(b)
			}
			becomes := func(header, value, want string) {
				t.Helper()
				got := ""
				for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if got = ask(header, value); got == want {
						return
					}
				}
				t.Errorf("%s %q: got %q, want %q", header, value, got, want)
			}
			before, err := r.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			becomes("", "", "user")
			if err := r.SetWeight(t.Context(), 0, 0); err != nil {
				t.Fatal(err)
			}
			becomes("X-Canary", "always", "user-canary")
			becomes("X-Canary", "never", "user")
			becomes("", "", "user")
			if len(k.matches) > 1 {
				for cookie, want := range map[string]string{
					"beta=a.b": "user-canary", "x=1; beta=a.b": "user-canary", "x=1; beta=a.b; y=2": "user-canary",
					"beta=aXb": "user", "abeta=a.b": "user", "beta=a.bc": "user",
				} {
					becomes("Cookie", cookie, want)
				}
			}
			if err := r.SetWeight(t.Context(), 0, 100); err != nil {
				t.Fatal(err)
			}
			becomes("", "", "user-canary")
			if err := r.Restore(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			becomes("X-Canary", "always", "user")
			becomes("", "", "user")
		})
	}
}
