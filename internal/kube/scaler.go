package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/stages"
)

// The kinds of what scales a workload. KEDA makes a HorizontalPodAutoscaler of
// its ScaledObject and overwrites what others write there, so that the minimum
// is held in the ScaledObject.
const (
	autoscalerKind   = "HorizontalPodAutoscaler"
	scaledObjectKind = "ScaledObject"
)

func scaledObjects() schema.GroupVersionResource { return gvr("keda.sh/v1alpha1 scaledobjects") }

// scalerFields are where a kind says its bounds, and what it means to say
// nothing.
type scalerFields struct {
	gvr                schema.GroupVersionResource
	min, max           string
	unsetMin, unsetMax int
}

func fieldsOf(kind string) (scalerFields, error) {
	switch kind {
	case autoscalerKind:
		return scalerFields{autoscalers(), "minReplicas", "maxReplicas", 1, 1}, nil
	case scaledObjectKind:
		return scalerFields{scaledObjects(), "minReplicaCount", "maxReplicaCount", 0, 100}, nil
	}
	return scalerFields{}, fmt.Errorf("there is no autoscaler of kind %q", kind)
}

// Autoscaler reads what scales a workload; see [stages.Scaler]. Where the
// account may not list autoscalers, which the preflight says, there is none.
func (p *Platform) Autoscaler(ctx context.Context, w stages.Workload) (stages.Autoscaler, error) {
	hpa, err := p.autoscalerOf(ctx, w)
	if hpa == nil || err != nil {
		return stages.Autoscaler{}, wrap("read autoscaler of "+w.String(), err)
	}
	owner, keda := kedaOwner(hpa)
	if !keda {
		return bounds(hpa, w, autoscalerKind)
	}
	u, err := p.c.Get(ctx, scaledObjects(), hpa.GetNamespace(), owner)
	if err != nil {
		return stages.Autoscaler{}, fmt.Errorf("read autoscaler of %s: %w", w, err)
	}
	return bounds(u, w, scaledObjectKind)
}

// autoscalerOf finds the HorizontalPodAutoscaler of a workload, nil where there
// is none.
func (p *Platform) autoscalerOf(ctx context.Context, w stages.Workload) (*unstructured.Unstructured, error) {
	l, err := p.c.List(ctx, autoscalers(), p.c.ns(w), metav1.ListOptions{})
	if apierrors.IsForbidden(err) || IsNotFound(err) {
		return nil, nil //nolint:nilnil // which says that there is none
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(l.Items, func(a, b unstructured.Unstructured) int { return cmp.Compare(a.GetName(), b.GetName()) })
	for i := range l.Items {
		u := &l.Items[i]
		ref, _, _ := unstructured.NestedStringMap(u.Object, "spec", "scaleTargetRef")
		if ref["kind"] == "Deployment" && ref["name"] == w.Name {
			u.SetAPIVersion("autoscaling/v2") // Items of a list may come without.
			u.SetKind(autoscalerKind)
			return u, nil
		}
	}
	return nil, nil //nolint:nilnil // as above
}

// kedaOwner returns the name of the ScaledObject that an autoscaler belongs to.
func kedaOwner(hpa *unstructured.Unstructured) (string, bool) {
	for _, r := range hpa.GetOwnerReferences() {
		if gv, err := schema.ParseGroupVersion(r.APIVersion); err == nil && gv.Group == "keda.sh" && r.Kind == scaledObjectKind {
			return r.Name, true
		}
	}
	return "", false
}

func bounds(u *unstructured.Unstructured, w stages.Workload, kind string) (stages.Autoscaler, error) {
	f, err := fieldsOf(kind)
	if err != nil {
		return stages.Autoscaler{}, err
	}
	return stages.Autoscaler{
		Kind: kind, Workload: w, Namespace: u.GetNamespace(), Name: u.GetName(),
		Min: specNumber(u, f.min, f.unsetMin), Max: specNumber(u, f.max, f.unsetMax),
	}, nil
}

func specNumber(u *unstructured.Unstructured, field string, unset int) int {
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", field)
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	}
	return unset
}

// SetMinimum changes the minimum of an autoscaler; see [stages.Scaler].
func (p *Platform) SetMinimum(ctx context.Context, a stages.Autoscaler, from, to int) error {
	f, err := fieldsOf(a.Kind)
	if err != nil {
		return fmt.Errorf("set minimum of %s: %w", a, err)
	}
	for try := 1; ; try++ {
		u, err := p.c.Get(ctx, f.gvr, a.Namespace, a.Name)
		if IsNotFound(err) {
			return &stages.DriftError{Thing: "the minimum of " + a.String(), Found: "gone", Want: fmt.Sprint(from)}
		}
		if err != nil {
			return fmt.Errorf("set minimum of %s: %w", a, err)
		}
		now := specNumber(u, f.min, f.unsetMin)
		if now == to {
			return nil
		}
		if now != from {
			return &stages.DriftError{Thing: "the minimum of " + a.String(), Found: fmt.Sprint(now), Want: fmt.Sprint(from), By: LastManager(u)}
		}
		set(u.Object, int64(to), "spec", f.min)
		_, err = p.c.Update(ctx, f.gvr, u, Write{})
		if err == nil || !IsConflict(err) || try == conflictTries {
			return wrap("set minimum of "+a.String(), err)
		}
		if err := pause(ctx, conflictPause); err != nil {
			return err
		}
	}
}

// canaryAutoscaler makes the canary's autoscaler like stable's. It scales by
// the same metrics, which for a ScaledObject of KEDA are those of the
// autoscaler that KEDA made: what KEDA itself serves them by stays stable's.
func canaryAutoscaler(hpa *unstructured.Unstructured, canary *unstructured.Unstructured, replicas int) *unstructured.Unstructured {
	spec, _, _ := unstructured.NestedMap(hpa.Object, "spec")
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion("autoscaling/v2")
	u.SetKind(autoscalerKind)
	u.SetNamespace(canary.GetNamespace())
	u.SetName(canary.GetName())
	addLabel(u, TrackLabel, stages.Canary)
	set(u.Object, map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": canary.GetName()}, "spec", "scaleTargetRef")
	set(u.Object, int64(max(replicas, 1)), "spec", "minReplicas")
	set(u.Object, int64(max(specNumber(hpa, "maxReplicas", 1), replicas, 1)), "spec", "maxReplicas")
	return u
}

// autoscale gives the canary that shall be its autoscaler, where stable has
// one and the pods of the two can be told apart by what scales them.
func (p *Platform) autoscale(ctx context.Context, w *wanted, stable stages.Workload, r stages.Release) error {
	if r.Shared {
		return nil // The split is the number of pods; nothing else may change it.
	}
	hpa, err := p.autoscalerOf(ctx, stable)
	if hpa == nil || err != nil {
		return err
	}
	replicas := replicasIn(w.deployment.Object)
	w.autoscaler = canaryAutoscaler(hpa, w.deployment, replicas)
	sign(w.autoscaler, r.Run)
	annotate(w.deployment, scaledAnnotation, w.autoscaler.GetName())
	inv := readInventory(w.deployment)
	o := objectOf(w.autoscaler)
	if !slices.Contains(inv.Objects, o) {
		inv.Objects = append(inv.Objects, o)
	}
	return inv.writeTo(w.deployment)
}
