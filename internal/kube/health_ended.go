package kube

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ended reports a container that ended, perhaps again and again.
func (o observed) ended(c container, restarts int) (Problem, bool) {
	last, crashes := lastEnd(c.status)
	if last == nil || crashes == 0 || c.status.Ready && o.steadyContainer(c) {
		return Problem{}, false
	}
	if last.Reason == "StartError" || last.Reason == "ContainerCannotRun" {
		return o.startProblem(c, last.Reason, last.Message), true
	}
	p := Problem{Code: CrashLoop, Grace: Patient, Previous: c.status.State.Terminated == nil, Action: "read the container's last log lines in the evidence, or run it by hand: docker run --rm " + c.image()}
	if c.init {
		p.Code = InitFailed
	}
	how := howEnded(last)
	switch kind, said := o.killedBy(c, last); {
	case last.Reason == "OOMKilled":
		p.Code, p.Action = OutOfMemory, o.raiseMemory(c)
	case last.Reason == "ContainerStatusUnknown":
		p.Code, p.Action = NodeNotReady, "look at the node: kubectl describe node "+c.pod.Spec.NodeName
		restarts = max(restarts, crashes) // It is not the container's fault.
	case kind != "":
		p.Code = map[string]string{"startup": StartupProbe, "liveness": LivenessProbe}[kind]
		how += ", since its " + kind + " probe" + probeTarget(probeOf(c, kind)) + " did not pass" + said
		p.Action = "check path and port of the probe, or give it more time (failureThreshold × periodSeconds): kubectl -n " + c.pod.Namespace + " describe deployment " + o.workload
	case last.ExitCode == 0 && !c.init:
		how += ", by itself, as a job would; the program of a Deployment must go on"
	}
	p.Cause = fmt.Sprintf("%s ended %s (%s)", c.name(), times(crashes), how)
	if m := sentence(last.Message); m != "" {
		p.Cause += ": " + m
	}
	if crashes > restarts {
		p.Grace = 0
	}
	return p, true
}

// lastEnd is how a container ended the last time, and how often it has.
func lastEnd(cs corev1.ContainerStatus) (*corev1.ContainerStateTerminated, int) {
	crashes := int(cs.RestartCount)
	last := cs.LastTerminationState.Terminated
	if cs.State.Terminated != nil {
		return cs.State.Terminated, crashes + 1
	}
	if cs.State.Waiting != nil && cs.State.Waiting.Reason == "CrashLoopBackOff" {
		crashes++
	}
	return last, crashes
}

// howEnded says it with exit code or signal.
func howEnded(t *corev1.ContainerStateTerminated) string {
	how := fmt.Sprintf("exit code %d", t.ExitCode)
	switch {
	case t.Reason == "OOMKilled":
		how = fmt.Sprintf("OOMKilled, exit code %d", t.ExitCode)
	case t.Signal != 0:
		how = fmt.Sprintf("signal %d", t.Signal)
	case t.ExitCode == 137:
		how += ", killed"
	case t.ExitCode == 143:
		how += ", told to end"
	case t.ExitCode == 139:
		how += ", a segmentation fault"
	case t.ExitCode == 126:
		how += ", a command that cannot be run"
	case t.ExitCode == 127:
		how += ", a command that was not found"
	}
	return how
}

// killedBy says which probe a container was ended for, "" for none, and what
// the probe met; events alone tell. An end with an exit code of the program's
// own may come before the probe's kill, and is then the cause.
func (o observed) killedBy(c container, last *corev1.ContainerStateTerminated) (kind, said string) {
	if last.Reason == "OOMKilled" {
		return "", ""
	}
	for _, kind := range []string{"startup", "liveness"} {
		words := fmt.Sprintf("ontainer %s failed %s probe", c.status.Name, kind) // of a sidecar, "Init container"
		e, ok := o.event(c.pod, "Killing", "C"+words)
		if !ok {
			e, ok = o.event(c.pod, "Killing", "Init c"+words)
		}
		if after := last.FinishedAt.Sub(when(e)); !ok || after < -restartSlack || after > graceOf(c.pod)+restartSlack {
			continue // It is about another end.
		}
		if u, ok := o.event(c.pod, "Unhealthy", strings.ToUpper(kind[:1])+kind[1:]+" probe"); ok {
			said = ": " + probeSays(u.Message)
		}
		return kind, said
	}
	return "", ""
}

// graceOf is how long a container may take to end once it was told to.
func graceOf(p corev1.Pod) time.Duration {
	if s := p.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second
}

// probeSays is what a probe met, of the kubelet's "Readiness probe failed:
// Get "http://…": dial tcp …".
func probeSays(message string) string {
	if _, after, ok := strings.Cut(message, " probe failed: "); ok {
		message = after
	}
	return sentence(message)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
