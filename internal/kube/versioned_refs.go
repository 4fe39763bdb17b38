package kube

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// named is a ConfigMap or Secret that something refers to by name.
type named struct{ Kind, Name string }

// eachRef calls visit for every place of a pod's specification that refers to
// a ConfigMap or Secret whose content the pod's containers see; holder[key] is
// the name. Secrets for pulling images and for storage are not among them.
func eachRef(pod map[string]any, visit func(kind string, holder map[string]any, key string)) {
	at := func(holder any, kind, key string) {
		if m, ok := holder.(map[string]any); ok && text(m[key]) != "" {
			visit(kind, m, key)
		}
	}
	for _, list := range []string{"containers", "initContainers"} {
		for c := range maps2(pod[list]) {
			for e := range maps2(c["env"]) {
				from, _ := e["valueFrom"].(map[string]any)
				at(from["configMapKeyRef"], "ConfigMap", "name")
				at(from["secretKeyRef"], "Secret", "name")
			}
			for e := range maps2(c["envFrom"]) {
				at(e["configMapRef"], "ConfigMap", "name")
				at(e["secretRef"], "Secret", "name")
			}
		}
	}
	for v := range maps2(pod["volumes"]) {
		at(v["configMap"], "ConfigMap", "name")
		at(v["secret"], "Secret", "secretName")
		projected, _ := v["projected"].(map[string]any)
		for s := range maps2(projected["sources"]) {
			at(s["configMap"], "ConfigMap", "name")
			at(s["secret"], "Secret", "name")
		}
	}
}

// maps2 walks the objects of a list.
func maps2(list any) func(yield func(map[string]any) bool) {
	items, _ := list.([]any)
	return func(yield func(map[string]any) bool) {
		for _, item := range items {
			if m, ok := item.(map[string]any); ok && !yield(m) {
				return
			}
		}
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// refsOf returns what a pod's specification refers to.
func refsOf(pod map[string]any) map[named]bool {
	refs := map[named]bool{}
	eachRef(pod, func(kind string, holder map[string]any, key string) { refs[named{kind, text(holder[key])}] = true })
	return refs
}

// podOf returns the specification of the pods that an object has or makes,
// nil where it has none.
func podOf(u *unstructured.Unstructured) map[string]any {
	path := []string{"spec", "template", "spec"}
	switch u.GetKind() {
	case "Pod":
		path = []string{"spec"}
	case "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	pod, _, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	m, _ := pod.(map[string]any)
	return m
}

// mentions reports whether any text in v is name.
func mentions(v any, name string) bool {
	switch v := v.(type) {
	case string:
		return v == name
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(e any) bool { return mentions(e, name) })
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentions(e, name) })
	}
	return false
}
