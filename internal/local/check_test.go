package local_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/local"
	"github.com/headgate-dev/headgate/stages"
)

// What a preflight says of manifests that a laptop cannot do justice to.
func TestCheckNamesWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	text := `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: user}, spec: {
  replicas: 0, strategy: {type: Recreate}, selector: {matchLabels: {app: user}},
  template: {metadata: {labels: {app: user}}, spec: {
    volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: scratch, emptyDir: {}}],
    containers: [{name: user, image: "r.example/user:1"}, {name: proxy, image: "mesh.example/proxy:3"}]}}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: user}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`
	var manifests []json.RawMessage
	for doc := range strings.SplitSeq(text, "\n---\n") {
		raw, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, raw)
	}
	missing := strings.ReplaceAll(text[:strings.Index(text, "\n---\n")], `}, {name: proxy, image: "mesh.example/proxy:3"}`, `, ports: [{containerPort: 80}], env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: k}}}]}`)
	raw, err := yaml.YAMLToJSONStrict([]byte(missing))
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	for _, all := range [][]json.RawMessage{manifests, {raw}} {
		r := stages.Release{Image: image(t, w, "r.example/user:1"), Container: "user", Manifests: all, Run: info("1")}
		before := local.Describe(w)
		found, err := w.Check(t.Context(), stages.RolloutCheck{Workload: workload("user"), Release: r})
		if err != nil {
			t.Fatal(err)
		}
		if got := local.Describe(w); got != before {
			t.Errorf("the check has changed the world: got %s, want %s", got, before)
		}
		for _, f := range found {
			kind := "error"
			if f.Warning {
				kind = "warning"
			}
			fmt.Fprintf(&page, "%s: %s\n", kind, f.Message)
			if f.Hint != "" {
				fmt.Fprintf(&page, "  = %s\n", f.Hint)
			}
		}
		page.WriteByte('\n')
	}
	golden.EqualFile(t, "testdata/check.txt", []byte(page.String()))
}
