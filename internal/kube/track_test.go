package kube_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// rich is a workload with all that a copy must not take along, or must take
// along changed.
const rich = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: user
  namespace: shop
  labels: {app: user, app.kubernetes.io/instance: shop, team: profile}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", argocd.argoproj.io/tracking-id: x, deployment.kubernetes.io/revision: "7", owner: profile}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: parent, uid: u}]
  finalizers: [example.com/keep]
spec:
  replicas: 3
  paused: true
  selector: {matchLabels: {app: user}, matchExpressions: [{key: app, operator: In, values: [user, other]}]}
  futureField: kept
  template:
    metadata: {labels: {app: user}, annotations: {prometheus.io/scrape: "true"}}
    spec:
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: user}}}]
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 1
            podAffinityTerm: {topologyKey: node, labelSelector: {matchExpressions: [{key: app, operator: In, values: [user]}]}}
        podAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: node, labelSelector: {matchLabels: {app: cache}}}
      containers: [{name: user, image: "r.example/user:1", ports: [{containerPort: 8000, name: http}]}, {name: proxy, image: "r.example/proxy:1"}]
status: {replicas: 3, observedGeneration: 4}
---
apiVersion: v1
kind: Service
metadata:
  name: user
  namespace: shop
  labels: {monitored: "yes"}
  annotations: {external-dns.alpha.kubernetes.io/hostname: shop.example, service.beta.kubernetes.io/aws-load-balancer-type: nlb, traefik.ingress.kubernetes.io/service.sticky.cookie: "true"}
