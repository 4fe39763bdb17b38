package kubetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// conflicts answers an apply without force that gives fields of others other
// values, nil where there are none. Items of lists are not looked into.
func conflicts(r *http.Request, q request, now, applied *unstructured.Unstructured) any {
	v := r.URL.Query()
	if now == nil || v.Get("force") == "true" {
		return nil
	}
	var causes []metav1.StatusCause
	for _, e := range now.GetManagedFields() {
		if e.FieldsV1 == nil || e.Manager == v.Get("fieldManager") && e.Operation == metav1.ManagedFieldsOperationApply {
			continue
		}
		var owned map[string]any
		if json.Unmarshal(e.FieldsV1.GetRawBytes(), &owned) != nil {
			continue
		}
		for _, path := range leaves(owned, nil) {
			is, _, _ := unstructured.NestedFieldNoCopy(now.Object, path...)
			shall, named, _ := unstructured.NestedFieldNoCopy(applied.Object, path...)
			if named && !reflect.DeepEqual(is, shall) {
				causes = append(causes, metav1.StatusCause{
					Type: metav1.CauseTypeFieldManagerConflict, Field: "." + strings.Join(path, "."),
					Message: fmt.Sprintf("conflict with %q using %s", e.Manager, e.APIVersion),
				})
			}
		}
	}
	if len(causes) == 0 {
		return nil
	}
	s, _ := status(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("Apply failed with %d conflicts", len(causes))).(metav1.Status)
	s.Details = &metav1.StatusDetails{Name: q.name, Kind: q.resource, Causes: causes}
	return s
}

// leaves returns the paths of the fields that a manager owns.
func leaves(owned map[string]any, path []string) [][]string {
	var out [][]string
	for _, k := range slices.Sorted(maps.Keys(owned)) {
		name, ok := strings.CutPrefix(k, "f:")
		if !ok {
			continue
		}
		here := append(slices.Clone(path), name)
		below, _ := owned[k].(map[string]any)
		if len(below) == 0 {
			out = append(out, here)
			continue
		}
		out = append(out, leaves(below, here)...)
	}
	return out
}
