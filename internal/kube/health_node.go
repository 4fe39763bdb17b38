package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// unscheduled reports a pod that no node takes, in the scheduler's own words.
func (o observed) unscheduled(p corev1.Pod) (Problem, bool) {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
	if i < 0 {
		return Problem{}, false
	}
	c := p.Status.Conditions[i]
	q := Problem{
		Code: Unschedulable, Pod: p.Name, Grace: scheduleGrace, Quiet: eventsAfter,
		Cause: fmt.Sprintf("no node takes pod %s: %s", p.Name, sentence(c.Message)),
	}
	q.Action = roomFor(c.Message)
	switch {
	case c.Reason == corev1.PodReasonSchedulingGated:
		q.Grace, q.Action = Patient, "have the controller that gates the pods let them go: kubectl -n "+p.Namespace+" get deployment "+o.deployment.Name+" -o jsonpath='{.spec.template.spec.schedulingGates}'"
	case strings.Contains(strings.ToLower(c.Message), "persistentvolumeclaim"):
		q.Code = VolumeError
		q.Action = "make the PersistentVolumeClaim, or have it bound: kubectl -n " + p.Namespace + " get pvc"
	}
	for _, growing := range []string{"TriggeredScaleUp", "Nominated"} { // by the cluster autoscaler, and by Karpenter
		if e, ok := o.event(p, growing, ""); ok {
			q.Grace = Patient // A node is on its way.
			q.Cause += "; a node is on its way: " + sentence(e.Message)
			return q, true
		}
	}
	if e, ok := o.event(p, "NotTriggerScaleUp", ""); ok {
		q.Cause += "; the cluster does not grow: " + sentence(e.Message)
	}
	return q, true
}

// roomFor says what to do about a sentence of the scheduler's.
func roomFor(message string) string {
	const nodes = "kubectl describe nodes"
	switch {
	case strings.Contains(message, "Insufficient"), strings.Contains(message, "Too many pods"):
		return "add room to the cluster, or lower the pods' requests or the size of the canary: " + nodes
	case strings.Contains(message, "untolerated taint"):
		return "give the pods a toleration for the taint, or a node without it: " + nodes
	case strings.Contains(message, "affinity"), strings.Contains(message, "selector"):
		return "mend nodeSelector or affinity, or label a node: kubectl get nodes --show-labels"
	case strings.Contains(message, "free ports"):
		return "do without hostPort: two tracks cannot have the same port of one node: kubectl get nodes"
	case strings.Contains(message, "topology spread"):
		return "add nodes, or let topologySpreadConstraints be broken (whenUnsatisfiable: ScheduleAnyway): kubectl get nodes --show-labels"
	}
	return "mend what keeps the pods from the nodes: " + nodes
}

// storageFull tells a pod that its node ended for what the pod itself did: the
// next one will do it, too.
var storageFull = pattern(`exceed(?:s|ed)[^.]*(?:local ephemeral|limit|emptyDir)`)

// endedByNodes reports pods that their nodes ended: evicted, preempted, shut
// down. The ReplicaSet makes others in their place.
func (o observed) endedByNodes(restarts int) (Problem, bool) {
	var last corev1.Pod
	n, own := 0, 0
	why := ""
	for _, p := range o.finished() {
		said := o.whyFinished(p)
		if n++; n == 1 || last.CreationTimestamp.Before(&p.CreationTimestamp) {
			last, why = p, said
		}
		if storageFull().MatchString(said) {
			own++
		}
	}
	if n == 0 {
		return Problem{}, false
	}
	q := Problem{
		Code: Evicted, Pod: last.Name, Grace: Patient, Quiet: eventsAfter,
		Cause:  fmt.Sprintf("%s ended by nodes, the last one %s: %s", podsWere(n), last.Name, why),
		Action: "see what the node lacks: kubectl describe node " + cmp.Or(last.Spec.NodeName, "NAME"),
	}
	if own > 0 {
		q.Action = "raise the limit that the message names, or write less to the pod's own files: " + eventsCommand(last)
	}
	if own > restarts {
		q.Grace = 0
	}
	return q, true
}

// whyFinished says why a node ended a pod. The pod itself does not say so
// where its programs ended gracefully: it counts as succeeded then.
func (o observed) whyFinished(p corev1.Pod) string {
	if s := strings.TrimPrefix(p.Status.Reason+": "+p.Status.Message, ": "); s != "" {
		return sentence(s)
	}
	for _, reason := range []string{"Evicted", "Preempted", "Preempting", "Shutdown", "ExceededGracePeriod"} {
		if e, ok := o.event(p, reason, ""); ok {
			return sentence(reason + ": " + e.Message)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return sentence(strings.TrimPrefix(c.Reason+": "+c.Message, ": "))
		}
	}
	return "all of its containers ended"
}

func podsWere(n int) string {
	if n == 1 {
		return "1 pod was"
	}
	return fmt.Sprintf("%d pods were", n)
}

