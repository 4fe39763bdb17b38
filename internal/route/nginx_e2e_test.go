//go:build e2e

package route_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
	"github.com/headgate-dev/headgate/test/nginx"
)

const nginxPods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 2
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: nginx
        image: IMAGE
        args: ARGS
        readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
        volumeMounts: [{name: config, mountPath: FOLDER}]
      volumes: [{name: config, configMap: {name: front}}]
`

// nginxShape is how the ConfigMap gets to nginx.
type nginxShape struct{ args, folder, key, before, after string }

func nginxShapes() map[string]nginxShape {
	return map[string]nginxShape{
		"main file": {`["-c", "/etc/headgate/nginx.conf", "-g", "daemon off;"]`, "/etc/headgate", "nginx.conf", "events {}\nhttp {\n", "}\n"},
		"included":  {`["-g", "daemon off;"]`, "/etc/nginx/conf.d", "shop.conf", "", ""},
	}
}

// config is one with a comment and quotes that must stay.
func (s nginxShape) config(new string) string {
	return s.before + "# upstream user { server user weight=7; }\nupstream user {\n    server user:80 max_fails=3; # the shop\n" + new +
		"}\nserver {\n    listen 80;\n    add_header X-From \"weight=1; {\";\n    location / { proxy_pass http://user; }\n}\n" + s.after
}

func testNamespace(t *testing.T, c *kube.Cluster) string {
	t.Helper()
	ns := fmt.Sprintf("pods-e2e-%d", time.Now().UnixNano()%1e10)
	u := kubetest.Objects(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", ns))[0]
	if _, err := c.Create(t.Context(), resource(u), u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), resource(u), u, false); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func create(t *testing.T, c *kube.Cluster, ns, text string) {
	t.Helper()
	for _, u := range kubetest.Objects(t, text) {
		u.SetNamespace(ns)
		if _, err := c.Create(t.Context(), resource(u), u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitReady waits until a Deployment has as many ready pods as it wants.
func awaitReady(t *testing.T, c *kube.Cluster, ns, name string) {
	t.Helper()
	var last *unstructured.Unstructured
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		u, err := c.Get(t.Context(), schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, ns, name)
		if err != nil {
			t.Fatal(err)
		}
		want, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
		ready, _, _ := unstructured.NestedInt64(u.Object, "status", "readyReplicas")
		if last = u; ready == want {
			return
		}
	}
	t.Fatalf("%s is not ready: %v", name, last.Object["status"])
}

func e2eCluster(t *testing.T) *kube.Cluster {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	c, err := kube.New(kube.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestE2ENginxConforms(t *testing.T) {
	c := e2eCluster(t)
	image, err := nginx.Image(t.Context(), cmp.Or(os.Getenv("HEADGATE_TEST_REGISTRY"), "localhost:5000"))
	if err != nil {
		t.Fatal(err)
	}
	for name, shape := range nginxShapes() {
		t.Run(name, func(t *testing.T) {
			portstest.Router(t, func(t *testing.T) portstest.RouterFixture { return nginxFixture(t, c, shape, image) })
		})
	}
}

func nginxFixture(t *testing.T, c *kube.Cluster, shape nginxShape, image string) portstest.RouterFixture {
	ns := testNamespace(t, c)
	create(t, c, ns, strings.ReplaceAll(nginxServices, "namespace: shop", "namespace: "+ns))
	u := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{shape.key: shape.config("")}}}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetName("front")
	u.SetNamespace(ns)
	if _, err := c.Create(t.Context(), resource(u), u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
	create(t, c, ns, strings.NewReplacer("IMAGE", image, "ARGS", shape.args, "FOLDER", shape.folder).Replace(nginxPods))
	awaitReady(t, c, ns, "front")
	r, err := route.NewNginx(c, route.Settings{Route: "front", Split: stages.Split{Old: stages.Track{Workload: stages.Workload{Namespace: ns, Name: "user"}, Name: stages.Stable}}})
	if err != nil {
		t.Fatal(err)
	}
	maps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	text := func(t *testing.T) string {
		u, err := c.Get(t.Context(), maps, ns, "front")
		if err != nil {
			t.Fatal(err)
		}
		s, _, _ := unstructured.NestedString(u.Object, "data", shape.key)
		return s
	}
	edit := func(t *testing.T, change func(string) string) {
		u, err := c.Get(t.Context(), maps, ns, "front")
		if err != nil {
			t.Fatal(err)
		}
		s, _, _ := unstructured.NestedString(u.Object, "data", shape.key)
		_ = unstructured.SetNestedField(u.Object, change(s), "data", shape.key)
		if _, err := c.Update(t.Context(), maps, u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	return portstest.RouterFixture{
		Router: r, State: text,
		SetByOther: func(t *testing.T, w float64) { edit(t, func(s string) string { return otherWeight(s, int(w)) }) },
		EditByOther: func(t *testing.T) {
			edit(t, func(s string) string { return strings.Replace(s, "listen 80;", "listen 80 default_server;", 1) })
		},
		RemoveCanary: func(t *testing.T) {
			u := &unstructured.Unstructured{}
			u.SetNamespace(ns)
			u.SetName("user-canary")
			if err := c.Delete(t.Context(), schema.GroupVersionResource{Version: "v1", Resource: "services"}, u, false); err != nil {
				t.Fatal(err)
			}
		},
		Fractions: true, Patience: 90 * time.Second,
	}
}
