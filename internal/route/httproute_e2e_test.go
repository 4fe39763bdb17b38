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
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// realWorld puts the objects of the tests into a fresh namespace, attached to
// the Gateway of the cluster that KUBECONFIG names.
func realWorld(t *testing.T, rules string) (*kube.Cluster, string) {
	t.Helper()
	c, err := kube.New(kube.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ns := fmt.Sprintf("route-e2e-%d", time.Now().UnixNano()%1e10)
	text := strings.NewReplacer("RULES", rules, "{name: web, sectionName: tls}", "", "{name: web}", "{name: "+cmp.Or(os.Getenv("HEADGATE_TEST_GATEWAY_NAME"), "headgate")+", namespace: default}",
		"namespace: shop}", "}", "namespace: shop,", "", "shop.example", ns+".example", "replicas: 1", "replicas: 0").Replace(world)
	us := append(kubetest.Objects(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", ns)), kubetest.Objects(t, text)...)
	for _, u := range us {
		if u.GetKind() != "Namespace" {
			u.SetNamespace(ns)
		}
		if _, err := c.Create(t.Context(), resource(u), u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), resource(us[0]), us[0], false); err != nil {
			t.Error(err)
		}
	})
	return c, ns
}

func resource(u *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := u.GroupVersionKind()
	return gvk.GroupVersion().WithResource(strings.ToLower(gvk.Kind) + "s")
}

func TestE2EHTTPRouteConforms(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	for name, rules := range map[string]string{"plain": plainRules, "mixed": strings.ReplaceAll(mixedRules, "namespace: shop, ", "")} {
		t.Run(name, func(t *testing.T) {
			portstest.Router(t, func(t *testing.T) portstest.RouterFixture { return realFixture(t, rules) })
		})
	}
}

func realFixture(t *testing.T, rules string) portstest.RouterFixture {
	c, ns := realWorld(t, rules)
	r, err := route.NewHTTPRoute(c, route.Settings{Route: "user", Split: stages.Split{Old: stages.Track{Workload: stages.Workload{Namespace: ns, Name: "user"}, Name: stages.Stable}}})
	if err != nil {
		t.Fatal(err)
	}
	httpRoutes := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	get := func(t *testing.T) *unstructured.Unstructured {
		u, err := c.Get(t.Context(), httpRoutes, ns, "user")
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	edit := func(t *testing.T, change func(u *unstructured.Unstructured)) {
		for {
			u := get(t)
			change(u)
			if _, err := c.Update(t.Context(), httpRoutes, u, kube.Write{}); err == nil {
				return
			} else if !kube.IsConflict(err) {
				t.Fatal(err)
			}
		}
	}
	return portstest.RouterFixture{
		Router: r,
		State: func(t *testing.T) string {
			b, err := yaml.Marshal(get(t).Object["spec"])
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		},
		SetByOther: func(t *testing.T, w float64) {
			edit(t, func(u *unstructured.Unstructured) { setShare(u, int64(w)) })
		},
		EditByOther: func(t *testing.T) {
			edit(t, func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedStringSlice(u.Object, []string{"www." + ns + ".example"}, "spec", "hostnames")
			})
		},
		RemoveCanary: func(t *testing.T) {
			u := &unstructured.Unstructured{}
			u.SetNamespace(ns)
			u.SetName("user-canary")
			if err := c.Delete(t.Context(), schema.GroupVersionResource{Version: "v1", Resource: "services"}, u, false); err != nil {
				t.Fatal(err)
			}
		},
		Fractions: true,
		Patience:  30 * time.Second,
	}
}
