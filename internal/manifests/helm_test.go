package manifests_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/manifests"
)

const rendered = `---
# Source: shop/templates/service.yaml
` + service + `---
# Source: shop/templates/deployment.yaml
` + deployment + `---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-upgrade,pre-install"}}
---
apiVersion: v1
kind: Pod
metadata: {name: smoke, annotations: {helm.sh/hook: test}}
`

func TestReadRendersCharts(t *testing.T) {
	t.Chdir(write(t, map[string]string{"chart/Chart.yaml": "name: shop\n", "more.yaml": config}))
	var gotArgs []string
	var gotStdin string
	var notes []string
	r := manifests.Release{
		Name: "user", Namespace: "shop", Note: func(line string) { notes = append(notes, line) },
		Helm: func(ctx context.Context, args []string, stdin []byte, _ int) ([]byte, error) {
			gotArgs, gotStdin = args, string(stdin)
			if _, ok := ctx.Deadline(); !ok {
				t.Error("helm has no deadline")
			}
			return []byte(rendered), nil
		},
	}
	objects, err := r.Read(t.Context(), []manifests.Source{
		{Path: "chart", Values: []string{"a.yaml", "b.yaml"}, Set: map[string]string{"image.tag": "0123", "image.pull": "x,y", "ingress": "false"}},
		{Path: "more.yaml"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := kinds(t, objects), "ConfigMap web, Service web, Deployment web"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []string{"template", "user", "chart", "--namespace", "shop", "--values", "a.yaml", "--values", "b.yaml", "--values", "-"}
	if diff := cmp.Diff(want, gotArgs); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if want := `{"image":{"pull":"x,y","tag":"0123"},"ingress":false}`; gotStdin != want {
		t.Errorf("got values %s, want %s", gotStdin, want)
	}
	if want := []string{"chart chart: hooks are not run: Job migrate (pre-upgrade,pre-install), Pod smoke (test)"}; !cmp.Equal(want, notes) {
		t.Errorf("got notes %q, want %q", notes, want)
	}
}

func TestReadRefusesCharts(t *testing.T) {
	t.Chdir(write(t, map[string]string{"chart/Chart.yaml": "name: shop\n", "plain/a.yaml": service}))
	says := func(text string, err error) manifests.Helm {
		return func(context.Context, []string, []byte, int) ([]byte, error) { return []byte(text), err }
	}
	for _, tc := range []struct {
		name   string
		helm   manifests.Helm
		source manifests.Source
		want   string
	}{
		{"no helm", says("", manifests.ErrNoHelm), manifests.Source{Path: "chart"}, "read manifests: chart chart: the program helm is needed to render it and was not found"},
		{"nobody to render", nil, manifests.Source{Path: "chart"}, "read manifests: chart chart: the program helm is needed to render it and was not found"},
		{"helm fails", says("", errors.New("helm ended with exit code 1: Error: no template")), manifests.Source{Path: "chart"}, "read manifests: chart chart: helm ended with exit code 1: Error: no template"},
		{"values for no chart", says("", nil), manifests.Source{Path: "plain", Values: []string{"v.yaml"}}, "read manifests: plain is no Helm chart, so that release, values and set have no meaning"},
		{"a list in set", says("", nil), manifests.Source{Path: "chart", Set: map[string]string{"a[0]": "b"}}, `read manifests: chart chart: set: the key "a[0]" is no path such as image.tag; give lists and odd names in a file under values`},
		{"a value below a value", says("", nil), manifests.Source{Path: "chart", Set: map[string]string{"a": "b", "a.c": "d"}}, `read manifests: chart chart: set: "a.c" and a shorter key exclude each other`},
		{"no objects", says("just text", nil), manifests.Source{Path: "chart"}, "read manifests: file chart, document 1: it is not a Kubernetes object"},
		{"too much", says(strings.Repeat("#", 32<<20+1), nil), manifests.Source{Path: "chart"}, "read manifests: chart chart: it comes to more than 33554432 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := manifests.Release{Name: "user", Namespace: "shop", Helm: tc.helm}.Read(t.Context(), []manifests.Source{tc.source})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
			if missing, ok := errors.AsType[*manifests.NoHelmError](err); ok && !strings.Contains(missing.Hint(), "install helm") {
				t.Errorf("got hint %q, want what to do", missing.Hint())
			}
		})
	}
}

// Whatever is set, helm gets a JSON object that holds it, or an error is said.
func FuzzSet(f *testing.F) {
	f.Add("image.tag", "1", "image.pull", "true")
	f.Add("a", "b", "a.b", "c")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		dir := write(t, map[string]string{"Chart.yaml": "name: shop\n"})
		r := manifests.Release{Name: "user", Helm: func(_ context.Context, _ []string, stdin []byte, _ int) ([]byte, error) {
			var set map[string]any
			if err := json.Unmarshal(stdin, &set); err != nil || len(set) == 0 {
				t.Errorf("got values %q: %v", stdin, err)
			}
			return []byte(service), nil
		}}
		_, _ = r.Read(t.Context(), []manifests.Source{{Path: dir, Set: map[string]string{k1: v1, k2: v2}}})
	})
}
