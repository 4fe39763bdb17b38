package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// restartSlack is how far the times of a container's end and of the event
// about it may lie apart.
const restartSlack = 2 * time.Second

// unprobed is how long a container that has no readiness probe must have run
// before it counts as ready: Kubernetes shows it as ready from its first
// moment on, even if it ends at once.
const unprobed = 3 * time.Second

// outlive bounds how long a container that has ended must have run this time:
// longer than the last time, or it may be about to end again.
const outlive = 30 * time.Second

// steady reports whether the readiness of a pod can be believed.
func (o observed) steady(p corev1.Pod) bool {
	return !slices.ContainsFunc(containersOf(p), func(c container) bool { return !c.init && !o.steadyContainer(c) })
}

// steadyContainer reports it for one container.
func (o observed) steadyContainer(c container) bool {
	if c.spec.Name == "" || c.status.State.Running == nil || o.running == nil {
		return true
	}
	need := time.Duration(0)
	if c.spec.ReadinessProbe == nil {
		need = unprobed
	}
	if last := c.status.LastTerminationState.Terminated; last != nil {
		need = max(need, min(last.FinishedAt.Sub(last.StartedAt.Time)+unprobed, outlive))
	}
	return need == 0 || o.running(c.status) >= need
}

// probes reports containers that run and are not ready.
func (o observed) probes(p corev1.Pod) []Problem {
	var out []Problem
	for _, c := range containersOf(p) {
		cs := c.status
		if cs.State.Running == nil || c.init || cs.Ready && (!c.sidecar || cs.Started == nil || *cs.Started) {
			continue
		}
		kind := "readiness"
		if c.spec.StartupProbe != nil && (cs.Started == nil || !*cs.Started) {
			kind = "startup"
		} else if c.sidecar && c.spec.ReadinessProbe == nil {
			continue
		}
		probe := probeOf(c, kind)
		cause := fmt.Sprintf("%s runs, and its %s probe%s does not pass", c.name(), kind, probeTarget(probe))
		if e, ok := o.event(p, "Unhealthy", strings.ToUpper(kind[:1])+kind[1:]+" probe"); ok {
			cause += ": " + probeSays(e.Message)
		}
		out = append(out, Problem{
			Code: NotPassing, Cause: cause, Grace: Patient, Quiet: max(containerBudget(c.spec), eventsAfter), Pod: p.Name, Container: cs.Name,
			Action: "read the container's log in the evidence, and check path and port of the probe: " + eventsCommand(p),
		})
	}
	return out
}

// initRunning reports an init container that has not ended yet, while the
// others wait for it.
func (o observed) initRunning(p corev1.Pod) (Problem, bool) {
	for _, c := range containersOf(p) {
		if !c.init || c.status.State.Running == nil {
			continue
		}
		return Problem{
			Code: InitRunning, Pod: p.Name, Container: c.status.Name, Grace: Patient, Quiet: 5 * time.Second,
			Cause:  c.name() + " has not ended yet, and the others wait for it",
			Action: "read in its log, which is in the evidence, what it waits for: " + eventsCommand(p),
		}, true
	}
	return Problem{}, false
}

// gates reports a pod whose containers are ready and that is not ready itself,
// since another controller has a say in it.
func (o observed) gates(p corev1.Pod) []Problem {
	if !conditionTrue(p, corev1.ContainersReady) {
		return nil
	}
	var waits []string
	for _, g := range p.Spec.ReadinessGates {
		if !conditionTrue(p, g.ConditionType) {
			waits = append(waits, string(g.ConditionType))
		}
	}
	if len(waits) == 0 {
		return nil
	}
	return []Problem{{
		Code: ReadinessGate, Pod: p.Name, Grace: Patient, Quiet: eventsAfter,
		Cause:  fmt.Sprintf("the containers of pod %s are ready, but its readiness gates are not: %s", p.Name, strings.Join(waits, ", ")),
		Action: "look at the controller that sets these conditions, such as that of a load balancer: " + eventsCommand(p),
	}}
}

// probeOf returns a container's probe of a kind, nil if it has none.
func probeOf(c container, kind string) *corev1.Probe {
	switch kind {
	case "startup":
		return c.spec.StartupProbe
	case "liveness":
		return c.spec.LivenessProbe
	}
	return c.spec.ReadinessProbe
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

// probeBudget is how long the slowest container of a pod may take, by its own
// probes, from its start until it is ready.
func probeBudget(spec corev1.PodSpec) time.Duration {
	var most time.Duration
	for _, c := range spec.Containers {
		most = max(most, containerBudget(c))
	}
	return most
}

// containerBudget is [probeBudget] for one container: until then, failing
// probes are what is to be expected. Once it has started, as many tries are
// granted as its readiness probe's own thresholds make of one success.
func containerBudget(c corev1.Container) time.Duration {
	var d time.Duration
	if s := c.StartupProbe; s != nil {
		d += seconds(s.InitialDelaySeconds, 0) + number(s.FailureThreshold, 3)*seconds(s.PeriodSeconds, 10) + seconds(s.TimeoutSeconds, 1)
	}
	if r := c.ReadinessProbe; r != nil {
		success := number(r.SuccessThreshold, 1)
		tries := max(success, number(r.FailureThreshold, 3)+success-3)
		d += seconds(r.InitialDelaySeconds, 0) + tries*seconds(r.PeriodSeconds, 10) + seconds(r.TimeoutSeconds, 1)
	}
	return d
}

// number is a field of a probe, 0 meaning its default.
func number(n, def int32) time.Duration {
	if n == 0 {
		n = def
	}
	return time.Duration(n)
}

// seconds is [number] for a field that counts seconds.
func seconds(n, def int32) time.Duration { return number(n, def) * time.Second }
