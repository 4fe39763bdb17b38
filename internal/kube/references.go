package kube

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// reference is one mention, in a pod template, of an object that pods need.
type reference struct {
	named
	// optional is set where pods may start without it.
	optional bool
}

// references finds what the pods of a Deployment refer to in their namespace,
// each object once.
func references(u *unstructured.Unstructured) []reference {
	pod := podOf(u)
	var out []reference
	eachRef(pod, func(kind string, holder map[string]any, key string) {
		optional, _ := holder["optional"].(bool)
		out = append(out, reference{named{kind, text(holder[key])}, optional})
	})
	for v := range maps2(pod["volumes"]) {
		if claim, ok := v["persistentVolumeClaim"].(map[string]any); ok && text(claim["claimName"]) != "" {
			out = append(out, reference{named: named{"PersistentVolumeClaim", text(claim["claimName"])}})
		}
	}
	for s := range maps2(pod["imagePullSecrets"]) { // An image may be public all the same.
		out = append(out, reference{named{"Secret", text(s["name"])}, true})
	}
	if name := text(pod["serviceAccountName"]); name != "" && name != "default" { // Every namespace has that one.
		out = append(out, reference{named: named{"ServiceAccount", name}})
	}
	slices.SortStableFunc(out, func(a, b reference) int {
		if c := cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)); c != 0 || a.optional == b.optional {
			return c
		}
		if a.optional { // One that pods cannot do without says more.
			return 1
		}
		return -1
	})
	return slices.CompactFunc(out, func(a, b reference) bool { return a.named == b.named })
}