spec:
  type: LoadBalancer
  clusterIP: 10.0.0.9
  clusterIPs: [10.0.0.9]
  externalTrafficPolicy: Local
  healthCheckNodePort: 31000
  loadBalancerIP: 192.0.2.1
  selector: {app: user}
  ports: [{port: 80, targetPort: http, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: user-admin, namespace: shop}
spec:
  selector: {app: user}
  ports: [{port: 80, targetPort: 9999}, {name: admin, port: 9000, targetPort: admin}]
`

func TestCanaryIsMadeFromStable(t *testing.T) {
	s, c := kubetest.New(t, kubetest.Objects(t, rich)...)
	r := stages.Release{Image: "r.example/user@sha256:2", Run: run("42")}
	if err := c.Platform(kube.Settings{}).SetTrack(t.Context(), canary, r, 1); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, res := range []string{"deployments", "services"} {
		u := s.Get(res, "shop", "user-canary")
		for _, k := range []string{"uid", "resourceVersion", "creationTimestamp", "generation"} {
			unstructured.RemoveNestedField(u.Object, "metadata", k)
		}
		delete(u.Object, "status")
		a := u.GetAnnotations()
		if a["headgate.dev/basis"] != "" {
			a["headgate.dev/basis"] = "checksum"
		}
		delete(a, "deployment.kubernetes.io/revision") // The controller's.
		u.SetAnnotations(a)
		unstructured.RemoveNestedField(u.Object, "spec", "clusterIP")
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n" + string(text))
	}
	golden.Equal(t, "canary.yaml", []byte(b.String()))
}

func TestForeignObjectsAreLeftAlone(t *testing.T) {
	for _, res := range []string{"deployments", "services"} {
		t.Run(res, func(t *testing.T) {
			var foreign *unstructured.Unstructured
			us := objects(t, "user")
			if foreign = us[0].DeepCopy(); res == "services" {
				foreign = us[1].DeepCopy()
			}
			foreign.SetName("user-canary")
			if res == "services" {
				_ = unstructured.SetNestedStringMap(foreign.Object, map[string]string{"app": "else"}, "spec", "selector")
			}
			s, c := kubetest.New(t, append(us, foreign)...)
			p := c.Platform(kube.Settings{})
			err := p.SetTrack(t.Context(), canary, release("2"), 1)
			if _, ok := errors.AsType[*kube.NotOursError](err); !ok {
				t.Errorf("SetTrack: got %v, want a NotOursError", err)
			}
			err = p.RemoveTrack(t.Context(), canary, false)
			if _, ok := errors.AsType[*kube.NotOursError](err); !ok {
				t.Errorf("RemoveTrack: got %v, want a NotOursError", err)
			}
			if w := s.Writes(); len(w) != 0 {
				t.Errorf("these writes were made: %v", w)
			}
		})
	}
}

func TestSomebodyElsesDeploymentIsNotOverwritten(t *testing.T) {
	s, c := kubetest.New(t, objects(t, "user")...)
	p := c.Platform(kube.Settings{})
	if err := p.SetTrack(t.Context(), canary, release("2"), 2); err != nil {
		t.Fatal(err)
	}
	s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) { // An autoscaler may.
		_ = unstructured.SetNestedField(u.Object, int64(5), "spec", "replicas")
	})
	if _, err := p.PlanTrack(t.Context(), stable, release("2"), -1); err != nil {
		t.Error(err)
	}
	s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(30), "spec", "minReadySeconds")
		_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{
			"manager": "kubectl-edit", "operation": "Update", "fieldsType": "FieldsV1",
			"fieldsV1": map[string]any{"f:spec": map[string]any{"f:minReadySeconds": map[string]any{}}},
		}}, "metadata", "managedFields")
	})
	err := p.SetTrack(t.Context(), stable, release("2"), -1)
	d, ok := errors.AsType[*stages.DriftError](err)
	if !ok || d.By != "kubectl-edit" {
		t.Errorf("got %v, want a DriftError that names kubectl-edit", err)
	}
}

func TestPromotionIsTriedAgainWhenOnlyTheStatusChanged(t *testing.T) {
	s, c := kubetest.New(t, objects(t, "user")...)
	n := 0
	s.With(func() {
		s.Before = func(_, _ string) {
			if n++; n <= 3 {
				s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
					u.Object["status"] = map[string]any{"replicas": int64(n)}
				})
			}
		}
	})
	if err := c.Platform(kube.Settings{}).SetTrack(t.Context(), stable, release("2"), -1); err != nil {
		t.Fatal(err)
	}
	// The fake's own controllers may get in between once more.
	if n < 4 {
		t.Errorf("%d writes were tried, want at least 4", n)
	}
}

// manifests of a release that brings a ConfigMap of its own and changes one.
func manifests(t *testing.T) []json.RawMessage {
	t.Helper()
	us := append(objects(t, "user")[:1], kubetest.Objects(t, `
{apiVersion: v1, kind: ConfigMap, metadata: {name: config-2}, data: {a: "2"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {a: "2"}}
---
{apiVersion: v1, kind: Service, metadata: {name: extra}, spec: {selector: {app: extra}, ports: [{port: 80}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: user}, spec: {rules: []}}`)...)
	_ = unstructured.SetNestedField(us[0].Object, int64(9), "spec", "replicas")
	_ = unstructured.SetNestedField(us[0].Object, "fast", "spec", "template", "metadata", "labels", "mode")
	var out []json.RawMessage
	for _, u := range us {
		b, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func releaseWorld(t *testing.T) (*kubetest.Server, *kube.Platform, stages.Release) {
	t.Helper()
	s, c := kubetest.New(t, append(objects(t, "user"), kubetest.Objects(t, `
{apiVersion: v1, kind: ConfigMap, metadata: {name: shared, namespace: shop}, data: {a: "1", b: "1"}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: user, namespace: shop}, spec: {rules: [{backendRefs: [{name: user, port: 80, weight: 7}]}]}}`)...)...)
	r := release("2")
	r.Manifests = manifests(t)
	return s, c.Platform(kube.Settings{}), r
}

func data(s *kubetest.Server, name string) string {
	u := s.Get("configmaps", "shop", name)
	if u == nil {
		return "gone"
	}
	v, _, _ := unstructured.NestedString(u.Object, "data", "a")
	return v
}

func TestConfigOfTheReleaseComesAndGoesWithTheCanary(t *testing.T) {
	s, p, r := releaseWorld(t)
	before := s.Names()
	if err := p.SetTrack(t.Context(), canary, r, 1); err != nil {
		t.Fatal(err)
	}
	if data(s, "config-2") != "2" || data(s, "shared") != "1" || s.Get("services", "shop", "extra") != nil {
		t.Errorf("config-2 is %s, shared is %s; want what pods may need and is missing, and nothing else: %v", data(s, "config-2"), data(s, "shared"), s.Names())
	}
	u := s.Get("deployments", "shop", "user-canary")
	if mode, _, _ := unstructured.NestedString(u.Object, "spec", "template", "metadata", "labels", "mode"); mode != "fast" {
		t.Error("the canary is not made from the manifest")
	}
	if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
		t.Fatal(err)
	}
	soon(t, s, before)
}

// soon waits until only the objects of those names are left.
func soon(t *testing.T, s *kubetest.Server, want []string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !slices.Equal(s.Names(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("left over: %v, want %v", s.Names(), want)
		}
	}
}

func TestPromotionAppliesTheManifestsAndKeepsThem(t *testing.T) {
	s, p, r := releaseWorld(t)
	if err := p.SetTrack(t.Context(), canary, r, 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.SetTrack(t.Context(), stable, r, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
		t.Fatal(err)
	}
	if data(s, "config-2") != "2" || data(s, "shared") != "2" || s.Get("services", "shop", "extra") == nil {
		t.Errorf("config-2 is %s, shared is %s, and there are %v", data(s, "config-2"), data(s, "shared"), s.Names())
	}
	u := s.Get("deployments", "shop", "user")
	if n, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); n != 2 {
		t.Errorf("stable has %d replicas, want the 2 that it had", n)
	}
	refs, _ := json.Marshal(s.Get("httproutes", "shop", "user").Object["spec"])
	if !strings.Contains(string(refs), `"weight":7`) {
		t.Errorf("the route was touched: %s", refs)
	}
}

// TestDeathInTheMiddleLeavesNothingBehind stops a canary with config after
// each of its writes, and then takes it away or goes on.
func TestDeathInTheMiddleLeavesNothingBehind(t *testing.T) {
	for stop := range 5 {
		s, p, r := releaseWorld(t)
		before := s.Names()
		n := 0
		s.With(func() {
			s.Denied = func(verb, _ string) bool {
				if verb == "create" || verb == "update" {
					n++
				}
				// The last turn gets through: an update that meets a
				// controller's is written again, so four may be five.
				return stop < 4 && n > stop && verb != "get" && verb != "list"
			}
		})
		err := p.SetTrack(t.Context(), canary, r, 1)
		s.With(func() { s.Denied = nil })
		if err == nil != (stop == 4) {
			t.Errorf("after %d writes: %v", stop, err)
		}
		if stop%2 == 0 { // Going on makes what is missing.
			if err := p.SetTrack(t.Context(), canary, r, 1); err != nil {
				t.Fatal(err)
			}
			if err := p.AwaitReady(t.Context(), canary, 1, nil); err != nil || data(s, "config-2") != "2" {
				t.Errorf("after %d writes, going on: %v, config-2 is %s", stop, err, data(s, "config-2"))
			}
		}
		if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
			t.Fatal(err)
		}
		soon(t, s, before)
	}
}

func TestReleasesThatMakeNoSense(t *testing.T) {
	cases := []struct {
		name string
		r    stages.Release
		w    stages.Workload
		err  string
	}{
		{"nothing live and no manifests", release("2"), stages.Workload{Namespace: "shop", Name: "none"}, "no manifests to make it from"},
		{"no such container", stages.Release{Image: "r/x@sha256:1", Container: "web"}, user, "there is no container web, only user"},
		{"manifests without the workload", stages.Release{Manifests: []json.RawMessage{[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`)}}, user, "no Deployment named user"},
		{"manifests for another namespace", stages.Release{Manifests: []json.RawMessage{[]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"user","namespace":"prod"}}`)}}, user, "is for namespace prod"},
		{"no object", stages.Release{Manifests: []json.RawMessage{[]byte(`[]`)}}, user, "read manifest 1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, cl := kubetest.New(t, objects(t, "user")...)
			for _, name := range []string{stages.Canary, stages.Stable} {
				err := cl.Platform(kube.Settings{}).SetTrack(t.Context(), stages.Track{Workload: c.w, Name: name}, c.r, 1)
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: got %v, want %q", name, err, c.err)
				}
			}
			if w := s.Writes(); len(w) != 0 {
				t.Errorf("these writes were made: %v", w)
			}
		})
	}
}

func TestResizedCanaryIsDrift(t *testing.T) {
	bubble(t, func(t *testing.T, s *kubetest.Server, p *kube.Platform) {
		if err := p.SetTrack(t.Context(), canary, release("2"), 1); err != nil {
			t.Fatal(err)
		}
		s.Edit("deployments", "shop", "user-canary", func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(u.Object, int64(4), "spec", "replicas")
		})
		err := p.AwaitReady(t.Context(), canary, 1, nil)
		if _, ok := errors.AsType[*stages.DriftError](err); !ok {
			t.Errorf("got %v, want a DriftError", err)
		}
	})
}

func TestReadinessIsSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, _ *kubetest.Server, p *kube.Platform) {
		if err := p.SetTrack(t.Context(), canary, release("2"), 2); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := p.AwaitReady(t.Context(), canary, 2, nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 150*time.Millisecond { // The controllers need up to 80 ms here.
			t.Errorf("it took %s", d)
		}
	})
}
