package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// gvr returns the address of a resource; "apps/v1 deployments".
func gvr(s string) schema.GroupVersionResource {
	gv, name, _ := strings.Cut(s, " ")
	g, v, ok := strings.Cut(gv, "/")
	if !ok {
		g, v = "", gv
	}
	return schema.GroupVersionResource{Group: g, Version: v, Resource: name}
}

// The resources that rollouts work on.
func deployments() schema.GroupVersionResource { return gvr("apps/v1 deployments") }
func replicaSets() schema.GroupVersionResource { return gvr("apps/v1 replicasets") }
func pods() schema.GroupVersionResource        { return gvr("v1 pods") }
func services() schema.GroupVersionResource    { return gvr("v1 services") }
func events() schema.GroupVersionResource      { return gvr("v1 events") }
func endpointSlices() schema.GroupVersionResource {
	return gvr("discovery.k8s.io/v1 endpointslices")
}

func autoscalers() schema.GroupVersionResource {
	return gvr("autoscaling/v2 horizontalpodautoscalers")
}

func disruptionBudgets() schema.GroupVersionResource {
	return gvr("policy/v1 poddisruptionbudgets")
}
func quotas() schema.GroupVersionResource      { return gvr("v1 resourcequotas") }
func limitRanges() schema.GroupVersionResource { return gvr("v1 limitranges") }
func networkPolicies() schema.GroupVersionResource {
	return gvr("networking.k8s.io/v1 networkpolicies")
}

func accessReviews() schema.GroupVersionResource {
	return gvr("authorization.k8s.io/v1 selfsubjectaccessreviews")
}

// decode reads an object into one of the structs of k8s.io/api.
func decode[T any](u *unstructured.Unstructured) (*T, error) {
	var t T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &t); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", strings.ToLower(u.GetKind()), u.GetName(), err)
	}
	return &t, nil
}

// decodeAll is [decode] for many, in the order of their names.
func decodeAll[T any](us []*unstructured.Unstructured) ([]T, error) {
	us = slices.Clone(us)
	slices.SortFunc(us, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	ts := make([]T, 0, len(us))
	for _, u := range us {
		t, err := decode[T](u)
		if err != nil {
			return nil, err
		}
		ts = append(ts, *t)
	}
	return ts, nil
}

// listAs lists and decodes.
func listAs[T any](ctx context.Context, c *Cluster, gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions) ([]T, error) {
	l, err := c.List(ctx, gvr, namespace, opts)
	if err != nil {
		return nil, err
	}
	us := make([]*unstructured.Unstructured, len(l.Items))
	for i := range l.Items {
		us[i] = &l.Items[i]
	}
	return decodeAll[T](us)
}

// mapped is where objects of a kind live.
type mapped struct {
	gvr        schema.GroupVersionResource
	namespaced bool
}

// mapping finds the resource of a kind: the cluster is asked, in one request
// for each group and version, since a plural cannot be guessed.
func (c *Cluster) mapping(ctx context.Context, gvk schema.GroupVersionKind) (mapped, error) {
	gv := gvk.GroupVersion()
	if r, ok := builtin(gvk); ok {
		return r, nil
	}
	if c.raw == nil {
		return mapped{}, fmt.Errorf("find resource of %s: no way to ask the cluster", gvk.Kind)
	}
	path := "/apis/" + gv.String()
	if gv.Group == "" {
		path = "/api/" + gv.Version
	}
	var found metav1.APIResourceList
	err := c.read(ctx, func(ctx context.Context) error {
		b, err := c.raw.Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &found)
	})
	if err != nil {
		return mapped{}, fmt.Errorf("find resource of %s %s: %w", gv, gvk.Kind, err)
	}
	for _, r := range found.APIResources {
		if r.Kind == gvk.Kind && !strings.Contains(r.Name, "/") {
			return mapped{gvr: gv.WithResource(r.Name), namespaced: r.Namespaced}, nil
		}
	}
	return mapped{}, fmt.Errorf("find resource of %s %s: the cluster does not have this kind", gv, gvk.Kind)
}

// builtin knows the kinds that every manifest has, to save requests.
func builtin(gvk schema.GroupVersionKind) (mapped, bool) {
	m := func(s string) (mapped, bool) { return mapped{gvr(s), true}, true }
	switch gvk.GroupVersion().String() + " " + gvk.Kind {
	case "apps/v1 Deployment":
		return m("apps/v1 deployments")
	case "v1 Service":
		return m("v1 services")
	case "v1 ConfigMap":
		return m("v1 configmaps")
	case "v1 Secret":
		return m("v1 secrets")
	case "v1 ServiceAccount":
		return m("v1 serviceaccounts")
	case "v1 PersistentVolumeClaim":
		return m("v1 persistentvolumeclaims")
	case "v1 Namespace":
		return mapped{gvr("v1 namespaces"), false}, true
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return m("autoscaling/v2 horizontalpodautoscalers")
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		return m("gateway.networking.k8s.io/v1 httproutes")
	}
	return mapped{}, false
}
