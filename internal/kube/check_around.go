package kube

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// surroundings are what a rollout brings among what else is in the namespace.
type surroundings struct {
	labels podLabels
	peak   peak
	// old and new are what the pods that carry the labels are called.
	old, new string
}

// around checks what else has a say about the workload's pods.
func (k *checking) around(ctx context.Context, d *appsv1.Deployment, s surroundings) error {
	hpas, err := maybe[autoscalingv2.HorizontalPodAutoscaler](ctx, k, autoscalers())
	if err != nil {
		return err
	}
	for _, h := range hpas {
		if err := k.autoscaler(ctx, h, d); err != nil {
			return err
		}
	}
	qs, err := maybe[corev1.ResourceQuota](ctx, k, quotas())
	if err != nil {
		return err
	}
	if err := k.room(ctx, d, qs, s.peak); err != nil {
		return err
	}
	pdbs, err := maybe[policyv1.PodDisruptionBudget](ctx, k, disruptionBudgets())
	if err != nil {
		return err
	}
	nps, err := maybe[networkingv1.NetworkPolicy](ctx, k, networkPolicies())
	if err != nil {
		return err
	}
	for _, b := range pdbs {
		if only(b.Spec.Selector, s.labels.old, s.labels.new) {
			k.warn("", "PodDisruptionBudget %s protects the pods of %s and not those of %s, which have %s", b.Name, s.old, s.new, s.labels.difference())
		}
	}
	k.network(nps, s.labels)
	return nil
}

// room checks that quotas and limits let the pods of the peak be made.
func (k *checking) room(ctx context.Context, d *appsv1.Deployment, qs []corev1.ResourceQuota, need peak) error {
	ranges, err := listAs[corev1.LimitRange](ctx, k.p.c, limitRanges(), k.ns, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) && !IsNotFound(err) {
		return err
	}
	if apierrors.IsForbidden(err) && len(qs) > 0 { // Without a quota, what they add counts for nothing.
		k.warn("allow the account to list "+limitRanges().Resource, "defaults of LimitRanges are not counted: the account may not list them")
	}
	k.limits(d.Spec.Template.Spec, ranges)
	for _, q := range qs {
		k.quota(q, need, needsOf(d.Spec.Template.Spec, ranges))
	}
	return nil
}

// difference writes the labels that only the new pods have.
func (l podLabels) difference() string {
	changed := map[string]string{}
	for key, v := range l.new {
		if l.old[key] != v {
			changed[key] = v
		}
	}
	return pairs(changed)
}

// maybe lists what a check needs; where the account may not, the check is left
// out and that is said.
func maybe[T any](ctx context.Context, k *checking, gvr schema.GroupVersionResource) ([]T, error) {
	ts, err := listAs[T](ctx, k.p.c, gvr, k.ns, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		k.warn("allow the account to list "+gvr.Resource, "%s were not checked: the account may not list them", gvr.Resource)
		return nil, nil
	}
	if IsNotFound(err) { // The cluster does not have this kind.
		return nil, nil
	}
	return ts, err
}

// autoscaler checks that the account may do what an autoscaled workload needs:
// its minimum is held at the size that it has, for a rollback must not find too
// few pods, and a canary gets an autoscaler of its own.
func (k *checking) autoscaler(ctx context.Context, h autoscalingv2.HorizontalPodAutoscaler, d *appsv1.Deployment) error {
	if !scales(h, d.Name) {
		return nil
	}
	var want []Permission
	add := func(res schema.GroupVersionResource, verbs ...string) {
		for _, v := range verbs {
			want = append(want, Permission{Verb: v, Group: res.Group, Resource: res.Resource, Namespace: k.ns})
		}
	}
	if slices.ContainsFunc(h.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Kind == scaledObjectKind }) {
		add(scaledObjects(), "get", "update")
	} else {
		add(autoscalers(), "get", "update")
	}
	if (k.c.Kind == "" || k.c.Kind == canaryKind) && !k.c.Release.Shared {
		add(autoscalers(), "get", "create", "update", "delete")
	}
	slices.SortFunc(want, func(a, b Permission) int { return strings.Compare(a.Resource+a.Verb, b.Resource+b.Verb) })
	missing, err := k.p.c.Missing(ctx, slices.Compact(want))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		k.fail("give the account a Role with these rules: "+Rules(missing),
			"HorizontalPodAutoscaler %s scales Deployment %s, and the account may not %s", h.Name, d.Name, Together(missing))
	}
	return nil
}

func scales(h autoscalingv2.HorizontalPodAutoscaler, deployment string) bool {
	ref := h.Spec.ScaleTargetRef
	return ref.Kind == "Deployment" && ref.Name == deployment
}

// promotionNeeds is how many pods there must be room for beside those of both
// tracks, so that the Deployment can take the release in the end: one, where
// its strategy takes no old pod away before a new one is ready. While the
// canary carries the load, its pods are there as well.
func promotionNeeds(d *appsv1.Deployment) int64 {
	unavailable := intstr.FromString("25%") // The API's default.
	if u := d.Spec.Strategy.RollingUpdate; u != nil && u.MaxUnavailable != nil {
		unavailable = *u.MaxUnavailable
	}
	if n, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, wantedReplicas(d), false); err == nil && n > 0 {
		return 0
	}
	return 1
}

// only reports whether a selector selects stable's pods and not the canary's.
func only(s *metav1.LabelSelector, stable, canary map[string]string) bool {
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false
	}
	return sel.Matches(labels.Set(stable)) && !sel.Matches(labels.Set(canary))
}
