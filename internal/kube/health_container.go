package kube

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// containerProblem finds what is wrong with one container, given how many
// restarts are allowed.
func (o observed) containerProblem(c container, restarts int) (Problem, bool) {
	cs := c.status
	if c.init && cs.State.Terminated != nil && cs.State.Terminated.ExitCode == 0 {
		return Problem{}, false
	}
	if wait := cs.State.Waiting; wait != nil {
		switch wait.Reason {
		case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "InvalidImageName", "ErrImageNeverPull",
			"ImageInspectError", "SignatureValidationFailed":
			return o.pullProblem(c), true
		case "CreateContainerConfigError":
			return o.configProblem(c), true
		case "RunContainerError", "CreateContainerError", "PreStartHookError", "PostStartHookError", "StartError":
			return o.startProblem(c, wait.Reason, wait.Message), true
		}
	}
	return o.ended(c, restarts)
}

// gone are the words by which registries say that trying again is of no use.
// They are looked for in the message without the image's own name.
var gone = pattern(`(?i)\bnot found\b|manifest unknown|name unknown|no match for platform|no matching manifest|invalid reference format|does not exist`)

// denied are those by which they say that it would be of use to somebody else.
var denied = pattern(`(?i)\bdenied\b|unauthorized|\bforbidden\b|authorization failed|insufficient_scope|authentication required`)

// brief are the words of trouble that passes, which win over those of [gone].
var brief = pattern(`(?i)toomanyrequests|too many requests|rate limit|\b429\b|\b50[0234]\b|timeout|timed out|connection refused|connection reset|no such host|\bEOF\b|temporar`)

// wrapping is what the layers above the registry put before its own words.
var wrapping = pattern(`rpc error: code = \w+ desc = |failed to pull and unpack image "[^"]*": |failed to resolve reference "[^"]*": |failed to resolve image: |Back-off pulling image "[^"]*"(?:: |$)|ErrImagePull: |Failed to pull image "[^"]*": |failed to copy: `)

// pullProblem reports an image that cannot be fetched, with the registry's own
// words.
func (o observed) pullProblem(c container) Problem {
	wait, image := c.status.State.Waiting, c.image()
	message := sentence(wrapping().ReplaceAllString(wait.Message, ""))
	if message == "" { // Between two tries, older kubelets say why in events alone.
		if e, ok := o.event(c.pod, "Failed", "Failed to pull image"); ok {
			message = sentence(wrapping().ReplaceAllString(e.Message, ""))
		}
	}
	message = strings.TrimPrefix(message, image+": ")
	p := Problem{
		Code: ImagePull, Grace: pullGrace,
		Cause:  fmt.Sprintf("image %s of %s cannot be pulled: %s", image, c.name(), message),
		Action: "check that the cluster's nodes reach the registry: " + eventsCommand(c.pod),
	}
	if message == "" {
		p.Cause = fmt.Sprintf("image %s of %s cannot be pulled (%s)", image, c.name(), wait.Reason)
	}
	words := strings.ReplaceAll(message, image, "")
	switch {
	case wait.Reason == "InvalidImageName":
		p.Grace, p.Action = 0, "write the image as registry/name@sha256:digest"
	case wait.Reason == "ErrImageNeverPull":
		p.Grace, p.Action = 0, "load the image onto the nodes, or change imagePullPolicy"
	case brief().MatchString(words):
	case denied().MatchString(words):
		p.Grace = 0
		p.Action = "check that the image exists, and that the pods' imagePullSecrets may read it: kubectl -n " + c.pod.Namespace + " get serviceaccount,secrets"
	case gone().MatchString(words):
		p.Grace = 0
		p.Action = "check that the image was pushed, for the nodes' platform: docker manifest inspect " + image
	}
	return p
}

// rootUser are the words of a kubelet that refuses to run a program as root.
var rootUser = pattern(`runAsNonRoot|non-root`)

// configProblem reports a missing Secret, ConfigMap or key.
func (o observed) configProblem(c container) Problem {
	message := c.status.State.Waiting.Message
	p := Problem{
		Code: ConfigError, Grace: 0,
		Cause:  fmt.Sprintf("%s cannot be configured: %s", c.name(), sentence(message)),
		Action: "mend what the message names: " + eventsCommand(c.pod),
	}
	if m := missingObject().FindStringSubmatch(message); m != nil {
		p.Action = fmt.Sprintf("make it, or take its name out of the container: kubectl -n %s get %s %s", c.pod.Namespace, strings.ToLower(m[1]), m[2])
	} else if m := missingKey().FindStringSubmatch(message); m != nil && m[2] != "" {
		p.Action = fmt.Sprintf("add the key %s to it: kubectl -n %s describe %s %s", m[2], c.pod.Namespace, strings.ToLower(m[3]), m[5])
	} else if rootUser().MatchString(message) {
		p.Action = "set a number as user in the image or as runAsUser in the securityContext, since the pod asks for runAsNonRoot: kubectl explain pod.spec.securityContext.runAsUser"
	}
	if strings.Contains(message, "failed to sync") { // The kubelet has not read it yet.
		p.Grace = nodeGrace
	}
	return p
}

// notThere tells a command that the image does not have from trouble of the
// node's, which has the same exit code, 128.
var notThere = pattern(`(?i)executable file not found|no such file or directory|permission denied|exec format error|not a directory|is a directory|no command specified`)

// startOutOfMemory are the words about a container whose memory does not even
// do for its start.
var startOutOfMemory = pattern(`(?i)OOM-killed|memory limit too low`)

// startProblem reports a container that the node cannot start.
func (o observed) startProblem(c container, reason, message string) Problem {
	p := Problem{
		Code: StartError, Grace: nodeGrace,
		Cause:  fmt.Sprintf("%s cannot be started (%s): %s", c.name(), reason, sentence(lastPart(message))),
		Action: "if it stays, look at the node that the pod is on: kubectl describe node " + c.pod.Spec.NodeName,
	}
	switch {
	case startOutOfMemory().MatchString(message):
		p.Code, p.Grace, p.Action = OutOfMemory, 0, o.raiseMemory(c)
	case reason == "PostStartHookError":
		p.Action = "mend the container's postStart hook: kubectl -n " + c.pod.Namespace + " describe deployment " + o.workload
	case notThere().MatchString(message):
		p.Grace = 0
		p.Action = "check command and args of the container, and the image's platform: docker image inspect " + c.image()
	}
	return p
}

// raiseMemory says what to do about a container whose memory does not do.
func (o observed) raiseMemory(c container) string {
	limit := "it has no limit, so that the node ran out"
	if l, ok := c.spec.Resources.Limits[corev1.ResourceMemory]; ok {
		limit = "now " + l.String()
	}
	return fmt.Sprintf("raise resources.limits.memory of %s (%s), or find out in its log why it needs so much: kubectl -n %s describe deployment %s",
		c.status.Name, limit, c.pod.Namespace, o.workload)
}

// lastPart keeps the innermost reason of the long chains of containerd's.
func lastPart(message string) string {
	if _, after, ok := strings.Cut(message, "unable to start container process: "); ok {
		return after
	}
	return wrapping().ReplaceAllString(message, "")
}
