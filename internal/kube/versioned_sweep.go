package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headgate-dev/headgate/stages"
)

// isVersion reports whether an object stands under a name of its content.
func isVersion(u *unstructured.Unstructured) bool {
	_, labelled := u.GetLabels()[versionedLabel]
	return labelled && u.GetLabels()[workloadLabel] != ""
}

// checkVersion makes sure that an object which is there already has the
// content that its name stands for.
func checkVersion(k mapped, now, u *unstructured.Unstructured) error {
	is, err := contentOf(now)
	if err != nil {
		return err
	}
	shall, err := contentOf(u)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(is, shall) {
		return nil
	}
	return &stages.DriftError{
		Thing: describe(k.gvr, now.GetNamespace(), now.GetName()),
		Found: "other content", Want: "the content that its name stands for", By: LastManager(now),
	}
}

// Tidy removes the versions of ConfigMaps and Secrets that were written for a
// workload and that nothing needs any more, and the copies of Secrets that a
// rollback would have needed; see [stages.Tidier]. What the live workload, any
// pod, or the last ReplicaSet before the present one refers to stays, so that
// kubectl rollout undo works.
func (p *Platform) Tidy(ctx context.Context, t stages.Track) error {
	ns := p.c.ns(t.Workload)
	sets, err := listAs[appsv1.ReplicaSet](ctx, p.c, replicaSets(), ns, metav1.ListOptions{})
	if err != nil {
		return wrap("tidy up after "+t.String(), err)
	}
	old, err := p.written(ctx, t.Workload, sets)
	if err != nil || len(old) == 0 {
		return wrap("tidy up after "+t.String(), err)
	}
	used, err := p.used(ctx, ns, sets)
	if err != nil {
		return wrap("tidy up after "+t.String(), err)
	}
	var errs []error
	for _, u := range old {
		_, copied := u.GetAnnotations()[formerAnnotation]
		if ours(u) && (copied || isVersion(u) && !used[named{u.GetKind(), u.GetName()}]) {
			errs = append(errs, p.c.Delete(ctx, contentKinds()[u.GetKind()].gvr, u, false))
		}
	}
	return wrap("tidy up after "+t.String(), errors.Join(errs...))
}

// contentKinds are those that are versioned.
func contentKinds() map[string]mapped {
	return map[string]mapped{"ConfigMap": {gvr("v1 configmaps"), true}, "Secret": {gvr("v1 secrets"), true}}
}

// written returns what was written for a workload. Where the account may not
// list a kind, what the ReplicaSets refer to is looked at one by one.
func (p *Platform) written(ctx context.Context, w stages.Workload, sets []appsv1.ReplicaSet) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	label := stages.Suffixed(w.Name, "")
	for _, kind := range slices.Sorted(maps.Keys(contentKinds())) {
		k := contentKinds()[kind]
		l, err := p.c.List(ctx, k.gvr, p.c.ns(w), metav1.ListOptions{LabelSelector: workloadLabel + "=" + label})
		if apierrors.IsForbidden(err) {
			known, err := p.writtenFor(ctx, k, kind, sets)
			if err != nil {
				return nil, err
			}
			out = append(out, slices.DeleteFunc(known, func(u *unstructured.Unstructured) bool { return u.GetLabels()[workloadLabel] != label })...)
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range l.Items {
			l.Items[i].SetAPIVersion("v1") // Items of a list may come without.
			l.Items[i].SetKind(kind)
			out = append(out, &l.Items[i])
		}
	}
	return out, nil
}

// writtenFor reads the objects of a kind that ReplicaSets refer to.
func (p *Platform) writtenFor(ctx context.Context, k mapped, kind string, sets []appsv1.ReplicaSet) ([]*unstructured.Unstructured, error) {
	refs := map[named]string{}
	for i := range sets {
		pod, err := podMap(&sets[i])
		if err != nil {
			return nil, err
		}
		for r := range refsOf(pod) {
			if r.Kind == kind {
				refs[r] = sets[i].Namespace
			}
		}
	}
	var out []*unstructured.Unstructured
	for r, ns := range refs {
		u, err := p.c.Get(ctx, k.gvr, ns, r.Name)
		switch {
		case IsNotFound(err) || apierrors.IsForbidden(err):
		case err != nil:
			return nil, err
		default:
			out = append(out, u)
		}
	}
	return out, nil
}

// used returns what Deployments, their ReplicaSets, the last former one
// included, and pods refer to.
func (p *Platform) used(ctx context.Context, ns string, sets []appsv1.ReplicaSet) (map[named]bool, error) {
	used := map[named]bool{}
	note := func(pod map[string]any) { maps.Copy(used, refsOf(pod)) }
	for _, rs := range needed(sets) {
		pod, err := podMap(&rs)
		if err != nil {
			return nil, err
		}
		note(pod)
	}
	for kind, gvr := range map[string]mapped{"Deployment": {gvr: deployments()}, "Pod": {gvr: pods()}} {
		l, err := p.c.List(ctx, gvr.gvr, ns, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range l.Items {
			l.Items[i].SetKind(kind)
			note(podOf(&l.Items[i]))
		}
	}
	return used, nil
}

// needed returns the ReplicaSets that have pods or are the last two of their
// Deployment.
func needed(sets []appsv1.ReplicaSet) []appsv1.ReplicaSet {
	of := map[types.UID][]appsv1.ReplicaSet{}
	for _, rs := range sets {
		var owner types.UID
		if c := metav1.GetControllerOf(&rs); c != nil {
			owner = c.UID
		} else if len(rs.OwnerReferences) > 0 {
			owner = rs.OwnerReferences[0].UID
		}
		of[owner] = append(of[owner], rs)
	}
	var out []appsv1.ReplicaSet
	for owner, group := range of {
		slices.SortFunc(group, func(a, b appsv1.ReplicaSet) int { return cmp.Compare(revision(&b), revision(&a)) })
		for i, rs := range group {
			if owner == "" || i < 2 || rs.Spec.Replicas == nil || *rs.Spec.Replicas > 0 || rs.Status.Replicas > 0 {
				out = append(out, rs)
			}
		}
	}
	return out
}

// podMap returns the specification of a ReplicaSet's pods.
func podMap(rs *appsv1.ReplicaSet) (map[string]any, error) {
	pod, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rs.Spec.Template.Spec)
	if err != nil {
		return nil, fmt.Errorf("read replicaset %s: %w", rs.Name, err)
	}
	return pod, nil
}

func revision(rs *appsv1.ReplicaSet) int {
	n, err := strconv.Atoi(rs.Annotations[revisionAnnotation])
	if err != nil {
		return 1 << 30 // Not known, so it is kept.
	}
	return n
}
