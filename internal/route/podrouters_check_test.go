package route_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
)

// podWorld are two colours in one namespace, a Service that selects blue, and
// an nginx in front.
const podWorld = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: blue, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: user, colour: blue}}
  template:
    metadata: {labels: {app: user, colour: blue}}
    spec: {containers: [{name: user, image: "r.example/user:1", ports: [{name: http, containerPort: 8000}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: green, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: user, colour: green}}
  template:
    metadata: {labels: {app: user, colour: green}}
    spec: {containers: [{name: user, image: "r.example/user:1", ports: [{name: http, containerPort: 8000}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: blue, namespace: shop}
spec: {clusterIP: 10.0.0.2, selector: {app: user, colour: blue}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: green, namespace: shop}
spec: {clusterIP: 10.0.0.3, selector: {app: user, colour: green}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: front, namespace: shop}
data:
  nginx.conf: "events {}\nhttp { upstream user { server blue:80 weight=100; server green:80 down; } server { listen 80; } }\n"
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      containers: [{name: nginx, image: "nginx:1", volumeMounts: [{name: config, mountPath: /etc/headgate}]}]
      volumes: [{name: config, configMap: {name: front}}]
`

func podSplit() stages.Split {
	blue, green := stages.Workload{Namespace: "shop", Name: "blue"}, stages.Workload{Namespace: "shop", Name: "green"}
	return stages.Split{
		Old: stages.Track{Workload: blue, Name: stages.Blue, Peer: green},
		New: stages.Track{Workload: green, Name: stages.Green, Peer: blue},
	}
}

// fakeNginx answers for the programs of a pod whose file is the ConfigMap's.
type fakeNginx struct {
	t      *testing.T
	server *kubetest.Server
	// refuses is what nginx -t says, noShell that the image has none, none that
	// no nginx runs.
	refuses       string
	noShell, none bool
}

func (f *fakeNginx) run(_ context.Context, e kube.Exec) ([]byte, error) {
	switch {
	case f.noShell:
		return nil, fmt.Errorf(`exec: "sh": executable file not found in $PATH`)
	case len(e.Args) == 5 && strings.Contains(e.Args[2], "/proc/"):
		file, _, _ := unstructured.NestedString(f.server.Get("configmaps", "shop", "front").Object, "data", "nginx.conf")
		if f.none {
			return []byte("file\n" + file), nil
		}
		return []byte("1 (nginx) S 0 1\nnginx: master process nginx -c /etc/headgate/nginx.conf\x00\n8 (nginx) S 1 1\nnginx: worker process\x00\nfile\n" + file), nil
	case slices.Contains(e.Args, "/etc/headgate"):
		if f.refuses != "" {
			return nil, &kube.ExecError{Pod: e.Pod, Program: "sh", Code: 1, Stderr: "nginx: " + f.refuses}
		}
		return nil, nil
	}
	f.t.Errorf("unexpected program %q", e.Args)
	return nil, nil
}

// config gives the ConfigMap another text.
func config(from, to string) func(*kubetest.Server, *fakeNginx) {
	return func(s *kubetest.Server, _ *fakeNginx) {
		s.Edit("configmaps", "shop", "front", func(u *unstructured.Unstructured) {
			text, _, _ := unstructured.NestedString(u.Object, "data", "nginx.conf")
			_ = unstructured.SetNestedField(u.Object, strings.Replace(text, from, to, 1), "data", "nginx.conf")
		})
	}
}

// field changes a field of an object.
func field(resource, name, path string, value any) func(*kubetest.Server, *fakeNginx) {
	return func(s *kubetest.Server, _ *fakeNginx) {
		s.Edit(resource, "shop", name, func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(u.Object, value, strings.Split(path, ".")...)
		})
	}
}

// mounted gives nginx another way to get at the ConfigMap.
func mounted(mount map[string]any) func(*kubetest.Server, *fakeNginx) {
	return func(s *kubetest.Server, _ *fakeNginx) {
		s.Edit("deployments", "shop", "front", func(u *unstructured.Unstructured) {
			cs, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
			cs[0].(map[string]any)["volumeMounts"] = []any{mount}
			_ = unstructured.SetNestedSlice(u.Object, cs, "spec", "template", "spec", "containers")
		})
	}
}

// unmounted lets nginx mount another ConfigMap.
func unmounted(s *kubetest.Server, _ *fakeNginx) {
	s.Edit("deployments", "shop", "front", func(u *unstructured.Unstructured) {
		other := map[string]any{"name": "config", "configMap": map[string]any{"name": "other"}}
		_ = unstructured.SetNestedSlice(u.Object, []any{other}, "spec", "template", "spec", "volumes")
	})
}

// awaitNginx waits until there is a pod of nginx as its Deployment has it, and
// no other.
func awaitNginx(t *testing.T, s *kubetest.Server, c *kube.Cluster) {
	t.Helper()
	want, _, _ := unstructured.NestedMap(s.Get("deployments", "shop", "front").Object, "spec", "template", "spec")
	shape := func(spec map[string]any) string {
		return fmt.Sprint(strings.Contains(yamlOf(spec), "subPath"), yamlOf(spec["volumes"]))
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l, err := c.List(t.Context(), schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "shop", metav1.ListOptions{LabelSelector: "app=front"})
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Items) == 1 && shape(l.Items[0].Object["spec"].(map[string]any)) == shape(want) {
			return
		}
	}
	t.Fatal("nginx does not start")
}

func denied(resource string) func(*kubetest.Server, *fakeNginx) {
	return func(s *kubetest.Server, _ *fakeNginx) {
		s.With(func() { s.Denied = func(_, r string) bool { return r == resource } })
	}
}

func removed(resource, name string) func(*kubetest.Server, *fakeNginx) {
	return func(s *kubetest.Server, _ *fakeNginx) { s.Remove(resource, "shop", name) }
}

// TestChecksOfRoutersOfPods: what each refuses, with what to do about it.
func TestChecksOfRoutersOfPods(t *testing.T) {
	kept := "true connections that clients of Service blue keep open stay with the old pods"
	ratio := "true kept connections stay on the pods that they are on"
	for _, c := range []struct {
		name, router string
		set          route.Settings
		change       func(*kubetest.Server, *fakeNginx)
		want         []string
	}{
		{name: "a good nginx", router: stages.NginxRouter},
		{name: "no exec", router: stages.NginxRouter, change: denied("pods/exec"), want: []string{"false the account may not create pods/exec in shop"}},
		{name: "no ConfigMap", router: stages.NginxRouter, change: removed("configmaps", "front"), want: []string{"false there is no ConfigMap front in namespace shop"}},
		{name: "another upstream", router: stages.NginxRouter, set: route.Settings{Upstream: "cart"}, want: []string{"false nginx shop/front has no block upstream cart"}},
		{name: "two upstreams", router: stages.NginxRouter, change: config("http {", "http { upstream other { server blue:80; server green:80 down; }"), want: []string{"several upstream blocks with servers of the tracks (other, user)"}},
		{name: "a third server", router: stages.NginxRouter, change: config("server green", "server legacy:80; server green"), want: []string{"server legacy:80, which is of neither track"}},
		{name: "no configuration", router: stages.NginxRouter, change: config("} server", "server"), want: []string{"false read nginx shop/front, key nginx.conf"}},
		{name: "immutable", router: stages.NginxRouter, change: field("configmaps", "front", "immutable", true), want: []string{"false the ConfigMap of nginx shop/front is immutable"}},
		{name: "weight=0", router: stages.NginxRouter, change: config("down", "weight=0"), want: []string{"false upstream user of nginx shop/front has a server with weight=0"}},
		{name: "neither", router: stages.NginxRouter, change: config("weight=100", "down"), want: []string{"false nginx shop/front: neither track has any weight"}},
		{name: "half way", router: stages.NginxRouter, change: config("down", "weight=100"), want: []string{"false nginx shop/front gives 50% of its traffic to Service shop/green already"}},
		{name: "ip_hash", router: stages.NginxRouter, change: config("upstream user {", "upstream user { ip_hash;"), want: []string{"true upstream user of nginx shop/front keeps each user on one server (ip_hash)"}},
		{name: "headless", router: stages.NginxRouter, change: field("services", "green", "spec.clusterIP", "None"), want: []string{"false Service shop/green is headless"}},
		{name: "subPath", router: stages.NginxRouter, change: mounted(map[string]any{"name": "config", "mountPath": "/etc/headgate/nginx.conf", "subPath": "nginx.conf"}), want: []string{"mounts the ConfigMap of nginx shop/front with subPath"}},
		{name: "nobody mounts it", router: stages.NginxRouter, change: unmounted, want: []string{"false no running pod mounts the ConfigMap of nginx shop/front"}},
		{name: "nginx refuses it", router: stages.NginxRouter, change: func(_ *kubetest.Server, f *fakeNginx) { f.refuses = `[emerg] unknown directive "bogus"` }, want: []string{`refuses the configuration: [emerg] unknown directive "bogus"`}},
		{name: "no shell", router: stages.NginxRouter, change: func(_ *kubetest.Server, f *fakeNginx) { f.noShell = true }, want: []string{"executable file not found"}},
		{name: "no process", router: stages.NginxRouter, change: func(_ *kubetest.Server, f *fakeNginx) { f.none = true }, want: []string{"false no nginx runs in container nginx of pod front-"}},

		{name: "a good Service", router: stages.ServiceRouter, want: []string{kept}},
		{name: "no update of it", router: stages.ServiceRouter, change: denied("services"), want: []string{"false the account may not get, update services in shop"}},
		{name: "no Service", router: stages.ServiceRouter, change: removed("services", "blue"), want: []string{"false there is no Service blue in namespace shop"}},
		{name: "a mere name", router: stages.ServiceRouter, change: func(s *kubetest.Server, f *fakeNginx) {
			field("services", "blue", "spec.type", "ExternalName")(s, f)
			field("services", "blue", "spec.externalName", "shop.example")(s, f)
		}, want: []string{"false Service blue is only a name for shop.example"}},
		{name: "no selector", router: stages.ServiceRouter, change: field("services", "blue", "spec.selector", map[string]any{}), want: []string{"false Service blue has no selector"}},
		{name: "both colours", router: stages.ServiceRouter, change: field("services", "blue", "spec.selector", map[string]any{"app": "user"}), want: []string{kept, "false service shop/blue: Service blue selects the pods of both tracks (app=user)"}},
		{name: "neither colour", router: stages.ServiceRouter, change: field("services", "blue", "spec.selector", map[string]any{"app": "cart"}), want: []string{kept, "false service shop/blue: its selector app=cart selects neither track"}},
		{name: "switched already", router: stages.ServiceRouter, change: field("services", "blue", "spec.selector", map[string]any{"colour": "green"}), want: []string{kept, "false service shop/blue selects the pods of"}},
		{name: "no such port", router: stages.ServiceRouter, change: func(s *kubetest.Server, _ *fakeNginx) {
			s.Edit("services", "shop", "blue", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"port": int64(80), "targetPort": "web"}}, "spec", "ports")
			})
		}, want: []string{kept, `false Service blue sends to port "web", which the pods of deployment blue`, `false Service blue sends to port "web", which the pods of deployment green`}},
		{name: "affinity", router: stages.ServiceRouter, change: field("services", "blue", "spec.sessionAffinity", "ClientIP"), want: []string{"true Service blue keeps each client on one pod", kept}},
		{name: "headless Service", router: stages.ServiceRouter, change: field("services", "blue", "spec.clusterIP", "None"), want: []string{"true Service blue is headless", kept}},

		{name: "good replicas", router: stages.ReplicasRouter, want: []string{ratio}},
		{name: "no list of autoscalers", router: stages.ReplicasRouter, change: denied("horizontalpodautoscalers"), want: []string{"false the account may not list horizontalpodautoscalers.autoscaling in shop"}},
		{name: "no pods", router: stages.ReplicasRouter, change: field("deployments", "blue", "spec.replicas", int64(0)), want: []string{"false replicas shop/blue: no track is to have a pod", ratio}},
		{name: "no Service of its own", router: stages.ReplicasRouter, change: removed("services", "blue"), want: []string{"false replicas shop/blue cannot be split: no Service selects the pods"}},
		{name: "no such Service", router: stages.ReplicasRouter, set: route.Settings{Service: "users"}, want: []string{"false there is no Service users in namespace shop"}},
		{name: "another Service", router: stages.ReplicasRouter, set: route.Settings{Service: "green"}, want: []string{"false Service green does not select the pods of shop/blue", ratio}},
		{name: "affinity of replicas", router: stages.ReplicasRouter, change: field("services", "blue", "spec.sessionAffinity", "ClientIP"), want: []string{"true Service blue keeps each client on one pod", ratio}},
		{name: "an autoscaler", router: stages.ReplicasRouter, change: func(s *kubetest.Server, _ *fakeNginx) {
			s.Put(kubetest.Objects(t, "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: auto, namespace: shop}, spec: {scaleTargetRef: {kind: Deployment, name: blue}, maxReplicas: 9}}")[0])
		}, want: []string{ratio, "false HorizontalPodAutoscaler auto changes the number of pods of shop/blue"}},
	} {
		t.Run(c.router+" "+c.name, func(t *testing.T) {
			t.Parallel()
			s, cluster := kubetest.New(t, kubetest.Objects(t, podWorld)...)
			f := &fakeNginx{t: t, server: s}
			if c.change != nil {
				c.change(s, f)
			}
			c.set.Namespace, c.set.Split = "shop", podSplit()
			switch c.router {
			case stages.NginxRouter:
				c.set.Route = "front"
				awaitNginx(t, s, cluster)
			case stages.ServiceRouter:
				c.set.Route = "blue"
			default:
				c.set.Split.New = stages.Track{Workload: c.set.Split.Old.Workload, Name: stages.Canary}
				c.set.Split.Old = stages.Track{Workload: c.set.Split.Old.Workload, Name: stages.Stable}
			}
			r, err := route.New(cluster.WithExec(f.run), c.router, c.set)
			if err != nil {
				t.Fatal(err)
			}
			found, err := r.(stages.Checker).Check(t.Context(), stages.RolloutCheck{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range found {
				got = append(got, fmt.Sprintf("%v %s", x.Warning, x.Message))
				if x.Hint == "" && !x.Warning {
					t.Errorf("%q does not say what to do", x.Message)
				}
			}
			ok := len(got) == len(c.want)
			for i := range got {
				ok = ok && strings.Contains(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if w := s.Writes(); len(w) > 0 {
				t.Errorf("a check has written %q", w)
			}
		})
	}
}
