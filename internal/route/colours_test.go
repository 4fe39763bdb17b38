package route_test

import (
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// extra is a Service of the route's namespace.
func extra(t *testing.T, name, selector string) func(*kubetest.Server) {
	return func(s *kubetest.Server) {
		s.Put(kubetest.Objects(t, "{apiVersion: v1, kind: Service, metadata: {name: "+name+", namespace: web}, spec: {selector: "+selector+", ports: [{port: 80}]}}")[0])
	}
}

func TestServicesOfColoursAreFound(t *testing.T) {
	old, next := place{"web", "user-blue"}, place{"web", "user-green"}
	label := func(s *kubetest.Server) { // Both colours' pods carry it.
		for _, name := range []string{"user-blue", "user-green"} {
			u := s.Get("deployments", "web", name)
			labels, _ := u.Object["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"].(map[string]any)
			labels["part"] = "shop"
			s.Put(u)
		}
	}
	for _, c := range []struct {
		name   string
		change []func(*kubetest.Server)
		named  string // the new colour's own, in the file
		want   string // the new backend, or the error
	}{
		{name: "its own", want: "name: user-green"},
		{name: "not one that both colours are behind", change: []func(*kubetest.Server){label, extra(t, "all", "{part: shop}")}, want: "name: user-green"},
		{name: "not a preview beside one of its name", change: []func(*kubetest.Server){extra(t, "preview", "{app: user-green}")}, want: "name: user-green"},
		{name: "the only one, whatever its name", change: []func(*kubetest.Server){
			func(s *kubetest.Server) { s.Remove("services", "web", "user-green") }, extra(t, "verde", "{app: user-green}"),
		}, want: "name: verde"},
		{name: "no guess between two", change: []func(*kubetest.Server){
			func(s *kubetest.Server) { s.Remove("services", "web", "user-green") }, extra(t, "verde", "{app: user-green}"), extra(t, "preview", "{app: user-green}"),
		}, want: "several Services of its own (preview, verde); say which with the key service of green"},
		{name: "the one that is named", change: []func(*kubetest.Server){extra(t, "verde", "{app: user-green}")}, named: "verde", want: "name: verde"},
		{name: "one that will be made", change: []func(*kubetest.Server){
			func(s *kubetest.Server) { s.Remove("deployments", "web", "user-green") },
		}, want: "name: user-green"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := subjects()["HTTPRoute"]
			srv, cluster := s.build(t, old, next)
			for _, change := range c.change {
				change(srv)
			}
			sp := split(old, next)
			sp.New.Service = c.named
			r := s.make(t, cluster, sp)
			got := ""
			if plan, err := r.(stages.WeightPlanner).PlanWeight(t.Context(), 20); err != nil {
				got = err.Error()
			} else {
				got = plan.Diff
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant %s", got, c.want)
			}
		})
	}
}

// TestSettlingOfAnIngressDiesHalfWay: the user's Ingress is pointed at the new
// colour, and the canary Ingress is still there.
func TestSettlingOfAnIngressDiesHalfWay(t *testing.T) {
	old, next := place{"web", "user-blue"}, place{"web", "user-green"}
	half := func(t *testing.T) (*kubetest.Server, stages.Router, func() string, []byte) {
		s := subjects()["Ingress"]
		srv, cluster := s.build(t, old, next)
		r := s.make(t, cluster, split(old, next))
		state := func() string { return s.fixture(srv, r, old, next).State(t) }
		before, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SetWeight(t.Context(), 0, 100); err != nil {
			t.Fatal(err)
		}
		srv.With(func() { srv.Denied = func(verb, _ string) bool { return verb == "delete" } })
		if err := r.(stages.Settler).Settle(t.Context()); err == nil {
			t.Fatal("what cannot be removed is no error")
		}
		srv.With(func() { srv.Denied = nil })
		if w, err := r.Weight(t.Context()); w != 100 || err != nil {
			t.Errorf("half way the weight is %v, %v; want 100", w, err)
		}
		return srv, r, state, before
	}
	t.Run("and is put back", func(t *testing.T) {
		_, r, state, before := half(t)
		if err := r.Restore(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if got := state(); strings.Contains(got, "user-green") || strings.Contains(got, "user-canary") {
			t.Errorf("the Ingress is\n%s", got)
		}
	})
	t.Run("and goes on", func(t *testing.T) {
		srv, r, state, _ := half(t)
		if err := r.(stages.Settler).Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := state(); strings.Contains(got, "user-blue") || strings.Contains(got, "user-canary") {
			t.Errorf("the Ingress is\n%s", got)
		}
		want := []string{"create ingresses/user-canary", "update ingresses/user", "delete ingresses/user-canary"}
		if got := srv.Writes(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got the writes %q, want %q", got, want)
		}
	})
}
