package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The codes of [Problem], and of stages.NotReadyError from this platform.
const (
	ImagePull     = "ImagePull"     // the image cannot be fetched
	CrashLoop     = "CrashLoop"     // a container ends again and again
	InitFailed    = "InitFailed"    // so does an init container
	OutOfMemory   = "OutOfMemory"   // a container is ended for its memory
	ConfigError   = "ConfigError"   // a ConfigMap or Secret, or a key in it, is missing
	StartError    = "StartError"    // a container cannot be started
	Unschedulable = "Unschedulable" // no node has room
	Quota         = "Quota"         // a quota refuses the pods
	Refused       = "Refused"       // an admission webhook or policy refuses the pods
	VolumeError   = "VolumeError"   // a volume cannot be mounted
	NotPassing    = "NotPassing"    // the containers run, the probes do not pass
	NoRoute       = "NoRoute"       // the pods are ready, the Service does not have them
	Timeout       = "Timeout"       // none of these, and no time left
	Lost          = "Lost"          // its pods were ready, and are not any more
)

// Problem is a reason why a track is not ready.
type Problem struct {
	// Code is one of the constants, Cause one sentence for people, Action what
	// to do about it.
	Code, Cause, Action string
	// Grace is how long it may last before it is fatal, since it may pass by
	// itself; 0 is fatal at once. See [Patient].
	Grace time.Duration
	// Pod and Container say where, if it is about one.
	Pod, Container string
}

// Patient as a [Problem.Grace] leaves it to the timeouts.
const Patient = time.Duration(1<<62 - 1)

// How long things that can pass by themselves may last.
const (
	pullGrace     = 60 * time.Second // rate limits, a registry that restarts
	refusedGrace  = 20 * time.Second // a quota is full until old pods are gone
	scheduleGrace = 45 * time.Second // room appears when others go
	mountGrace    = 60 * time.Second // volumes move from node to node
	nodeGrace     = 30 * time.Second // the node fails to start a container
)

// diagnose finds what keeps a track from being ready, the worst first: what is
// fatal at once before what may pass. It looks only at the pods of the new
// ReplicaSet.
func (o observed) diagnose(restarts int) []Problem {
	var out []Problem
	if o.deployment == nil {
		return nil
	}
	if p, ok := o.refused(); ok {
		out = append(out, p)
	}
	fresh, _ := o.newPods()
	for _, p := range fresh {
		out = append(out, o.podProblems(p, restarts)...)
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return cmp.Compare(a.Grace, b.Grace) })
	return out
}

// refused reads from ReplicaSet and Deployment that pods cannot be made.
func (o observed) refused() (Problem, bool) {
	message := ""
	if set := o.newSet(); set != nil {
		for _, c := range set.Status.Conditions {
			if c.Type == "ReplicaFailure" && c.Status == corev1.ConditionTrue {
				message = c.Message
			}
		}
	}
	if message == "" {
		return Problem{}, false
	}
	p := Problem{
		Code: Refused, Grace: refusedGrace, Cause: "pods cannot be made: " + sentence(message),
		Action: "mend what the message names; kubectl describe replicaset shows it too",
	}
	if strings.Contains(message, "exceeded quota") {
		p.Code, p.Action = Quota, "raise the ResourceQuota, or lower the requests or the size of the canary"
	}
	return p, true
}

// podProblems finds what is wrong with one pod.
func (o observed) podProblems(p corev1.Pod, restarts int) []Problem {
	if conditionTrue(p, corev1.PodReady) {
		return nil
	}
	if q, ok := o.unscheduled(p); ok {
		return []Problem{q}
	}
	if p.Status.Phase == corev1.PodFailed {
		// Evicted, preempted, or its node shut down: another one is made.
		return []Problem{{
			Code: NotPassing, Pod: p.Name, Grace: Patient, Action: "look at the node's condition",
			Cause: fmt.Sprintf("pod %s was ended by its node: %s", p.Name, sentence(cmp.Or(p.Status.Message, p.Status.Reason))),
		}}
	}
	var out []Problem
	for i, cs := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if q, ok := containerProblem(cs, whose{pod: p.Name, init: i < len(p.Status.InitContainerStatuses)}, restarts); ok {
			q.Pod, q.Container = p.Name, cs.Name
			out = append(out, q)
		}
	}
	if len(out) > 0 {
		return out
	}
	if q, ok := o.mount(p); ok {
		return []Problem{q}
	}
	return o.probes(p)
}

