package route_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

const world = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: user}}
  template:
    metadata: {labels: {app: user}}
    spec: {containers: [{name: user, image: "r.example/user:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: user, namespace: shop}
spec: {selector: {app: user}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: user-canary, namespace: shop, annotations: {headgate.dev/run: "1"}}
spec: {selector: {app: user-canary}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec: {selector: {app: legacy}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: user, namespace: shop}
spec:
  parentRefs: [{name: web}, {name: web, sectionName: tls}]
  hostnames: [shop.example]
  rules:
RULES`

// The rules of the worlds: one backend, and one among others.
const (
	plainRules = `
  - name: all
    matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Via, value: gateway}]}}]
    timeouts: {request: 5s}
    backendRefs: [{name: user, port: 80}]
`
	mixedRules = `
  - matches: [{path: {type: PathPrefix, value: /old}}]
    backendRefs: [{name: legacy, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs:
    - {name: legacy, port: 80, weight: 1}
    - {name: user, port: 80, weight: 9, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-To, value: user}]}}]}
  - matches: [{headers: [{name: X-Test, value: "1"}]}]
    backendRefs: [{kind: Service, group: "", name: user, namespace: shop, port: 80}]
`
)

func newWorld(t *testing.T, rules string) (*kubetest.Server, *route.RuleRouter) {
	t.Helper()
	s, c := kubetest.New(t, kubetest.Objects(t, strings.Replace(world, "RULES", rules, 1))...)
	r, err := route.NewHTTPRoute(c, route.Settings{Route: "user", Split: stages.Split{Old: stages.Track{Workload: stages.Workload{Namespace: "shop", Name: "user"}, Name: stages.Stable}}})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func spec(t *testing.T, s *kubetest.Server) string {
	t.Helper()
	b, err := yaml.Marshal(s.Get("httproutes", "shop", "user").Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// setByOther gives the canary a share, in the manner of a person with kubectl.
func setByOther(s *kubetest.Server, weight int64) {
	s.Edit("httproutes", "shop", "user", func(u *unstructured.Unstructured) { setShare(u, weight) })
}

func setShare(u *unstructured.Unstructured, weight int64) {
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	for _, r := range rules {
		refs := r.(map[string]any)["backendRefs"].([]any)
		for _, b := range refs {
			switch ref := b.(map[string]any); ref["name"] {
			case "user":
				ref["weight"] = 100 - weight
			case "user-canary":
				ref["weight"] = weight
			}
		}
	}
	_ = unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
}

func TestHTTPRouteConforms(t *testing.T) {
	for name, rules := range map[string]string{"plain": plainRules, "mixed": mixedRules} {
		t.Run(name, func(t *testing.T) {
			portstest.Router(t, func(t *testing.T) portstest.RouterFixture {
				s, r := newWorld(t, rules)
				return portstest.RouterFixture{
					Router:     r,
					State:      func(t *testing.T) string { return spec(t, s) },
					SetByOther: func(_ *testing.T, w float64) { setByOther(s, int64(w)) },
					EditByOther: func(*testing.T) {
						s.Edit("httproutes", "shop", "user", func(u *unstructured.Unstructured) {
							_ = unstructured.SetNestedStringSlice(u.Object, []string{"shop.example", "www.shop.example"}, "spec", "hostnames")
						})
					},
					RemoveCanary: func(*testing.T) { s.Remove("services", "shop", "user-canary") },
					Fractions:    true,
					Patience:     20 * time.Second,
				}
			})
		})
	}
}

func TestOtherBackendsKeepTheirProportion(t *testing.T) {
	s, r := newWorld(t, mixedRules)
	for _, step := range [][2]float64{{0, 20}, {20, 0.5}, {0.5, 100}} {
		if err := r.SetWeight(t.Context(), step[0], step[1]); err != nil {
			t.Fatal(err)
		}
		rules, _, _ := unstructured.NestedSlice(s.Get("httproutes", "shop", "user").Object, "spec", "rules")
		var legacy, all int64
		for _, b := range rules[1].(map[string]any)["backendRefs"].([]any) {
			ref := b.(map[string]any)
			w := ref["weight"].(int64)
			if all += w; ref["name"] == "legacy" {
				legacy = w
			}
			if ref["name"] == "user-canary" && ref["filters"] == nil {
				t.Error("the canary's backend has lost the filters of stable's")
			}
		}
		if legacy*10 != all {
			t.Errorf("at %v the other backend has %d of %d, want a tenth", step[1], legacy, all)
		}
	}
}

func TestWriteWaitsForTheController(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		t.Run(fmt.Sprintf("quiet=%v", quiet), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r := newWorld(t, plainRules)
				s.With(func() { s.Quiet = quiet })
				began := time.Now()
				if err := r.SetWeight(t.Context(), 0, 20); err != nil {
					t.Fatal(err)
				}
				// A controller that says for which generation is believed at
				// once, another one only after conditions have stayed.
				d := time.Since(began)
				if quiet != (d >= 2*time.Second) || d > 3*time.Second {
					t.Errorf("it took %s", d)
				}
			})
		})
	}
}

func TestUnresolvedBackendIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newWorld(t, plainRules)
		s.Remove("services", "shop", "user-canary")
		time.Sleep(time.Second) // The route as it was has been accepted.
		err := r.SetWeight(t.Context(), 0, 20)
		if err == nil || !strings.Contains(err.Error(), "Service user-canary not found") {
			t.Errorf("got %v, want the controller's reason", err)
		}
	})
}

func TestConflictIsTriedAgainAndDriftIsNot(t *testing.T) {
	s, r := newWorld(t, plainRules)
	n := 0
	s.With(func() {
		s.Before = func(_, _ string) {
			if n++; n == 1 { // Faster than us, in a part that is not ours.
				s.Edit("httproutes", "shop", "user", func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"a": "b"}) })
			}
		}
	})
	if err := r.SetWeight(t.Context(), 0, 20); err != nil {
		t.Fatal(err)
	}
	if n < 2 { // or more: the fake gateway writes its status meanwhile
		t.Errorf("%d writes were tried, want another", n)
	}
	n = 0
	s.With(func() {
		s.Before = func(_, _ string) {
			if n++; n == 1 {
				setByOther(s, 77)
			}
		}
	})
	err := r.SetWeight(t.Context(), 20, 40)
	if err == nil || !strings.Contains(err.Error(), "it is 77%, where this run left 20%") {
		t.Errorf("got %v, want the drift", err)
	}
}

func TestSnapshotIsEnoughToRestore(t *testing.T) {
	s, c := kubetest.New(t, kubetest.Objects(t, strings.Replace(world, "RULES", mixedRules, 1))...)
	r, err := route.NewHTTPRoute(c, route.Settings{Route: "user", Split: stages.Split{Old: stages.Track{Workload: stages.Workload{Name: "user"}, Name: stages.Stable}}})
	if err != nil {
		t.Fatal(err)
	}
	before := spec(t, s)
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 0, 60); err != nil {
		t.Fatal(err)
	}
	s.Remove("deployments", "shop", "user") // Not even the workload is needed.
	again, err := route.FromSnapshot(c, was)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	if got := spec(t, s); got != before {
		t.Errorf("the route is\n%s\nwant\n%s", got, before)
	}
}

func TestRulesThatLookAlikeAreNotMixedUp(t *testing.T) {
	s, r := newWorld(t, `
  - backendRefs: [{name: user, port: 80, weight: 3}]
  - backendRefs: [{name: user, port: 80, weight: 5}]
