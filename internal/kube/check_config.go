package kube

import (
	"context"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// config warns of ConfigMaps and Secrets whose content the manifests change
// under the name that they have. Stable's pods read the same objects, so they
// are changed only when stable takes the release; until then the canary runs
// with the present content, and no gate judges the new one.
func (k *checking) config(ctx context.Context) error {
	for _, u := range forPods(k.objs.others) {
		if u.GetKind() != "ConfigMap" && u.GetKind() != "Secret" {
			continue
		}
		m, err := k.p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			return err
		}
		u = place(u, m, k.ns)
		now, err := k.p.c.Get(ctx, m.gvr, u.GetNamespace(), u.GetName())
		if IsNotFound(err) || apierrors.IsForbidden(err) { // It is made beforehand, or the permission was missed already.
			continue
		}
		if err != nil {
			return err
		}
		if changesData(now, u) {
			k.warn("give it a new name with each content, as kustomize's generators do",
				"%s %s exists with other content; the canary runs with the present one, and the new one comes with the promotion, judged by no gate", u.GetKind(), u.GetName())
		}
	}
	return nil
}

// changesData reports whether a manifest gives any key of a ConfigMap or
// Secret another value than it has. The stringData of a Secret cannot be told
// from what is there without showing it, and is left out.
func changesData(now, u *unstructured.Unstructured) bool {
	for _, field := range []string{"data", "binaryData"} {
		is, _, _ := unstructured.NestedMap(now.Object, field)
		shall, _, _ := unstructured.NestedMap(u.Object, field)
		for key, v := range shall {
			if !reflect.DeepEqual(is[key], v) {
				return true
			}
		}
	}
	return false
}
