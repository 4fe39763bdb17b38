package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func podsOf(grace any, containers ...any) *unstructured.Unstructured {
	spec := map[string]any{"containers": containers}
	if grace != nil {
		spec["terminationGracePeriodSeconds"] = grace
	}
	return &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": map[string]any{"spec": spec}}}}
}

func hook(handler string, v any) map[string]any {
	return map[string]any{"preStop": map[string]any{handler: v}}
}

func TestPodsOfACanaryGoOnServingForAWhile(t *testing.T) {
	own := map[string]any{"name": "own", "lifecycle": hook("exec", map[string]any{})}
	sleep := hook("sleep", map[string]any{"seconds": int64(5)})
	cases := []struct {
		name       string
		have, want *unstructured.Unstructured
	}{
		{"no hook", podsOf(nil, map[string]any{"name": "a"}), podsOf(int64(35), map[string]any{"name": "a", "lifecycle": sleep})},
		{"grace of a manifest", podsOf(float64(1), map[string]any{"name": "a"}), podsOf(int64(6), map[string]any{"name": "a", "lifecycle": sleep})},
		{"a hook of its own", podsOf(int64(3), own), podsOf(int64(3), own)},
		{"one of two", podsOf(int64(3), own, map[string]any{"name": "a"}), podsOf(int64(8), own, map[string]any{"name": "a", "lifecycle": sleep})},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := c.have.DeepCopy()
			linger(got)
			if diff := cmp.Diff(c.want.Object, got.Object); diff != "" {
				t.Errorf("linger (-want +got):\n%s", diff)
			}
			if plain := hasty(got); plain != nil {
				set(c.have.Object, gracePeriod(c.have), gracePath()...)
				if diff := cmp.Diff(c.have.Object, plain.Object); diff != "" {
					t.Errorf("taken away again (-want +got):\n%s", diff)
				}
			} else if c.name != "a hook of its own" {
				t.Error("nothing is taken away again")
			}
		})
	}
}
