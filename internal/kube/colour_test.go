package kube_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// apart is a workload whose colours have a namespace each, with a database
// each.
const apart = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user-service-COLOUR, namespace: ecommerce-COLOUR, labels: {app: user-service, version: COLOUR}}
spec:
  replicas: 3
  selector: {matchLabels: {app: user-service, version: COLOUR}}
  template:
    metadata: {labels: {app: user-service, version: COLOUR}}
    spec:
      serviceAccountName: user-service
      containers:
      - name: user-service
        image: r.example/user-service:COLOUR-1
        ports: [{containerPort: 8000}]
        env:
        - {name: ENVIRONMENT, value: COLOUR}
        - {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: db-secret-COLOUR, key: url}}}
        envFrom: [{configMapRef: {name: common}}]
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: user-service, version: COLOUR}}}
---
apiVersion: v1
kind: Service
metadata: {name: user-service-COLOUR, namespace: ecommerce-COLOUR}
spec:
  selector: {app: user-service, version: COLOUR}
  ports: [{port: 80, targetPort: 8000}]
  type: ClusterIP
`

const greenSecret = `{apiVersion: v1, kind: Secret, metadata: {name: db-secret-green, namespace: ecommerce-green}, data: {url: Z3JlZW4=}}`

func inColour(colour, text string) string { return strings.ReplaceAll(text, "COLOUR", colour) }

var (
	apartBlue  = stages.Track{Workload: stages.Workload{Namespace: "ecommerce-blue", Name: "user-service-blue"}, Peer: stages.Workload{Namespace: "ecommerce-green", Name: "user-service-green"}, Name: stages.Blue}
	apartGreen = stages.Track{Workload: apartBlue.Peer, Peer: apartBlue.Workload, Name: stages.Green}
)

// told writes what there is of an object that a reader would look at.
func told(t *testing.T, u *unstructured.Unstructured) string {
	t.Helper()
	if u == nil {
		return "none\n"
	}
	for _, k := range []string{"uid", "resourceVersion", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(u.Object, "metadata", k)
	}
	delete(u.Object, "status")
	a := u.GetAnnotations()
	delete(a, "deployment.kubernetes.io/revision")
	u.SetAnnotations(a)
	unstructured.RemoveNestedField(u.Object, "spec", "clusterIP")
	b, err := yaml.Marshal(u.Object)
	if err != nil {
		t.Fatal(err)
	}
	return "---\n" + string(b)
}

func TestColourMadeFromItsPeer(t *testing.T) {
	cases := []struct {
		name, world string
		track       stages.Track
		manifests   string
	}{
		{name: "apart, with a secret of its own", world: inColour("blue", apart) + "\n---\n" + greenSecret, track: apartGreen},
		{name: "apart, without", world: inColour("blue", apart), track: apartGreen},
		{name: "side by side", world: colourApp, track: green},
		{name: "side by side, and a Service that would select both", world: strings.Replace(colourApp, "  selector: {app: web, version: blue}\n  ports", "  selector: {app: web}\n  ports", 1), track: green},
		{name: "labels without a colour", world: strings.ReplaceAll(colourApp, ", version: blue}", "}"), track: green},
		{name: "from the peer's manifest", world: colourApp, track: green, manifests: strings.Replace(colourApp, "spec:\n      terminationGracePeriodSeconds: 1", "spec:\n      terminationGracePeriodSeconds: 9", 1)},
	}
	var b strings.Builder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, cl := kubetest.New(t, kubetest.Objects(t, c.world)...)
			p := cl.Platform(kube.Settings{})
			r := stages.Release{Image: "r.example/user-service@sha256:2", Container: "", Run: run("1")}
			if c.track == green {
				r = release("2")
			}
			if c.manifests != "" {
				r.Manifests = manifestsOf(t, c.manifests)
			}
			fmt.Fprintf(&b, "# %s\n", c.name)
			plan, err := p.PlanTrack(t.Context(), c.track, r, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range plan {
				fmt.Fprintln(&b, w.Summary)
			}
			if err := p.SetTrack(t.Context(), c.track, r, 3); err != nil {
				t.Fatal(err)
			}
			for _, res := range []string{"deployments", "services"} {
				b.WriteString(told(t, s.Get(res, c.track.Workload.Namespace, c.track.Workload.Name)))
			}
			b.WriteByte('\n')
		})
	}
	golden.Equal(t, "colour.txt", []byte(b.String()))
}

// TestOnlyTheIdleColourIsApplied releases to green with the manifests of both
// colours and of what is around them.
func TestOnlyTheIdleColourIsApplied(t *testing.T) {
	front := `{apiVersion: v1, kind: Service, metadata: {name: web-front, namespace: shop}, spec: {selector: {app: web, version: blue}, ports: [{port: 80, targetPort: http}]}}`
	proxy := `{apiVersion: v1, kind: ConfigMap, metadata: {name: nginx-config, namespace: shop}, data: {nginx.conf: live}}`
	greenApp := strings.ReplaceAll(strings.ReplaceAll(colourApp, "blue", "green"), "{name: web, namespace", "{name: web-green, namespace")
	for _, name := range []string{"green is there", "green is missing"} {
		t.Run(name, func(t *testing.T) {
			world := colourApp + "\n---\n" + front + "\n---\n" + proxy
			if name == "green is there" {
				world += "\n---\n" + greenApp
			}
			s, c := kubetest.New(t, kubetest.Objects(t, world)...)
			r := release("2")
			changed := strings.NewReplacer("replicas: 2", "replicas: 7", "containerPort: 8000", "containerPort: 8001").Replace(colourApp + "\n---\n" + greenApp)
			r.Manifests = manifestsOf(t, changed+"\n---\n"+strings.Replace(front, "blue", "green", 1)+"\n---\n"+strings.Replace(proxy, "live", "file", 1))
			if err := c.Platform(kube.Settings{}).SetTrack(t.Context(), green, r, 2); err != nil {
				t.Fatal(err)
			}
			for _, w := range s.Writes() {
				if !strings.HasSuffix(w, "/web-green") {
					t.Errorf("written: %s", w)
				}
			}
			if n := specInt(s.Get("deployments", "shop", "web-green"), "replicas"); n != 2 {
				t.Errorf("green has %d replicas, want 2", n)
			}
		})
	}
}

func TestManifestsOfColours(t *testing.T) {
	both := inColour("blue", apart) + "\n---\n" + inColour("green", apart)
	s, c := kubetest.New(t, kubetest.Objects(t, inColour("blue", apart))...)
	p := c.Platform(kube.Settings{})
	r := stages.Release{Image: "r.example/user-service@sha256:2", Manifests: manifestsOf(t, both), Run: run("1")}
	if err := p.SetTrack(t.Context(), apartGreen, r, 3); err != nil {
		t.Fatal(err)
	}
	if w := s.Writes(); slices.ContainsFunc(w, func(w string) bool { return strings.Contains(w, "blue") }) {
		t.Errorf("written: %v", w)
	}
	r.Run = run("2")
	r.Manifests = manifestsOf(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: else}}`)
	if err := p.SetTrack(t.Context(), apartGreen, r, 3); err == nil || !strings.Contains(err.Error(), "no Deployment named user-service-green") {
		t.Errorf("got %v, want that the colour is not in the manifests", err)
	}
	r.Manifests = manifestsOf(t, strings.Replace(inColour("green", apart), "namespace: ecommerce-green", "namespace: prod", 1))
	if err := p.SetTrack(t.Context(), apartGreen, r, 3); err == nil || !strings.Contains(err.Error(), "is for namespace prod") {
		t.Errorf("got %v, want that the manifest is for another namespace", err)
	}
}