`)
	before := spec(t, s)
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 0, 60); err != nil {
		t.Fatal(err)
	}
	s.Edit("httproutes", "shop", "user", func(u *unstructured.Unstructured) { // The first rule is no longer what it was.
		rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
		rules[0].(map[string]any)["name"] = "first"
		_ = unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
	})
	if err := r.Restore(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("weight: 3", "weight: 100\n  name: first").Replace(before)
	if got := spec(t, s); got != want {
		t.Errorf("the route is\n%s\nwant\n%s", got, want)
	}
}

func TestRestoreKeepsRulesOfOthers(t *testing.T) {
	s, r := newWorld(t, plainRules)
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetWeight(t.Context(), 0, 60); err != nil {
		t.Fatal(err)
	}
	s.Edit("httproutes", "shop", "user", func(u *unstructured.Unstructured) {
		rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
		added := map[string]any{"backendRefs": []any{map[string]any{"name": "legacy", "port": int64(80)}}}
		mine := rules[0].(map[string]any)
		mine["backendRefs"] = append(mine["backendRefs"].([]any), map[string]any{"name": "legacy", "port": int64(80), "weight": int64(5)})
		_ = unstructured.SetNestedSlice(u.Object, []any{added, mine}, "spec", "rules")
	})
	if err := r.Restore(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	got := spec(t, s)
	if strings.Contains(got, "user-canary") || strings.Count(got, "legacy") != 2 || !strings.Contains(got, "weight: 100") {
		t.Errorf("the route is\n%s\nwant no canary, stable with all weight, and both edits", got)
	}
}

func TestCheckFindsEverythingAtOnce(t *testing.T) {
	s, r := newWorld(t, mixedRules)
	synced := func() bool {
		_, ok := s.Get("httproutes", "shop", "user").Object["status"]
		return ok
	}
	for !synced() {
		time.Sleep(5 * time.Millisecond)
	}
	check := func() string {
		found, err := r.Check(t.Context(), stages.RolloutCheck{Workload: stages.Workload{Namespace: "shop", Name: "user"}})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range found {
			out = append(out, fmt.Sprintf("%v %s", f.Warning, f.Message))
		}
		return strings.Join(out, "\n")
	}
	if got := check(); got != "" {
		t.Errorf("a good route has findings:\n%s", got)
	}
	s.With(func() {
		s.Denied = func(verb, resource string) bool { return resource == "httproutes" && verb != "get" }
	})
	if got := check(); !strings.Contains(got, "may not list, watch, update httproutes.gateway.networking.k8s.io in shop") {
		t.Errorf("missing permissions are not all named:\n%s", got)
	}
	s.With(func() { s.Denied = nil })
	setByOtherWithCanary(s)
	if got := check(); !strings.Contains(got, "gives") {
		t.Errorf("a left-over canary is not found:\n%s", got)
	}
	s.Remove("httproutes", "shop", "user")
	if got := check(); !strings.Contains(got, "there is no HTTPRoute user") {
		t.Errorf("a missing route is not found:\n%s", got)
	}
}

func setByOtherWithCanary(s *kubetest.Server) {
	s.Edit("httproutes", "shop", "user", func(u *unstructured.Unstructured) {
		rules := []any{map[string]any{"backendRefs": []any{
			map[string]any{"name": "user", "port": int64(80), "weight": int64(1)},
			map[string]any{"name": "user-canary", "port": int64(80), "weight": int64(1)},
		}}}
		_ = unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
	})
}
