package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

// The labels and annotations of Headgate's own, only on objects that it made.
const (
	// TrackLabel says which track an object belongs to.
	TrackLabel = "headgate.dev/track"
	// RunAnnotation and PipelineAnnotation say who made an object.
	RunAnnotation      = "headgate.dev/run"
	PipelineAnnotation = "headgate.dev/pipeline"
	// inventoryAnnotation, on a Deployment, lists the other objects that were
	// made for it, so that they can be removed with it.
	inventoryAnnotation = "headgate.dev/made"
	// basisAnnotation, on a canary, is the version of stable that it stands
	// beside; it tells at the promotion that somebody else has deployed.
	basisAnnotation = "headgate.dev/basis"
	// scaledAnnotation, on a canary, names the autoscaler that was made for it.
	scaledAnnotation = "headgate.dev/autoscaler"
)

// CanaryName returns the name of the Deployment and of the Service of a
// workload's canary track.
func CanaryName(workload string) string { return stages.Suffixed(workload, "-canary") }

// mark is the one label by which the pods of the tracks differ.
type mark struct {
	Key string
	// Stable and Canary are its values.
	Stable, Canary string
}

// preferredKeys are tried first as the label that tells tracks apart, since
// these are the ones that name an application.
func preferredKeys() []string {
	return []string{"app", "app.kubernetes.io/name", "k8s-app", "name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
}

// chooseMark picks the label to change. It must be in the selector of the
// Deployment, so that stable's own ReplicaSets do not claim the canary's pods,
// and in the selector of every Service that selects stable's pods, so that
// none selects the canary's.
func chooseMark(selector, template map[string]string, svcs []corev1.Service) (mark, error) {
	keys := slices.SortedFunc(maps.Keys(selector), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	var why []string
	for _, k := range keys {
		if template[k] != selector[k] || selector[k] == "" {
			continue
		}
		m := mark{Key: k, Stable: selector[k], Canary: stages.Suffixed(selector[k], "-canary")}
		if svc, ok := selecting(svcs, m.apply(template)); ok {
			why = append(why, fmt.Sprintf("with another %s the pods would still be selected by Service %s (%s)", k, svc.Name, pairs(svc.Spec.Selector)))
			continue
		}
		return m, nil
	}
	if len(why) == 0 {
		return mark{}, fmt.Errorf("choose label of the canary: the Deployment's selector has no matchLabels that its pods carry")
	}
	return mark{}, fmt.Errorf("choose label of the canary: no single label keeps its pods out of every Service that selects stable's: %s", strings.Join(why, "; "))
}

func rank(key string) int {
	if i := slices.Index(preferredKeys(), key); i >= 0 {
		return i
	}
	return len(preferredKeys())
}

// apply returns labels as the canary has them.
func (m mark) apply(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	if v, ok := out[m.Key]; ok && v == m.Stable {
		out[m.Key] = m.Canary
	}
	return out
}

// selecting returns the first Service that selects pods with labels.
func selecting(svcs []corev1.Service, labels map[string]string) (corev1.Service, bool) {
	for _, s := range svcs {
		if selects(s.Spec.Selector, labels) {
			return s, true
		}
	}
	return corev1.Service{}, false
}

// selectingAll returns all Services that select pods with labels.
func selectingAll(svcs []corev1.Service, labels map[string]string) []corev1.Service {
	var out []corev1.Service
	for _, s := range svcs {
		if selects(s.Spec.Selector, labels) {
			out = append(out, s)
		}
	}
	return out
}

// selects reports whether a Service's selector selects pods with labels. An
// empty one selects nothing: such a Service is given its endpoints by hand.
func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return len(selector) > 0
}

// pairs writes labels as "a=b,c=d", sorted.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// frontService picks, of the Services that select a workload's pods, the one
// that its users reach it by: the one of its name, else one with a cluster
// address, else the one with most ports.
func frontService(svcs []corev1.Service, workload string) (corev1.Service, bool) {
	if len(svcs) == 0 {
		return corev1.Service{}, false
	}
	score := func(s corev1.Service) int {
		n := len(s.Spec.Ports)
		if s.Spec.ClusterIP != corev1.ClusterIPNone {
			n += 1000
		}
		if s.Name == workload {
			n += 10000
		}
		return n
	}
	return slices.MaxFunc(svcs, func(a, b corev1.Service) int {
		return cmp.Or(cmp.Compare(score(a), score(b)), cmp.Compare(b.Name, a.Name))
	}), true
}
