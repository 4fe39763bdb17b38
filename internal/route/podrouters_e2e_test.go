//go:build e2e

package route_test

import (
	"cmp"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
	"github.com/headgate-dev/headgate/test/nginx"
)

// alive are the objects of a namespace of the cluster.
func alive(c *kube.Cluster, namespace string) podObjects {
	gvr := func(resource string) schema.GroupVersionResource {
		if resource == "deployments" {
			return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: resource}
		}
		return schema.GroupVersionResource{Version: "v1", Resource: resource}
	}
	get := func(t *testing.T, resource, name string) *unstructured.Unstructured {
		u, err := c.Get(t.Context(), gvr(resource), namespace, name)
		if kube.IsNotFound(err) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	return podObjects{
		get: get,
		edit: func(t *testing.T, resource, name string, change func(u *unstructured.Unstructured)) {
			for {
				u := get(t, resource, name)
				change(u)
				if _, err := c.Update(t.Context(), gvr(resource), u, kube.Write{}); err == nil {
					return
				} else if !kube.IsConflict(err) {
					t.Fatal(err)
				}
			}
		},
		remove: func(t *testing.T, resource, name string) {
			if u := get(t, resource, name); u != nil {
				if err := c.Delete(t.Context(), gvr(resource), u, false); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}

// realPods makes a world of the unit tests in a namespace of its own, with
// pods that run.
func realPods(t *testing.T, c *kube.Cluster, text, image string) string {
	t.Helper()
	ns := testNamespace(t, c)
	create(t, c, ns, strings.NewReplacer("namespace: web", "namespace: "+ns, "r.example/user:1", image,
		"spec: {containers:", "spec: {terminationGracePeriodSeconds: 1, containers:").Replace(text))
	return ns
}

func podImage(t *testing.T) string {
	t.Helper()
	image, err := nginx.Image(t.Context(), cmp.Or(os.Getenv("HEADGATE_TEST_REGISTRY"), "localhost:5000"))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestE2EServiceConforms(t *testing.T) {
	c := e2eCluster(t)
	image := podImage(t)
	build := func(t *testing.T) portstest.ColoursFixture {
		ns := realPods(t, c, switchWorld, image)
		awaitReady(t, c, ns, "user-blue")
		awaitReady(t, c, ns, "user-green")
		blue, green := place{ns, "user-blue"}, place{ns, "user-green"}
		f := switchFixture(serviceSwitch(t, c, split(blue, green)), alive(c, ns))
		f.Patience = 90 * time.Second
		return portstest.ColoursFixture{
			RouterFixture: f,
			Back:          func(t *testing.T) stages.Router { return serviceSwitch(t, c, split(green, blue)) },
		}
	}
	portstest.Router(t, func(t *testing.T) portstest.RouterFixture { return build(t).RouterFixture })
	portstest.RouterColours(t, build)
}

func TestE2EReplicasConform(t *testing.T) {
	c := e2eCluster(t)
	image := podImage(t)
	portstest.Router(t, func(t *testing.T) portstest.RouterFixture {
		ns := realPods(t, c, replicasWorld, image)
		awaitReady(t, c, ns, "user")
		f := replicasFixture(t, c, image, ns, alive(c, ns))
		f.Patience = 2 * time.Minute
		return f
	})
}