// unscheduled reports a pod that no node takes.
func (o observed) unscheduled(p corev1.Pod) (Problem, bool) {
	for _, c := range p.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		q := Problem{
			Code: Unschedulable, Pod: p.Name, Grace: scheduleGrace,
			Cause:  fmt.Sprintf("no node takes pod %s: %s", p.Name, sentence(c.Message)),
			Action: "add room to the cluster, or lower the pods' requests or the size of the canary",
		}
		if c.Reason == corev1.PodReasonSchedulingGated {
			q.Action = "remove the pod's scheduling gates"
		}
		if _, ok := o.event(p, "TriggeredScaleUp"); ok {
			q.Grace = Patient // A node is on its way.
		}
		return q, true
	}
	return Problem{}, false
}

// mount reports a volume that a pod waits for; only events tell.
func (o observed) mount(p corev1.Pod) (Problem, bool) {
	for _, reason := range []string{"FailedMount", "FailedAttachVolume"} {
		e, ok := o.event(p, reason)
		if !ok || milestone(p) > 3 {
			continue
		}
		return Problem{
			Code: VolumeError, Pod: p.Name, Grace: mountGrace,
			Cause:  fmt.Sprintf("pod %s waits for a volume: %s", p.Name, sentence(e.Message)),
			Action: "make the Secret, ConfigMap or volume that the message names",
		}, true
	}
	return Problem{}, false
}

// probes reports containers that run and are not ready.
func (o observed) probes(p corev1.Pod) []Problem {
	var out []Problem
	for _, cs := range p.Status.ContainerStatuses {
		if cs.Ready || cs.State.Running == nil {
			continue
		}
		kind, probe := "readiness", (*corev1.Probe)(nil)
		for _, c := range p.Spec.Containers {
			if c.Name != cs.Name {
				continue
			}
			probe = c.ReadinessProbe
			if c.StartupProbe != nil && (cs.Started == nil || !*cs.Started) {
				kind, probe = "startup", c.StartupProbe
			}
		}
		cause := fmt.Sprintf("container %s of pod %s runs, and its %s probe%s does not pass", cs.Name, p.Name, kind, probeTarget(probe))
		if e, ok := o.event(p, "Unhealthy"); ok {
			cause += ": " + sentence(e.Message)
		}
		out = append(out, Problem{
			Code: NotPassing, Cause: cause, Grace: Patient, Pod: p.Name, Container: cs.Name,
			Action: "read the container's log, and check path and port of the probe",
		})
	}
	return out
}

// probeTarget says what a probe asks, such as " (GET :8000/ready)".
func probeTarget(p *corev1.Probe) string {
	switch {
	case p == nil:
		return ""
	case p.HTTPGet != nil:
		return fmt.Sprintf(" (GET :%s%s)", p.HTTPGet.Port.String(), p.HTTPGet.Path)
	case p.TCPSocket != nil:
		return fmt.Sprintf(" (TCP :%s)", p.TCPSocket.Port.String())
	case p.GRPC != nil:
		return fmt.Sprintf(" (gRPC :%d)", p.GRPC.Port)
	case p.Exec != nil:
		return fmt.Sprintf(" (%s)", shorten(strings.Join(p.Exec.Command, " "), 80))
	}
	return ""
}

// event returns the last event about a pod with a reason.
func (o observed) event(p corev1.Pod, reason string) (corev1.Event, bool) {
	var last corev1.Event
	found := false
	for _, e := range o.events {
		if e.InvolvedObject.UID == p.UID && e.Reason == reason && (!found || !when(e).Before(when(last))) {
			last, found = e, true
		}
	}
	return last, found
}

// when is the time of the last occurrence of an event.
func when(e corev1.Event) time.Time {
	if e.Series != nil && !e.Series.LastObservedTime.IsZero() {
		return e.Series.LastObservedTime.Time
	}
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// sentence makes one bounded line of a message of Kubernetes'.
func sentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return shorten(strings.TrimRight(s, "."), 400)
}

// shorten keeps at most n runes.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
