package kube

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// whose says which container is spoken of.
type whose struct {
	pod  string
	init bool
}

func (w whose) name(container string) string {
	if w.init {
		return fmt.Sprintf("init container %s of pod %s", container, w.pod)
	}
	return fmt.Sprintf("container %s of pod %s", container, w.pod)
}

// containerProblem finds what is wrong with one container, given how many
// restarts are allowed.
func containerProblem(cs corev1.ContainerStatus, w whose, restarts int) (Problem, bool) {
	if w.init && cs.State.Terminated != nil && cs.State.Terminated.ExitCode == 0 {
		return Problem{}, false
	}
	if wait := cs.State.Waiting; wait != nil {
		switch wait.Reason {
		case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "InvalidImageName", "ErrImageNeverPull",
			"ImageInspectError", "SignatureValidationFailed":
			return pullProblem(cs), true
		case "CreateContainerConfigError":
			return configProblem(cs, w), true
		case "RunContainerError", "CreateContainerError", "PreStartHookError", "PostStartHookError", "StartError":
			return startProblem(w.name(cs.Name), wait.Reason, wait.Message), true
		}
	}
	return ended(cs, w, restarts)
}

// gone are the words by which registries say that trying again is of no use.
// They are looked for in the message without the image's own name.
var gone = regexp.MustCompile(`(?i)\bnot found\b|manifest unknown|name unknown|\bdenied\b|unauthorized|\bforbidden\b|` +
	`authorization failed|insufficient_scope|authentication required|no match for platform|no matching manifest|invalid reference format|does not exist`)

// brief are the words of trouble that passes, which win over those of [gone].
var brief = regexp.MustCompile(`(?i)toomanyrequests|too many requests|rate limit|\b429\b|\b50[0234]\b|timeout|timed out|connection refused|connection reset|no such host|\bEOF\b|temporar`)

// wrapping is what the layers above the registry put before its own words.
var wrapping = regexp.MustCompile(`rpc error: code = \w+ desc = |failed to pull and unpack image "[^"]*": |failed to resolve reference "[^"]*": |failed to resolve image: |Back-off pulling image "[^"]*": |ErrImagePull: |failed to copy: `)

// pullProblem reports an image that cannot be fetched, with the registry's own
// words.
func pullProblem(cs corev1.ContainerStatus) Problem {
	wait := cs.State.Waiting
	message := sentence(wrapping.ReplaceAllString(wait.Message, ""))
	p := Problem{
		Code: ImagePull, Grace: pullGrace,
		Cause:  fmt.Sprintf("image %s cannot be pulled: %s", cs.Image, message),
		Action: "check that the cluster's nodes reach the registry",
	}
	if message == "" {
		p.Cause = fmt.Sprintf("image %s cannot be pulled (%s)", cs.Image, wait.Reason)
	}
	words := strings.ReplaceAll(message, cs.Image, "")
	switch {
	case wait.Reason == "InvalidImageName":
		p.Grace, p.Action = 0, "write the image as registry/name@sha256:digest"
	case wait.Reason == "ErrImageNeverPull":
		p.Grace, p.Action = 0, "load the image onto the nodes, or change imagePullPolicy"
	case gone.MatchString(words) && !brief.MatchString(words):
		p.Grace = 0
		p.Action = "check that the image was pushed, and that the pods' imagePullSecrets may read it"
	}
	return p
}

// configProblem reports a missing Secret, ConfigMap or key.
func configProblem(cs corev1.ContainerStatus, w whose) Problem {
	message := cs.State.Waiting.Message
	p := Problem{
		Code: ConfigError, Grace: 0,
		Cause:  fmt.Sprintf("%s cannot be configured: %s", w.name(cs.Name), sentence(message)),
		Action: "make the Secret, ConfigMap or key that the message names",
	}
	if strings.Contains(message, "failed to sync") { // The kubelet has not read it yet.
		p.Grace = nodeGrace
	}
	return p
}

// notThere tells a command that the image does not have from trouble of the
// node's, which has the same exit code, 128.
var notThere = regexp.MustCompile(`(?i)executable file not found|no such file or directory|permission denied|exec format error|not a directory|is a directory`)

// startProblem reports a container that the node cannot start.
func startProblem(name, reason, message string) Problem {
	p := Problem{
		Code: StartError, Grace: nodeGrace,
		Cause:  fmt.Sprintf("%s cannot be started (%s): %s", name, reason, sentence(lastPart(message))),
		Action: "if it stays, look at the node that the pod is on",
	}
	if notThere.MatchString(message) {
		p.Grace, p.Action = 0, "check command, args and platform of the image"
	}
	return p
}

// lastPart keeps the innermost reason of the long chains of containerd's.
func lastPart(message string) string {
	if _, after, ok := strings.Cut(message, "unable to start container process: "); ok {
		return after
	}
	return wrapping.ReplaceAllString(message, "")
}

// ended reports a container that ended, perhaps again and again.
func ended(cs corev1.ContainerStatus, w whose, restarts int) (Problem, bool) {
	last := cs.State.Terminated
	crashes := int(cs.RestartCount)
	switch {
	case last != nil:
		crashes++
	case cs.State.Waiting != nil && cs.State.Waiting.Reason == "CrashLoopBackOff":
		crashes++
		last = cs.LastTerminationState.Terminated
	case cs.Ready:
		return Problem{}, false
	default:
		last = cs.LastTerminationState.Terminated
	}
	if last == nil || crashes == 0 {
		return Problem{}, false
	}
	if last.Reason == "StartError" || last.Reason == "ContainerCannotRun" {
		return startProblem(w.name(cs.Name), last.Reason, last.Message), true
	}
	p := Problem{Code: CrashLoop, Grace: Patient, Action: "read the container's last log lines"}
	how := fmt.Sprintf("exit code %d", last.ExitCode)
	switch {
	case last.Reason == "OOMKilled":
		p.Code, how, p.Action = OutOfMemory, "OOMKilled", "raise its memory limit, or find out why it needs so much"
	case last.Signal != 0:
		how = fmt.Sprintf("signal %d", last.Signal)
	case last.ExitCode == 137:
		how += ", killed; did a liveness or startup probe fail, or its memory run out?"
	}
	if w.init {
		p.Code = InitFailed
	}
	p.Cause = fmt.Sprintf("%s ended %s (%s)", w.name(cs.Name), times(crashes), how)
	if m := sentence(last.Message); m != "" {
		p.Cause += ": " + m
	}
	if crashes > restarts {
		p.Grace = 0
	}
	return p, true
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