// nodeGone reports a pod whose node does not answer; its containers may run or
// not.
func (o observed) nodeGone(p corev1.Pod) (Problem, bool) {
	lost := p.Status.Reason == "NodeLost"
	if e, ok := o.event(p, "NodeNotReady", ""); ok {
		recent, other := when(e), time.Time{}
		for _, reason := range []string{"Started", "Unhealthy", "Pulled", "Created", "BackOff"} {
			if f, ok := o.event(p, reason, ""); ok && when(f).After(other) {
				other = when(f)
			}
		}
		lost = lost || recent.After(other) // Since then its kubelet has said nothing.
	}
	if !lost || conditionTrue(p, corev1.PodReady) {
		return Problem{}, false
	}
	return Problem{
		Code: NodeNotReady, Pod: p.Name, Grace: Patient, Quiet: eventsAfter,
		Cause:  fmt.Sprintf("node %s of pod %s does not answer", p.Spec.NodeName, p.Name),
		Action: "mend or drain the node: kubectl describe node " + p.Spec.NodeName,
	}, true
}

// creating reports whether the containers of a pod wait for what the node
// gives them before they can begin: volumes and network.
func (o observed) creating(p corev1.Pod) bool {
	if conditionTrue(p, corev1.PodReadyToStartContainers) {
		return false
	}
	for _, later := range []string{"Pulling", "Pulled", "Created"} { // where the condition is not known, before Kubernetes 1.29
		if _, ok := o.event(p, later, ""); ok {
			return false
		}
	}
	for _, c := range containersOf(p) {
		if c.status.State.Waiting == nil || c.status.RestartCount > 0 || c.status.LastTerminationState.Terminated != nil {
			return false // It was started at least once.
		}
	}
	return p.Spec.NodeName != ""
}

// missingObject finds the object that a message of the kubelet's says is not there.
var missingObject = pattern(`(?i)\b(secret|configmap|persistentvolumeclaim|serviceaccount)s? "([^"]+)" not found`)

// missingKey finds the object that lacks a key.
var missingKey = pattern(`(?i)non-existent (?:config|secret) key: (\S+)|couldn't find key (\S+) in (ConfigMap|Secret) ([^/\s]+)/(\S+)`)

// mount reports a volume that a pod waits for; only events tell.
func (o observed) mount(p corev1.Pod) (Problem, bool) {
	if !o.creating(p) {
		return Problem{}, false
	}
	for _, reason := range []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume"} {
		e, ok := o.event(p, reason, "")
		if !ok {
			continue
		}
		q := Problem{
			Code: VolumeError, Pod: p.Name, Grace: mountGrace, Quiet: eventsAfter,
			Cause:  fmt.Sprintf("pod %s waits for a volume: %s", p.Name, sentence(e.Message)),
			Action: "see what keeps the volume from the node: " + eventsCommand(p),
		}
		if m := missingObject().FindStringSubmatch(e.Message); m != nil {
			q.Grace = missingGrace
			q.Action = fmt.Sprintf("make it: kubectl -n %s get %s %s", p.Namespace, strings.ToLower(m[1]), m[2])
		} else if missingKey().MatchString(e.Message) {
			q.Grace = missingGrace
			q.Action = "add the key to the Secret or ConfigMap of the volume: kubectl -n " + p.Namespace + " get secrets,configmaps"
		}
		return q, true
	}
	return Problem{}, false
}

// sandbox reports a node that cannot set up a pod's network, which most often
// passes.
func (o observed) sandbox(p corev1.Pod) (Problem, bool) {
	if !o.creating(p) {
		return Problem{}, false
	}
	for _, reason := range []string{"FailedCreatePodSandBox", "NetworkNotReady"} {
		if e, ok := o.event(p, reason, ""); ok {
			return Problem{
				Code: Sandbox, Pod: p.Name, Grace: sandboxGrace, Quiet: eventsAfter,
				Cause:  fmt.Sprintf("node %s cannot set up pod %s: %s", p.Spec.NodeName, p.Name, sentence(lastPart(e.Message))),
				Action: "look at the node and at its network plugin's pods: kubectl -n kube-system get pods -o wide --field-selector spec.nodeName=" + p.Spec.NodeName,
			}, true
		}
	}
	return Problem{}, false
}

// pulling reports an image that is still being fetched.
func (o observed) pulling(p corev1.Pod) (Problem, bool) {
	e, ok := o.event(p, "Pulling", "")
	if !ok {
		return Problem{}, false
	}
	for _, reason := range []string{"Pulled", "Failed", "Created", "Started"} {
		if f, ok := o.event(p, reason, ""); ok && !when(f).Before(when(e)) {
			return Problem{}, false
		}
	}
	for _, c := range containersOf(p) {
		if w := c.status.State.Waiting; w != nil && (w.Reason == "ContainerCreating" || w.Reason == "PodInitializing") {
			return Problem{
				Code: Pulling, Pod: p.Name, Container: c.status.Name, Grace: Patient, Quiet: eventsAfter,
				Cause:  fmt.Sprintf("node %s is still pulling: %s", p.Spec.NodeName, sentence(e.Message)),
				Action: "wait longer (readyTimeout), or make the image smaller: " + eventsCommand(p),
			}, true
		}
	}
	return Problem{}, false
}
