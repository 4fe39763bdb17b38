package kube_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

func TestReleaseThatIsLiveIsKnown(t *testing.T) {
	changed := func(change func(v *values)) values {
		v := first
		change(&v)
		return v
	}
	for _, c := range []struct {
		name   string
		values values
		image  string
		edit   func(s *kubetest.Server)
		drain  int
		want   bool
	}{
		{name: "the same again", values: first, want: true},
		{name: "another size, as of an autoscaler", values: first, want: true, edit: func(s *kubetest.Server) {
			s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(u.Object, int64(7), "spec", "replicas")
			})
		}},
		{name: "another image", values: first, image: "2"},
		{name: "another drain", values: first, drain: 5},
		{name: "another ConfigMap", values: changed(func(v *values) { v.level = "debug" })},
		{name: "another Secret", values: changed(func(v *values) { v.password = "hunter3" })},
		{name: "another object under its own name", values: changed(func(v *values) { v.fixed = "2" })},
		{name: "another Service", values: changed(func(v *values) { v.port = "81" })},
		{name: "an edit of the workload by somebody", values: first, edit: func(s *kubetest.Server) {
			s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(u.Object, "frontend", "spec", "template", "metadata", "labels", "tier")
			})
		}},
		{name: "an object that is gone", values: first, edit: func(s *kubetest.Server) { s.Remove("secrets", "shop", "pull") }},
		{name: "a version that is gone", values: first, edit: func(s *kubetest.Server) {
			s.Remove("configmaps", "shop", versions(s, "configmaps", "settings")[0])
		}},
		{name: "a workload that is gone", values: first, edit: func(s *kubetest.Server) { s.Remove("deployments", "shop", "user") }},
		{name: "what may not be asked", values: first, edit: func(s *kubetest.Server) {
			s.With(func() {
				s.Denied = func(verb, resource string) bool { return verb == "update" && resource == "deployments" }
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p := live(t)
			if c.edit != nil {
				c.edit(s)
			}
			before := len(s.Writes())
			image := c.image
			if image == "" {
				image = "1"
			}
			r := of(image, "2", configuredAs(t, c.values))
			r.Drain = c.drain
			got, err := p.Unchanged(t.Context(), stable, r)
			if err != nil || got != c.want {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
			if w := s.Writes()[before:]; len(w) > 0 {
				t.Errorf("comparing wrote %q", w)
			}
		})
	}
}

// TestColourThatIsLiveIsKnown: the manifests hold one colour's Deployment, and
// either colour may be the active one.
func TestColourThatIsLiveIsKnown(t *testing.T) {
	longer := strings.NewReplacer("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 9")
	plain := strings.NewReplacer(", version: blue}", "}", "    spec:\n", "    spec:\n      topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]\n")
	for _, c := range []struct{ name, world, manifests string }{
		{"the peer's manifest", colourApp, longer.Replace(colourApp)},
		{"its own", colourApp, strings.ReplaceAll(longer.Replace(colourApp), "blue", "green")},
		{"labels without a colour", plain.Replace(colourApp), longer.Replace(plain.Replace(colourApp))},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, cl := kubetest.New(t, kubetest.Objects(t, c.world)...)
			p := cl.Platform(kube.Settings{})
			r := release("2")
			r.Manifests = manifestsOf(t, c.manifests)
			is := func(track stages.Track, want bool) {
				t.Helper()
				if got, err := p.Unchanged(t.Context(), track, r); err != nil || got != want {
					t.Errorf("%s: got %v, %v; want %v\n%s", track, got, err, want, told(t, s.Get("deployments", "shop", track.Workload.Name)))
				}
			}
			is(green, false)
			if err := p.SetTrack(t.Context(), green, r, 2); err != nil {
				t.Fatal(err)
			}
			r.Run = run("2")
			is(green, true)
			blue := stages.Track{Workload: green.Peer, Peer: green.Workload, Name: stages.Blue}
			is(blue, false)
			if err := p.SetTrack(t.Context(), blue, r, 2); err != nil {
				t.Fatal(err)
			}
			is(blue, true)
			is(green, true)
		})
	}
}
