package kube_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/stages/portstest"
)

const app = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop, labels: {app: NAME}}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, tier: backend}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: NAME
        image: r.example/NAME:1
        ports: [{containerPort: 8000, name: http}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: http}]
`

func objects(t *testing.T, name string) []*unstructured.Unstructured {
	return kubetest.Objects(t, strings.ReplaceAll(app, "NAME", name))
}

func run(id string) pipeline.Info { return pipeline.Info{ID: id, Pipeline: "user-service"} }

// fate makes the fates readable in the images of tests.
func fate(image string) kubetest.Fate {
	switch {
	case strings.Contains(image, "gone"):
		return kubetest.NoImage
	case strings.Contains(image, "crash"):
		return kubetest.Crashes
	case strings.Contains(image, "stuck"):
		return kubetest.NeverReady
	}
	return kubetest.Fine
}

func TestPlatformConforms(t *testing.T) { portstest.Platform(t, fixture) }

func TestPlatformRestores(t *testing.T) { portstest.Restorer(t, fixture) }

func TestPlatformHasColours(t *testing.T) { portstest.Colours(t, fixture) }

func TestPlatformScales(t *testing.T) { portstest.Scaler(t, fixture) }

const scalerOf = `
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: NAME, namespace: shop}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}, minReplicas: 1, maxReplicas: 5, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}], behavior: {scaleDown: {stabilizationWindowSeconds: 60}}}}`

// colourApp is a workload of two colours, with a Service of their own and one
// that has the traffic.
const colourApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-blue, namespace: shop, labels: {app: web, version: blue}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web, version: blue}}
  template:
    metadata: {labels: {app: web, version: blue}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: r.example/user:1
        ports: [{containerPort: 8000, name: http}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web, version: blue}
  ports: [{port: 80, targetPort: http}]
`

var (
	blue  = stages.Track{Workload: stages.Workload{Namespace: "shop", Name: "web-blue"}, Peer: stages.Workload{Namespace: "shop", Name: "web-green"}, Name: stages.Blue}
	green = stages.Track{Workload: blue.Peer, Peer: blue.Workload, Name: stages.Green}
)

func fixture(t *testing.T) portstest.PlatformFixture {
	s, c := kubetest.New(t, slices.Concat(objects(t, "user"), objects(t, "scaled"), kubetest.Objects(t, colourApp), kubetest.Objects(t, strings.ReplaceAll(scalerOf, "NAME", "scaled")))...)
	s.With(func() { s.Fate = fate })
	var first []json.RawMessage
	for _, u := range append(objects(t, "fresh"), kubetest.Objects(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: fresh-config}, data: {a: b}}")...) {
		b, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, b)
	}
	p := c.Platform(kube.Settings{})
	for _, track := range []stages.Track{stable, blue, {Workload: stages.Workload{Namespace: "shop", Name: "scaled"}, Name: stages.Stable}} {
		if err := p.AwaitReady(t.Context(), track, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	return portstest.PlatformFixture{
		Platform: p,
		Workload: stages.Workload{Namespace: "shop", Name: "user"},
		Replicas: 2,
		Old:      stages.Release{Image: "r.example/user:1", Run: run("0")},
		New:      stages.Release{Image: "r.example/user@sha256:2", Run: run("1")},
		Broken:   stages.Release{Image: "r.example/user@sha256:gone", Run: run("1")},
		Missing:  stages.Workload{Namespace: "shop", Name: "fresh"},
		First:    stages.Release{Image: "r.example/fresh@sha256:1", Manifests: first, Run: run("1")},
		Running: func(_ *testing.T, tr stages.Track, image string) int {
			return s.Ready(tr.Workload.Namespace, deployment(tr), image)
		},
		State:    func(*testing.T) string { return strings.Join(s.Names(), "\n") },
		Patience: 20 * time.Second,
		Blue:     blue,
		Green:    green,
		Scaled:   stages.Workload{Namespace: "shop", Name: "scaled"},
	}
}

func deployment(t stages.Track) string {
	if t.Name != stages.Canary {
		return t.Workload.Name
	}
	return kube.CanaryName(t.Workload.Name)
}

// bubble runs a test in virtual time, on a server with one workload.
func bubble(t *testing.T, test func(t *testing.T, s *kubetest.Server, p *kube.Platform)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, c := kubetest.New(t, objects(t, "user")...)
		s.With(func() { s.Fate = fate })
		test(t, s, c.Platform(kube.Settings{}))
	})
}

var (
	user   = stages.Workload{Namespace: "shop", Name: "user"}
	canary = stages.Track{Workload: user, Name: stages.Canary}
	stable = stages.Track{Workload: user, Name: stages.Stable}
)

func release(image string) stages.Release {
	return stages.Release{Image: "r.example/user@sha256:" + image, Run: run("1")}
}

func TestNotReadySaysWhyAndWhen(t *testing.T) {
	cases := []struct {
		image, code, cause string
		within             time.Duration
	}{
		{"gone", kube.ImagePull, "not found", time.Second},
		{"crash", kube.CrashLoop, "exit code 1", time.Second},
		{"stuck", kube.NotPassing, "GET :http/ready", 2*time.Minute + 5*time.Second},
	}
	for _, c := range cases {
		t.Run(c.image, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *kubetest.Server, p *kube.Platform) {
				s.With(func() { s.Log = "starting\npanic: no database\n" })
				if err := p.SetTrack(t.Context(), canary, release(c.image), 1); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				err := p.AwaitReady(t.Context(), canary, 1, func(line string) { t.Log(time.Since(began), line) })
				nr, ok := errors.AsType[*stages.NotReadyError](err)
				if !ok || nr.Code != c.code || !strings.Contains(nr.Cause, c.cause) {
					t.Errorf("got %#v, want code %s and %q", err, c.code, c.cause)
				}
				if c.code == kube.CrashLoop && !strings.Contains(fmt.Sprint(err), "panic: no database") {
					t.Errorf("got %v, want the last log line in it", err)
				}
				if d := time.Since(began); d > c.within {
					t.Errorf("it took %s, want at most %s", d, c.within)
				}
			})
		})
	}
}
