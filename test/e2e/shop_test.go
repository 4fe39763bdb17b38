//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/test/story"
)

// shop is one test's copy of the example: a namespace with the service in its
// old version behind the Gateway, and a pipeline file.
type shop struct {
	t    *testing.T
	ns   string
	host string
	dir  string
}

// newShop starts the example with so many replicas.
func newShop(t *testing.T, replicas int) *shop {
	t.Helper()
	s := openShop(t)
	for _, file := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		for _, u := range s.read(file) {
			if u.GetKind() == "Deployment" {
				s.set(u, int64(replicas), "spec", "replicas")
			}
			s.create(u)
		}
	}
	s.await("the old version is ready", time.Minute, func() bool {
		d := s.get("Deployment", "user-service")
		ready, _, _ := unstructured.NestedInt64(d.Object, "status", "readyReplicas")
		return ready == int64(replicas)
	})
	s.await("the route answers", 20*time.Second, func() bool { return s.send(20).Failed == 0 })
	return s
}

// openShop makes the namespace and copies the manifests for it.
func openShop(t *testing.T) *shop {
	t.Helper()
	name := "e2e-" + strings.ToLower(strings.Map(func(r rune) rune {
		if r == '/' || r == '_' {
			return '-'
		}
		return r
	}, strings.TrimPrefix(t.Name(), "Test")))
	if len(name) > 50 {
		name = name[:50]
	}
	s := &shop{t: t, ns: fmt.Sprintf("%s-%d", strings.Trim(name, "-"), time.Now().UnixMilli()%100000), dir: t.TempDir()}
	s.host = s.ns + ".localhost"
	if err := os.Mkdir(filepath.Join(s.dir, "deploy"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		b, err := os.ReadFile(filepath.Join(shared.root, "examples/ecommerce/deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("namespace: ecommerce", "namespace: "+s.ns, "shop.localhost", s.host,
			"localhost:5000/ecommerce/user-service:latest", shared.images["old"]).Replace(string(b))
		if err := os.WriteFile(filepath.Join(s.dir, "deploy", file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.create(object("v1", "Namespace", "", s.ns))
	secret := object("v1", "Secret", s.ns, "redis")
	s.set(secret, map[string]any{"url": s.podRedis()}, "stringData")
	s.create(secret)
	t.Cleanup(func() {
		ns := s.client("Namespace")
		_ = ns.Delete(context.Background(), s.ns, metav1.DeleteOptions{})
	})
	return s
}

// podRedis is the address of Redis as pods reach it: where it listens on this
// machine's loopback, that is the node's address.
func (s *shop) podRedis() string {
	s.t.Helper()
	list, err := s.client("Node").List(s.t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		s.t.Fatalf("list nodes: %v", err)
	}
	addresses, _, _ := unstructured.NestedSlice(list.Items[0].Object, "status", "addresses")
	for _, a := range addresses {
		if a := a.(map[string]any); a["type"] == "InternalIP" {
			return strings.Replace(shared.redis, "127.0.0.1", a["address"].(string), 1)
		}
	}
	return shared.redis
}

func object(version, kind, ns, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(version)
	u.SetKind(kind)
	u.SetNamespace(ns)
	u.SetName(name)
	return u
}

func (s *shop) read(file string) []*unstructured.Unstructured {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "deploy", file))
	if err != nil {
		s.t.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), 4096); ; {
		u := &unstructured.Unstructured{}
		err := d.Decode(u)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, u)
	}
}

func (s *shop) set(u *unstructured.Unstructured, v any, path ...string) {
	s.t.Helper()
	if err := unstructured.SetNestedField(u.Object, v, path...); err != nil {
		s.t.Fatal(err)
	}
}

var groups = map[string]schema.GroupKind{
	"Namespace": {Kind: "Namespace"}, "Node": {Kind: "Node"}, "Secret": {Kind: "Secret"}, "Service": {Kind: "Service"}, "Pod": {Kind: "Pod"}, "ResourceQuota": {Kind: "ResourceQuota"}, "ConfigMap": {Kind: "ConfigMap"},
	"Deployment": {Group: "apps", Kind: "Deployment"}, "ReplicaSet": {Group: "apps", Kind: "ReplicaSet"},
	"HorizontalPodAutoscaler": {Group: "autoscaling", Kind: "HorizontalPodAutoscaler"},
	"NetworkPolicy":           {Group: "networking.k8s.io", Kind: "NetworkPolicy"},
	"HTTPRoute":               {Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"},
}

func (s *shop) client(kind string) dynamic.ResourceInterface {
	s.t.Helper()
	m, err := shared.mapper.RESTMapping(groups[kind])
	if err != nil {
		s.t.Fatal(err)
	}
	all := shared.client.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameRoot {
		return all
	}
	return all.Namespace(s.ns)
}

func (s *shop) create(u *unstructured.Unstructured) {
	s.t.Helper()
	if _, err := s.client(u.GetKind()).Create(s.t.Context(), u, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) get(kind, name string) *unstructured.Unstructured {
	s.t.Helper()
	u, err := s.client(kind).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *shop) await(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited %s in vain until %s", limit, what)
		}
	}
}

// load begins to send requests to the shop's users' path.
func (s *shop) load(c load.Config) *load.Load {
	s.t.Helper()
	c.URL, c.Host = shared.gateway+"/profile/{n}", s.host
	if c.Count == 0 {
		c.For = 5 * time.Minute // an end in any case; tests stop it themselves
	}
	l, err := load.Start(context.WithoutCancel(s.t.Context()), c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Stop() })
	return l
}

