package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Problem is a reason why a track is not ready.
type Problem struct {
	// Code is one of [Codes], Cause one sentence for people, Action what to do
	// about it, with a command where there is one that helps even after the
	// rollback.
	Code, Cause, Action string
	// Grace is how long it may last before it is fatal, since it may pass by
	// itself; 0 is fatal at once. See [Patient].
	Grace time.Duration
	// Quiet is how long it is what is to be expected, and not worth a word.
	Quiet time.Duration
	// Pod and Container say where, if it is about one.
	Pod, Container string
	// Previous is true where the log of the container as it was before its last
	// start says more than that since then.
	Previous bool
}

// key tells whether a problem is still the same one a moment later.
func (p Problem) key() string { return p.Code + "/" + p.Pod + "/" + p.Container }

// speaks reports whether the log of the problem's container may say more.
func (p Problem) speaks() bool {
	return p.Container != "" && slices.Contains([]string{
		CrashLoop, InitFailed, InitRunning, OutOfMemory, StartupProbe, LivenessProbe, NotPassing,
	}, p.Code)
}

// Patient as a [Problem.Grace] leaves it to the timeouts.
const Patient = time.Duration(1<<62 - 1)

// How long things that can pass by themselves may last.
const (
	pullGrace     = 60 * time.Second // rate limits, a registry that restarts
	refusedGrace  = 20 * time.Second // a quota is full until old pods are gone
	webhookGrace  = 60 * time.Second // a webhook's own pods restart
	scheduleGrace = 45 * time.Second // room appears when others go
	mountGrace    = 60 * time.Second // volumes move from node to node
	missingGrace  = 20 * time.Second // a Secret that a controller is about to make
	sandboxGrace  = 90 * time.Second // a network plugin restarts
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
	if p, ok := o.endedByNodes(restarts); ok {
		out = append(out, p)
	}
	if len(out) == 0 {
		out = o.unrouted(fresh)
	}
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Grace, b.Grace), cmp.Compare(a.Quiet, b.Quiet))
	})
	return out
}

// podProblems finds what is wrong with one pod.
func (o observed) podProblems(p corev1.Pod, restarts int) []Problem {
	if conditionTrue(p, corev1.PodReady) && o.steady(p) {
		return nil
	}
	if q, ok := o.unscheduled(p); ok {
		return []Problem{q}
	}
	if q, ok := o.nodeGone(p); ok {
		return []Problem{q}
	}
	var out []Problem
	for _, c := range containersOf(p) {
		if q, ok := o.containerProblem(c, restarts); ok {
			q.Pod, q.Container = p.Name, c.status.Name
			out = append(out, q)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, find := range []func(corev1.Pod) (Problem, bool){o.mount, o.sandbox, o.pulling, o.initRunning} {
		if q, ok := find(p); ok {
			return []Problem{q}
		}
	}
	if out = o.probes(p); len(out) > 0 {
		return out
	}
	return o.gates(p)
}

// container is one of a pod's, as specified and as it is.
type container struct {
	pod    corev1.Pod
	spec   corev1.Container
	status corev1.ContainerStatus
	// init is true of one that must end before the others begin, sidecar of
	// one that begins before them and goes on.
	init, sidecar bool
}

// containersOf returns the containers of a pod that have a status, those that
// begin first before the others.
func containersOf(p corev1.Pod) []container {
	var out []container
	add := func(statuses []corev1.ContainerStatus, specs []corev1.Container, init bool) {
		for _, cs := range statuses {
			c := container{pod: p, status: cs, init: init}
			if i := slices.IndexFunc(specs, func(s corev1.Container) bool { return s.Name == cs.Name }); i >= 0 {
				c.spec = specs[i]
			}
			if always := corev1.ContainerRestartPolicyAlways; init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == always {
				c.init, c.sidecar = false, true
			}
			out = append(out, c)
		}
	}
	add(p.Status.InitContainerStatuses, p.Spec.InitContainers, true)
	add(p.Status.ContainerStatuses, p.Spec.Containers, false)
	return out
}

// name says which container it is, for people.
func (c container) name() string {
	kind := "container"
	switch {
	case c.init:
		kind = "init container"
	case c.sidecar:
		kind = "sidecar"
	}
	return fmt.Sprintf("%s %s of pod %s", kind, c.status.Name, c.pod.Name)
}

// image is the container's as the specification has it; the status of one that
// runs may only say what the node calls it.
func (c container) image() string { return cmp.Or(c.spec.Image, c.status.Image) }

// event returns the last event about a pod with a reason whose message begins
// with prefix.
func (o observed) event(p corev1.Pod, reason, prefix string) (corev1.Event, bool) {
	var last corev1.Event
	found := false
	for _, e := range o.events {
		if e.InvolvedObject.UID == p.UID && e.Reason == reason && strings.HasPrefix(e.Message, prefix) && (!found || !when(e).Before(when(last))) {
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

// eventsCommand is the command that shows the events of a pod, which outlive
// it by an hour.
func eventsCommand(p corev1.Pod) string {
	return fmt.Sprintf("kubectl -n %s get events --field-selector involvedObject.name=%s", p.Namespace, p.Name)
}

// namespaceOf is where the track is.
func (o observed) namespace() string { return o.deployment.Namespace }

// condition returns a condition of a Deployment.
func condition(d *appsv1.Deployment, t appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
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
