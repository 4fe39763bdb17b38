//go:build e2e

package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// goodImage returns an image of the example service, by tag and by digest,
// that the cluster can pull.
var goodImage = sync.OnceValues(func() ([2]string, error) {
	if tag, digest, ok := strings.Cut(os.Getenv("HEADGATE_TEST_IMAGE"), " "); ok {
		return [2]string{tag, digest}, nil
	}
	registry := os.Getenv("HEADGATE_TEST_REGISTRY")
	if registry == "" {
		return [2]string{}, fmt.Errorf("neither HEADGATE_TEST_IMAGE (by tag and by digest) nor HEADGATE_TEST_REGISTRY is set")
	}
	dir, err := os.MkdirTemp("", "headgate-kube-")
	if err != nil {
		return [2]string{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := "../../examples/ecommerce/user-service"
	tag := registry + "/kube-e2e/user-service:1"
	for _, args := range [][]string{
		{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "bin/user-service"), source},
		{"cp", filepath.Join(source, "Dockerfile"), dir},
		{"buildah", "bud", "-q", "--isolation", "chroot", "-t", tag, dir},
		{"buildah", "push", "-q", "--tls-verify=false", "--digestfile", filepath.Join(dir, "digest"), tag},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return [2]string{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	digest, err := os.ReadFile(filepath.Join(dir, "digest"))
	return [2]string{tag, registry + "/kube-e2e/user-service@" + strings.TrimSpace(string(digest))}, err
})

// realCluster returns access to the one that KUBECONFIG names, and a fresh
// namespace in it.
func realCluster(t *testing.T) (*kube.Cluster, string) {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	c, err := kube.New(kube.Config{})
	if err != nil {
		t.Fatal(err)
	}
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": fmt.Sprintf("kube-e2e-%d", time.Now().UnixNano()%1e10)}}}
	if u, err = c.Create(t.Context(), namespaces, u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), namespaces, u, false); err != nil {
			t.Error(err)
		}
	})
	return c, u.GetName()
}

const realApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, labels: {app: NAME}}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers:
      - name: NAME
        image: IMAGE
        ports: [{containerPort: 8000, name: http}]
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: http}]
`

func realObjects(t *testing.T, ns, name, image string) []*unstructured.Unstructured {
	us := kubetest.Objects(t, strings.NewReplacer("NAME", name, "IMAGE", image).Replace(realApp))
	for _, u := range us {
		u.SetNamespace(ns)
	}
	return us
}

func resourceOf(kind string) schema.GroupVersionResource {
	switch kind {
	case "Deployment":
		return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	case "HorizontalPodAutoscaler":
		return schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	case "HTTPRoute":
		return schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	}
	return schema.GroupVersionResource{Version: "v1", Resource: strings.ToLower(kind) + "s"}
}

// names lists what a user can see in a namespace.
func names(t *testing.T, c *kube.Cluster, ns string) string {
	t.Helper()
	var out []string
	for _, kind := range []string{"Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler"} {
		l, err := c.List(t.Context(), resourceOf(kind), ns, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range l.Items {
			if u.GetName() != "kube-root-ca.crt" {
				out = append(out, kind+"/"+u.GetName())
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// runningPods counts the ready pods of a Deployment that run an image.
func runningPods(t *testing.T, c *kube.Cluster, track stages.Track, image string) int {
	t.Helper()
	l, err := c.List(t.Context(), resourceOf("Pod"), track.Workload.Namespace, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, u := range l.Items {
		base, _ := u.Object["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["image"].(string)
		parts := strings.Split(u.GetName(), "-")
		ready := false
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range conditions {
			m, _ := c.(map[string]any)
			ready = ready || m["type"] == "Ready" && m["status"] == "True"
		}
		if ready && u.GetDeletionTimestamp() == nil && base == image && strings.Join(parts[:len(parts)-2], "-") == deployment(track) {
			n++
		}
	}
	return n
}

func TestE2EPlatformConforms(t *testing.T) { portstest.Platform(t, realFixture) }

func TestE2EPlatformRestores(t *testing.T) { portstest.Restorer(t, realFixture) }

func TestE2EPlatformHasColours(t *testing.T) {
	portstest.Colours(t, func(t *testing.T) portstest.PlatformFixture {
		f := realFixture(t)
		f.Blue = stages.Track{Workload: f.Workload, Peer: stages.Workload{Namespace: f.Workload.Namespace, Name: "user-green"}, Name: stages.Blue}
		f.Green = stages.Track{Workload: f.Blue.Peer, Peer: f.Workload, Name: stages.Green}
		return f
	})
}

func TestE2EPlatformScales(t *testing.T) {
	portstest.Scaler(t, func(t *testing.T) portstest.PlatformFixture {
		f := realFixture(t)
		c, err := kube.New(kube.Config{})
		if err != nil {
			t.Fatal(err)
		}
		u := kubetest.Objects(t, strings.ReplaceAll(scalerOf, "NAME", "user"))[0]
		u.SetNamespace(f.Workload.Namespace)
		if _, err := c.Create(t.Context(), resourceOf(u.GetKind()), u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
		f.Scaled, f.Workload = f.Workload, f.Missing // Which has no autoscaler.
		return f
	})
}

func realFixture(t *testing.T) portstest.PlatformFixture {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	images, err := goodImage()
	if err != nil {
		t.Skip(err)
	}
	c, ns := realCluster(t)
	for _, u := range realObjects(t, ns, "user", images[0]) {
		if _, err := c.Create(t.Context(), resourceOf(u.GetKind()), u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	p := c.Platform(kube.Settings{})
	w := stages.Workload{Namespace: ns, Name: "user"}
	if err := p.AwaitReady(t.Context(), stages.Track{Workload: w, Name: stages.Stable}, 2, nil); err != nil {
		t.Fatal(err)
	}
	var first []json.RawMessage
	for _, u := range append(realObjects(t, ns, "fresh", images[0]), kubetest.Objects(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: fresh-config}, data: {a: b}}")...) {
		b, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, b)
	}
	repository, _, _ := strings.Cut(images[1], "@")
	return portstest.PlatformFixture{
		Platform: p,
		Workload: w,
		Replicas: 2,
		Old:      stages.Release{Image: images[0], Run: run("0")},
		New:      stages.Release{Image: images[1], Run: run("1")},
		Broken:   stages.Release{Image: repository + "@sha256:" + strings.Repeat("0", 64), Run: run("1")},
		Missing:  stages.Workload{Namespace: ns, Name: "fresh"},
		First:    stages.Release{Image: images[1], Manifests: first, Run: run("1")},
		Running:  func(t *testing.T, tr stages.Track, image string) int { return runningPods(t, c, tr, image) },
		State:    func(t *testing.T) string { return names(t, c, ns) },
		Patience: time.Minute,
	}
}