// TestColourWhoseReferencesMayNotBeRead: which database a colour uses is not
// guessed, and the permission that is missing is named.
func TestColourWhoseReferencesMayNotBeRead(t *testing.T) {
	s, c := kubetest.New(t, kubetest.Objects(t, inColour("blue", apart)+"\n---\n"+greenSecret)...)
	s.Denied = func(_, resource string) bool { return resource == "secrets" }
	p := c.Platform(kube.Settings{})
	r := stages.Release{Image: "r.example/user-service@sha256:2", Run: run("1")}
	_, err := p.PlanTrack(t.Context(), apartGreen, r, 3)
	if err == nil {
		t.Fatal("planned")
	}
	for _, want := range []string{"Secret db-secret-green", "instead of db-secret-blue", "get secrets in ecommerce-green"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); !ok || !strings.Contains(h.Hint(), `resources: ["secrets"], verbs: [get]`) {
		t.Errorf("%v has no hint that names the rule", err)
	}
	if err := p.SetTrack(t.Context(), apartGreen, r, 3); err == nil || len(s.Writes()) > 0 {
		t.Errorf("got %v, written %v, want a refusal", err, s.Writes())
	}
}

// TestPermissionsForAColourMadeFromItsPeersManifest: the manifests need not
// hold both colours.
func TestPermissionsForAColourMadeFromItsPeersManifest(t *testing.T) {
	_, c := kubetest.New(t)
	got, err := c.Platform(kube.Settings{}).ReleasePermissions(t.Context(), apartGreen,
		stages.Release{Manifests: manifestsOf(t, inColour("blue", apart)+"\n---\n"+greenSecret)})
	if err != nil || !slices.Contains(got, "patch secrets in ecommerce-green") || slices.Contains(got, "patch deployments.apps in ecommerce-blue") {
		t.Errorf("got %v and %v", got, err)
	}
}
