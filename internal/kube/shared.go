package kube

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// buildShared makes the canary's Deployment where its pods are to be reached by
// the workload's own Services, with stable's: pure. They keep every label that
// a Service selects by.
//
// Where a label of stable's selector is one that no Service selects by, that
// one is changed, and the two Deployments select different pods. Else both
// select the canary's pods, which is safe although Kubernetes advises against
// it: a Deployment adopts only ReplicaSets that have no owner, and ours always
// have one, and a ReplicaSet's own selector holds the hash of its template,
// in which the label of the track is. docs/adr has more.
func buildShared(base *unstructured.Unstructured, raw []*unstructured.Unstructured, t stages.Track, replicas int) (wanted, error) {
	d, err := decode[appsv1.Deployment](base)
	if err != nil {
		return wanted{}, err
	}
	svcs, err := decodeAll[corev1.Service](raw)
	if err != nil {
		return wanted{}, err
	}
	if d.Spec.Selector == nil {
		return wanted{}, fmt.Errorf("deployment %s has no selector", base.GetName())
	}
	m, apart := unselectedMark(d, selectingAll(svcs, d.Spec.Template.Labels))
	w := wanted{mark: m}
	if w.deployment, err = canaryDeployment(base, m, t, replicas); err != nil {
		return wanted{}, err
	}
	if !apart {
		set(w.deployment.Object, t.Name, "spec", "selector", "matchLabels", TrackLabel)
	}
	return w, nil
}

// unselectedMark is a label of the Deployment's selector by which no Service
// selects its pods; false where there is none.
func unselectedMark(d *appsv1.Deployment, svcs []corev1.Service) (mark, bool) {
	free := maps.Clone(d.Spec.Selector.MatchLabels)
	for _, s := range svcs {
		for k := range s.Spec.Selector {
			delete(free, k)
		}
	}
	m, err := chooseMark(free, d.Spec.Template.Labels, nil)
	return m, err == nil
}

// builder is [buildShared] or [buildCanary], as a release says.
func builder(r stages.Release) func(*unstructured.Unstructured, []*unstructured.Unstructured, stages.Track, int) (wanted, error) {
	if r.Shared {
		return buildShared
	}
	return buildCanary
}