func (s *shop) send(n int) load.Report {
	l := s.load(load.Config{Rate: 200, Count: n, Timeout: 2 * time.Second})
	<-l.Done()
	return l.Stop()
}

// weight is what the route gives the canary, in percent of all.
func (s *shop) weight() float64 {
	s.t.Helper()
	rules, _, _ := unstructured.NestedSlice(s.get("HTTPRoute", "user-service").Object, "spec", "rules")
	var canary, all float64
	for _, r := range rules {
		refs, _, _ := unstructured.NestedSlice(r.(map[string]any), "backendRefs")
		for _, ref := range refs {
			b := ref.(map[string]any)
			w := 1.0
			if n, ok := b["weight"].(int64); ok {
				w = float64(n)
			}
			all += w
			if strings.HasSuffix(b["name"].(string), "-canary") {
				canary += w
			}
		}
	}
	return 100 * canary / all
}

// image is that of the user's Deployment.
func (s *shop) image() string {
	s.t.Helper()
	containers, _, _ := unstructured.NestedSlice(s.get("Deployment", "user-service").Object, "spec", "template", "spec", "containers")
	return containers[0].(map[string]any)["image"].(string)
}

// spec is an object's specification as JSON, to compare.
func (s *shop) spec(kind, name string) string {
	s.t.Helper()
	b, err := json.Marshal(s.get(kind, name).Object["spec"])
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// leftovers are the things that only a release in progress has, but for those
// that are on their way out.
func (s *shop) leftovers() []string {
	s.t.Helper()
	out := s.canaries(func(u *unstructured.Unstructured) bool { return u.GetDeletionTimestamp() == nil })
	if s.weight() != 0 {
		out = append(out, fmt.Sprintf("weight %g", s.weight()))
	}
	return out
}

// canaries names the objects of the canary that ok holds of.
func (s *shop) canaries(ok func(u *unstructured.Unstructured) bool) []string {
	s.t.Helper()
	var out []string
	for _, kind := range []string{"Deployment", "Service", "ReplicaSet", "Pod"} {
		list, err := s.client(kind).List(s.t.Context(), metav1.ListOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range list.Items {
			if u := &list.Items[i]; strings.Contains(u.GetName(), "-canary") && ok(u) {
				out = append(out, kind+" "+u.GetName())
			}
		}
	}
	return out
}

// isOld and is check that a release left nothing but one version: what is
// still ending when the run is over ends by itself.
func (s *shop) isOld() { s.t.Helper(); s.is(story.Old) }

func (s *shop) is(release string) {
	s.t.Helper()
	if got := s.image(); got != shared.images[release] {
		s.t.Errorf("the Deployment has %s, want %s", got, shared.images[release])
	}
	if left := s.leftovers(); len(left) > 0 {
		s.t.Errorf("left over: %q", left)
	}
	s.await("the last pods of the canary have ended", 30*time.Second, func() bool {
		return len(s.canaries(func(*unstructured.Unstructured) bool { return true })) == 0
	})
}
