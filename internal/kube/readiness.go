package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// revisionAnnotation numbers the templates of a Deployment, on it and on its
// ReplicaSets.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// observed is what the cluster shows of a track at one moment.
type observed struct {
	deployment *appsv1.Deployment
	// workload is the name of the user's Deployment, for advice that outlives
	// the track.
	workload string
	sets     []appsv1.ReplicaSet
	pods     []corev1.Pod
	slices   []discoveryv1.EndpointSlice
	// services are those whose endpoints must hold the track's pods.
	services []string
	// events may be empty; they make causes more precise.
	events []corev1.Event
	// running says for how long a running container has run; nil is for long
	// enough.
	running func(corev1.ContainerStatus) time.Duration
}

// progress is how far a track is on its way to being ready.
type progress struct {
	ready bool
	// line says what is waited for.
	line string
	// score grows with every pod that comes nearer to being ready. It is
	// compared with the largest so far, so that a pod that crashes and starts
	// again is no progress.
	score int
}

// newSet returns the ReplicaSet of the Deployment's present template.
func (o observed) newSet() *appsv1.ReplicaSet {
	d := o.deployment
	if d == nil || d.Status.ObservedGeneration < d.Generation {
		return nil // The numbers of revisions are those of before.
	}
	for i, s := range o.sets {
		if owned(s.OwnerReferences, d.UID) && s.Annotations[revisionAnnotation] == d.Annotations[revisionAnnotation] {
			return &o.sets[i]
		}
	}
	return nil
}

// newPods returns the pods of the present template that are not on their way
// out, and the other pods of the Deployment.
func (o observed) newPods() (fresh, old []corev1.Pod) {
	set := o.newSet()
	for _, p := range o.pods {
		switch {
		case terminal(p):
			// It is over with it, whoever made it, and the ReplicaSet has
			// made another one in its place.
		case set != nil && owned(p.OwnerReferences, set.UID):
			if p.DeletionTimestamp == nil {
				fresh = append(fresh, p)
			}
		case slices.ContainsFunc(o.sets, func(s appsv1.ReplicaSet) bool {
			return owned(s.OwnerReferences, o.deployment.UID) && owned(p.OwnerReferences, s.UID)
		}):
			old = append(old, p)
		}
	}
	return fresh, old
}

// finished returns the pods of the present template that came to an end, which
// only their nodes can bring about.
func (o observed) finished() []corev1.Pod {
	set := o.newSet()
	var out []corev1.Pod
	for _, p := range o.pods {
		if set != nil && owned(p.OwnerReferences, set.UID) && terminal(p) {
			out = append(out, p)
		}
	}
	return out
}

// terminal reports whether nothing of a pod runs any more, nor ever will.
func terminal(p corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// readiness says how far a track is that shall have so many pods.
func (o observed) readiness(wanted int) progress {
	d := o.deployment
	if d == nil {
		return progress{line: "waiting for the Deployment to appear"}
	}
	if d.Status.ObservedGeneration < d.Generation {
		return progress{line: "waiting for the Deployment controller"}
	}
	fresh, old := o.newPods()
	score := 0
	for _, p := range fresh {
		score += milestone(p)
	}
	// The pods are asked, not the Deployment's status, which two controllers
	// write one after the other.
	made, ready := len(fresh), 0
	for _, p := range fresh {
		if conditionTrue(p, corev1.PodReady) && o.steady(p) {
			ready++
		}
	}
	available := ready
	if d.Spec.MinReadySeconds > 0 {
		available = min(ready, int(d.Status.AvailableReplicas))
	}
	for _, c := range []struct {
		n    int
		line string
	}{
		{made, "%d of %d pods made"},
		{ready, "%d of %d pods ready"},
		{available, "%d of %d pods available" + minReady(d)},
	} {
		if c.n < wanted {
			return progress{line: fmt.Sprintf(c.line, c.n, wanted), score: score}
		}
		score += wanted
	}
	if over := made - wanted + remaining(old); over > 0 {
		return progress{line: fmt.Sprintf("%d pods too many still running", over), score: score}
	}
	for _, svc := range o.services {
		if line := o.endpoints(svc, wanted); line != "" {
			return progress{line: line, score: score}
		}
		score++
	}
	return progress{ready: true, line: fmt.Sprintf("%d of %d pods ready", wanted, wanted), score: score}
}

// remaining counts the pods that nobody has told to end.
func remaining(ps []corev1.Pod) int {
	n := 0
	for _, p := range ps {
		if p.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

func minReady(d *appsv1.Deployment) string {
	if d.Spec.MinReadySeconds == 0 {
		return ""
	}
	return fmt.Sprintf(" (minReadySeconds %d)", d.Spec.MinReadySeconds)
}

// endpoints says what is missing in the endpoints of a Service, "" when they
// hold as many ready pods as wanted and none of an older template. It is asked
// for every family of addresses that the Service has.
func (o observed) endpoints(service string, wanted int) string {
	fresh, old := o.newPods()
	isFresh, isOld := uids(fresh), uids(old)
	ready := map[discoveryv1.AddressType]map[types.UID]bool{}
	olds := 0
	for _, s := range o.slices {
		if s.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		if ready[s.AddressType] == nil {
			ready[s.AddressType] = map[types.UID]bool{}
		}
		for _, e := range s.Endpoints {
			// Ready unset means that it is not known, which the API says to
			// take for ready; here what is not known is not ready, except that
			// an old pod counts until it is known to be out.
			if e.TargetRef == nil {
				continue
			}
			if isOld[e.TargetRef.UID] && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				olds++
			}
			if isFresh[e.TargetRef.UID] && e.Conditions.Ready != nil && *e.Conditions.Ready {
				ready[s.AddressType][e.TargetRef.UID] = true
			}
		}
	}
	if olds > 0 {
		return fmt.Sprintf("%d old pods still in the endpoints of Service %s", olds, service)
	}
	if wanted > 0 && len(ready) == 0 {
		return fmt.Sprintf("Service %s has no endpoints yet", service)
	}
	for family, have := range ready {
		if len(have) < wanted && (len(have) > 0 || len(ready) == 1 || o.hasFamily(fresh, family)) {
			return fmt.Sprintf("%d of %d pods in the endpoints of Service %s", len(have), wanted, service)
		}
	}
	return ""
}

// hasFamily reports whether any pod has an address of the family; a cluster
// may keep empty slices of one that its pods do not have.
func (o observed) hasFamily(ps []corev1.Pod, family discoveryv1.AddressType) bool {
	return slices.ContainsFunc(ps, func(p corev1.Pod) bool {
		return slices.ContainsFunc(p.Status.PodIPs, func(ip corev1.PodIP) bool {
			return strings.Contains(ip.IP, ":") == (family == discoveryv1.AddressTypeIPv6)
		})
	})
}

// milestone is how far one pod has come.
func milestone(p corev1.Pod) int {
	n := 1
	for _, t := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		if conditionTrue(p, t) {
			n++
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.State.Waiting == nil || c.RestartCount > 0 || c.LastTerminationState.Terminated != nil {
			n++ // It was started at least once.
		}
	}
	return n
}

func conditionTrue(p corev1.Pod, t corev1.PodConditionType) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func uids(ps []corev1.Pod) map[types.UID]bool {
	m := map[types.UID]bool{}
	for _, p := range ps {
		m[p.UID] = true
	}
	return m
}

func owned(refs []metav1.OwnerReference, by types.UID) bool {
	return slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return r.UID == by })
}
