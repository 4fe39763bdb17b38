package kube

import (
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// masked stands for a value that must not be shown.
const masked = "***"

// Diff returns what a write changes, as a unified diff of YAML; "" where
// nothing does. before is nil for an object that is made. What only the server
// is concerned with is left out, and values of Secrets are masked.
func Diff(before, after *unstructured.Unstructured) string {
	a, b := readable(before), readable(after)
	if before == nil { // A dry run gives an address that the write will not.
		unstructured.RemoveNestedField(b, "spec", "clusterIPs")
		if ip, _, _ := unstructured.NestedString(b, "spec", "clusterIP"); ip != "None" {
			unstructured.RemoveNestedField(b, "spec", "clusterIP")
		}
	}
	maskSecrets(a, b)
	d := difflib.UnifiedDiff{A: lines(a), B: lines(b), FromFile: "now", ToFile: "after", Context: 3}
	if a == nil {
		d.FromFile = "(none)"
	}
	s, err := difflib.GetUnifiedDiffString(d)
	if err != nil {
		return "" // Writing into memory does not fail.
	}
	return s
}

// readable returns a copy of an object as a person would write it.
func readable(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	out := u.DeepCopy().Object
	delete(out, "status")
	for _, k := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(out, "metadata", k)
	}
	unstructured.RemoveNestedField(out, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	unstructured.RemoveNestedField(out, "metadata", "annotations", revisionAnnotation)
	if m, ok, _ := unstructured.NestedMap(out, "metadata", "annotations"); ok && len(m) == 0 {
		unstructured.RemoveNestedField(out, "metadata", "annotations")
	}
	unstructured.RemoveNestedField(out, "spec", "template", "metadata", "creationTimestamp")
	return out
}

// maskSecrets hides the values of two states of a Secret, and shows which of
// them differ.
func maskSecrets(a, b map[string]any) {
	if b["kind"] != "Secret" {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		was, _ := a[field].(map[string]any)
		is, _ := b[field].(map[string]any)
		for k, v := range is {
			is[k] = masked
			if old, ok := was[k]; ok && old != v {
				is[k] = masked + " (changed)"
			}
		}
		for k := range was {
			was[k] = masked
		}
	}
}

func lines(obj map[string]any) []string {
	if obj == nil {
		return nil
	}
	b, err := yaml.Marshal(obj)
	if err != nil {
		return []string{"# " + err.Error() + "\n"}
	}
	return difflib.SplitLines(strings.TrimSuffix(string(b), "\n"))
}

func lower(s string) string { return strings.ToLower(s) }

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
