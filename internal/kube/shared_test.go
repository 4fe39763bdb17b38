package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

func TestSharedCanaryKeepsTheLabelsOfTheService(t *testing.T) {
	type labels = map[string]any
	cases := map[string]struct {
		selector, service  labels
		want, wantSelector map[string]string
	}{
		"a label is free": {
			labels{"app": "user", "tier": "web"},
			labels{"app": "user"},
			map[string]string{"app": "user", "tier": "web-canary", TrackLabel: "canary"},
			map[string]string{"app": "user", "tier": "web-canary"},
		},
		"the Service selects by all": {
			labels{"app": "user"},
			labels{"app": "user"},
			map[string]string{"app": "user", TrackLabel: "canary"},
			map[string]string{"app": "user", TrackLabel: "canary"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "user"},
				"spec": map[string]any{"selector": map[string]any{"matchLabels": c.selector}, "template": map[string]any{
					"metadata": map[string]any{"labels": c.selector}, "spec": map[string]any{"containers": []any{map[string]any{"name": "user", "image": "a"}}},
				}},
			}}
			svc := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "user"}, "spec": map[string]any{"selector": c.service},
			}}
			w, err := buildShared(d.DeepCopy(), []*unstructured.Unstructured{svc}, stages.Track{Workload: stages.Workload{Namespace: "shop", Name: "user"}, Name: stages.Canary}, 2)
			if err != nil {
				t.Fatal(err)
			}
			got, _, _ := unstructured.NestedStringMap(w.deployment.Object, "spec", "template", "metadata", "labels")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("labels of the pods (-want +got):\n%s", diff)
			}
			got, _, _ = unstructured.NestedStringMap(w.deployment.Object, "spec", "selector", "matchLabels")
			if diff := cmp.Diff(c.wantSelector, got); diff != "" {
				t.Errorf("selector (-want +got):\n%s", diff)
			}
			if w.service != nil {
				t.Errorf("a Service of its own: %v", w.service)
			}
		})
	}
}
