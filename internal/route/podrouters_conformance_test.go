package route_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

// switchWorld are two colours and a Service that selects blue.
const switchWorld = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user-blue, namespace: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: user, colour: blue}}
  template:
    metadata: {labels: {app: user, colour: blue}}
    spec: {containers: [{name: user, image: "r.example/user:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: user-green, namespace: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: user, colour: green}}
  template:
    metadata: {labels: {app: user, colour: green}}
    spec: {containers: [{name: user, image: "r.example/user:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: user, namespace: web}
spec: {selector: {app: user, colour: blue}, ports: [{name: http, port: 80, targetPort: 8000}]}
`

// podObjects reads and changes objects of a world, fake or real, as somebody
// else does.
type podObjects struct {
	get    func(t *testing.T, resource, name string) *unstructured.Unstructured // nil where there is none
	edit   func(t *testing.T, resource, name string, change func(u *unstructured.Unstructured))
	remove func(t *testing.T, resource, name string)
}

// faked are the objects of a namespace of the fake API.
func faked(s *kubetest.Server, namespace string) podObjects {
	return podObjects{
		get: func(_ *testing.T, resource, name string) *unstructured.Unstructured {
			return s.Get(resource, namespace, name)
		},
		edit: func(_ *testing.T, resource, name string, change func(u *unstructured.Unstructured)) {
			s.Edit(resource, namespace, name, change)
		},
		remove: func(_ *testing.T, resource, name string) { s.Remove(resource, namespace, name) },
	}
}

// edited is the annotation of somebody who has nothing to do with routes.
func edited(u *unstructured.Unstructured) { annotate(u, "example.com/edited", "yes") }

// switchFixture is that of a Service between two colours.
func switchFixture(r stages.Router, o podObjects) portstest.RouterFixture {
	return portstest.RouterFixture{
		Router: r,
		State: func(t *testing.T) string {
			u := o.get(t, "services", "user")
			selector, _, err := unstructured.NestedStringMap(u.Object, "spec", "selector")
			if err != nil {
				t.Fatal(err)
			}
			ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
			return yamlOf(map[string]any{"selector": selector, "ports": ports, "annotations": u.GetAnnotations()})
		},
		SetByOther: func(t *testing.T, _ float64) {
			o.edit(t, "services", "user", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedStringMap(u.Object, map[string]string{"app": "maintenance"}, "spec", "selector")
			})
		},
		EditByOther:  func(t *testing.T) { o.edit(t, "services", "user", edited) },
		RemoveCanary: func(t *testing.T) { o.remove(t, "deployments", "user-green") },
		AllOrNothing: true,
	}
}

func serviceSwitch(t *testing.T, c *kube.Cluster, s stages.Split) stages.Router {
	t.Helper()
	r, err := route.New(c, stages.ServiceRouter, route.Settings{Route: "user", Split: s})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServiceConforms(t *testing.T) {
	t.Parallel()
	blue, green := place{"web", "user-blue"}, place{"web", "user-green"}
	build := func(t *testing.T) portstest.ColoursFixture {
		s, c := kubetest.New(t, kubetest.Objects(t, switchWorld)...)
		f := switchFixture(serviceSwitch(t, c, split(blue, green)), faked(s, "web"))
		f.Patience = 20 * time.Second
		return portstest.ColoursFixture{
			RouterFixture: f,
			Back:          func(t *testing.T) stages.Router { return serviceSwitch(t, c, split(green, blue)) },
		}
	}
	portstest.Router(t, func(t *testing.T) portstest.RouterFixture { return build(t).RouterFixture })
	portstest.RouterColours(t, build)
}

// replicasSize is how many pods the workload of [replicasFixture] has.
const replicasSize = 5

// replicasFixture is that of a Service with the pods of two tracks behind it.
func replicasFixture(t *testing.T, c *kube.Cluster, image, namespace string, o podObjects) portstest.RouterFixture {
	t.Helper()
	w := stages.Workload{Namespace: namespace, Name: "user"}
	canary := stages.Track{Workload: w, Name: stages.Canary}
	r, err := route.NewReplicas(c, route.Settings{Split: stages.Split{Old: stages.Track{Workload: w, Name: stages.Stable}, New: canary}})
	if err != nil {
		t.Fatal(err)
	}
	p := c.Platform(kube.Settings{})
	release := stages.Release{Image: image, Shared: true}
	release.Run.ID = "1"
	replicas := func(t *testing.T, name string) int64 {
		u := o.get(t, "deployments", name)
		if u == nil || u.GetDeletionTimestamp() != nil {
			return 0
		}
		n, _, err := unstructured.NestedInt64(u.Object, "spec", "replicas")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return portstest.RouterFixture{
		Router: r,
		State: func(t *testing.T) string {
			a := o.get(t, "deployments", "user").GetAnnotations()
			for k := range a {
				if strings.HasPrefix(k, "deployment.kubernetes.io/") {
					delete(a, k)
				}
			}
			return fmt.Sprintf("%d of the old track, with %v, and %d of the new one", replicas(t, "user"), a, replicas(t, "user-canary"))
		},
		SetByOther: func(t *testing.T, w float64) {
			o.edit(t, "deployments", "user", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(u.Object, int64(replicasSize*(100-w)/100), "spec", "replicas")
			})
		},
		EditByOther:  func(t *testing.T) { o.edit(t, "deployments", "user", edited) },
		RemoveCanary: func(t *testing.T) { o.remove(t, "deployments", "user-canary") },
		Size: func(t *testing.T, weight float64) {
			_, pods := r.Pods(weight, replicasSize)
			if pods == 0 {
				if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err := p.SetTrack(t.Context(), canary, release, pods); err != nil {
				t.Fatal(err)
			}
			if err := p.AwaitReady(t.Context(), canary, pods, func(string) {}); err != nil {
				t.Fatal(err)
			}
		},
		Fractions: true,
	}
}

// replicasWorld is a workload behind a Service.
var replicasWorld = fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: user, namespace: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: user}}
  template:
    metadata: {labels: {app: user}}
    spec: {containers: [{name: user, image: "r.example/user:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: user, namespace: web}
spec: {selector: {app: user}, ports: [{port: 80, targetPort: 8000}]}
`, replicasSize)

func TestReplicasConform(t *testing.T) {
	t.Parallel()
	portstest.Router(t, func(t *testing.T) portstest.RouterFixture {
		s, c := kubetest.New(t, kubetest.Objects(t, replicasWorld)...)
		f := replicasFixture(t, c, "r.example/user:2", "web", faked(s, "web"))
		f.Patience = 20 * time.Second
		return f
	})
}
