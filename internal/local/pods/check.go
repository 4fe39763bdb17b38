package pods

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// SpecError is what in a [Spec] cannot be run here.
type SpecError struct {
	// Problems are sentences that say where, what and, if it is not plain,
	// what to do.
	Problems []string
}

// Error returns all problems.
func (e *SpecError) Error() string { return strings.Join(e.Problems, "; ") }

// Check returns what in spec cannot be run here, all of it at once, as a
// [SpecError].
func Check(spec Spec) error {
	k := &check{names: map[string]bool{}}
	if spec.Logs == "" {
		k.add("it has no folder for its logs")
	}
	if len(spec.Containers) == 0 {
		k.add("it has no containers")
	}
	for i, c := range slices.Concat(spec.Init, spec.Containers) {
		k.container(c, i < len(spec.Init))
	}
	if len(k.problems) > 0 {
		return &SpecError{k.problems}
	}
	return nil
}

type check struct {
	problems []string
	names    map[string]bool
	where    string
}

func (k *check) add(format string, args ...any) {
	k.problems = append(k.problems, k.where+fmt.Sprintf(format, args...))
}

func (k *check) container(c Container, init bool) {
	k.where = "container " + c.Spec.Name + ": "
	if n := c.Spec.Name; n == "" || n == "." || n == ".." || n != filepath.Base(n) || strings.ContainsAny(n, `/\:`) {
		k.add("its name %q is no name", n)
	}
	if k.names[c.Spec.Name] {
		k.add("another one has this name")
	}
	k.names[c.Spec.Name] = true
	if len(c.Args) == 0 || c.Args[0] == "" {
		k.add("there is no program to run")
	}
	for port, address := range c.Addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			k.add("port %d: address %q: not host:port", port, address)
		}
	}
	policy := c.Spec.RestartPolicy
	if policy != nil && *policy != corev1.ContainerRestartPolicyAlways || len(c.Spec.RestartPolicyRules) > 0 {
		k.add("a restartPolicy of its own can only be Always here")
	}
	if init && policy == nil && (c.Spec.LivenessProbe != nil || c.Spec.ReadinessProbe != nil || c.Spec.StartupProbe != nil || c.Spec.Lifecycle != nil) {
		k.add("an init container has probes and hooks only with restartPolicy Always")
		return
	}
	k.probe(c, "livenessProbe", c.Spec.LivenessProbe)
	k.probe(c, "startupProbe", c.Spec.StartupProbe)
	k.probe(c, "readinessProbe", c.Spec.ReadinessProbe)
	k.lifecycle(c)
}

func (k *check) lifecycle(c Container) {
	l := c.Spec.Lifecycle
	if l == nil {
		return
	}
	if l.StopSignal != nil && *l.StopSignal != corev1.SIGTERM {
		k.add("lifecycle.stopSignal %s cannot be sent here; only SIGTERM can", *l.StopSignal)
	}
	k.hook(c, "lifecycle.postStart", l.PostStart)
	k.hook(c, "lifecycle.preStop", l.PreStop)
}

func (k *check) hook(c Container, what string, h *corev1.LifecycleHandler) {
	if h == nil {
		return
	}
	if n := count(h.Exec != nil, h.HTTPGet != nil, h.Sleep != nil); n != 1 {
		k.add("%s must have one of exec, httpGet and sleep", what)
		return
	}
	k.handler(c, what, corev1.ProbeHandler{Exec: h.Exec, HTTPGet: h.HTTPGet})
	if h.Sleep != nil && h.Sleep.Seconds < 0 {
		k.add("%s.sleep.seconds is below 0", what)
	}
}

func (k *check) probe(c Container, what string, p *corev1.Probe) {
	if p == nil {
		return
	}
	if count(p.Exec != nil, p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil) != 1 {
		k.add("%s must have one of exec, httpGet, tcpSocket and grpc", what)
		return
	}
	for _, field := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		if field.value < 0 {
			k.add("%s.%s is below 0", what, field.name)
		}
	}
	if p.SuccessThreshold > 1 && what != "readinessProbe" {
		k.add("%s.successThreshold must be 1", what)
	}
	k.handler(c, what, p.ProbeHandler)
}

// handler checks what both probes and hooks can do.
func (k *check) handler(c Container, what string, h corev1.ProbeHandler) {
	switch {
	case h.Exec != nil:
		if len(h.Exec.Command) == 0 || h.Exec.Command[0] == "" {
			k.add("%s.exec has no command", what)
		}
	case h.HTTPGet != nil:
		k.port(c, what+".httpGet", h.HTTPGet.Host, h.HTTPGet.Port)
		if s := h.HTTPGet.Scheme; s != "" && s != corev1.URISchemeHTTP && s != corev1.URISchemeHTTPS {
			k.add("%s.httpGet.scheme %q is neither HTTP nor HTTPS", what, s)
		}
	case h.TCPSocket != nil:
		k.port(c, what+".tcpSocket", h.TCPSocket.Host, h.TCPSocket.Port)
	case h.GRPC != nil:
		k.port(c, what+".grpc", "", intstr.FromInt32(h.GRPC.Port))
	}
}

func (k *check) port(c Container, what, host string, port intstr.IntOrString) {
	made := container{Container: c}
	if _, err := made.address(host, port); err != nil {
		k.add("%s: %v", what, err)
	}
}

func count(all ...bool) int {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}
