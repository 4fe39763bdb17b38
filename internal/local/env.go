package local

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// environment are the variables of one container while they are put together:
// a later value of a name replaces an earlier one.
type environment struct {
	names  []string
	values map[string]string
}

func newEnvironment() *environment { return &environment{values: map[string]string{}} }

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) get(name string) (string, bool) {
	v, ok := e.values[name]
	return v, ok
}

// pairs are NAME=value, in the order in which the names came.
func (e *environment) pairs() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}

// machine are the variables of this process that programs need to run at all.
// The rest stays away from them, as it would in a cluster: what a program
// finds only here would be missing there, and a CI job's secrets are not for
// what it tests.
func machine(lookup func(string) (string, bool)) [][2]string {
	names := []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "GOCOVERDIR", "GORACE"}
	if runtime.GOOS == "windows" {
		names = append(names, "SystemRoot", "SystemDrive", "TEMP", "TMP", "USERPROFILE", "PATHEXT", "ComSpec", "APPDATA", "LOCALAPPDATA")
	}
	var out [][2]string
	for _, n := range names {
		if v, ok := lookup(n); ok {
			out = append(out, [2]string{n, v})
		}
	}
	return out
}

// podFacts are what a pod's environment can tell of it.
type podFacts struct {
	namespace, name, uid string
	labels, annotations  map[string]string
	spec                 *corev1.PodSpec
}

// containerEnv is what one container's environment is made from.
type containerEnv struct {
	pod       podFacts
	container corev1.Container
	program   Program
	// ports are the numbers that the container shall listen at, by
	// containerPort.
	ports map[int32]int
	// services are Kubernetes' own variables for Services, local Headgate's.
	services, local [][2]string
	objects         objectSet
}

// build returns the variables, and an error that names what is missing.
// Kubernetes' rules hold: Services' variables, then envFrom, then env in its
// order, each naming those before it. The section's come last and win.
func (c containerEnv) build() (*environment, error) {
	e := newEnvironment()
	for _, pair := range slices.Concat(machine(os.LookupEnv), c.services, c.local, c.portVariables()) {
		e.set(pair[0], pair[1])
	}
	for _, from := range c.container.EnvFrom {
		if err := c.from(e, from); err != nil {
			return nil, err
		}
	}
	own := map[string]bool{}
	for _, pair := range c.program.Env {
		own[pair[0]] = true
	}
	for _, v := range c.container.Env {
		if own[v.Name] {
			continue // what is missing for it is not needed
		}
		value, ok, err := c.value(v, e)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		if ok {
			e.set(v.Name, value)
		}
	}
	for _, pair := range c.program.Env {
		e.set(pair[0], expand(pair[1], e.get))
	}
	return e, nil
}

// portVariables say where the container is to listen: PORT is for its first
// port, PORT_NAME and PORT_NUMBER for each.
func (c containerEnv) portVariables() [][2]string {
	var out [][2]string
	for i, p := range c.container.Ports {
		n, ok := c.ports[p.ContainerPort]
		if !ok {
			continue
		}
		text := strconv.Itoa(n)
		if i == 0 {
			out = append(out, [2]string{"PORT", text})
		}
		if p.Name != "" {
			out = append(out, [2]string{"PORT_" + variable(p.Name), text})
		}
		out = append(out, [2]string{"PORT_" + strconv.Itoa(int(p.ContainerPort)), text})
	}
	return out
}

// variable makes a name that environments take.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, strings.ToUpper(name))
}

// from adds all of a ConfigMap or Secret.
func (c containerEnv) from(e *environment, s corev1.EnvFromSource) error {
	var data map[string]string
	var ok, optional bool
	what := ""
	switch {
	case s.ConfigMapRef != nil:
		what, optional = "ConfigMap "+s.ConfigMapRef.Name, s.ConfigMapRef.Optional != nil && *s.ConfigMapRef.Optional
		data, ok = c.objects.configMap(c.pod.namespace, s.ConfigMapRef.Name)
	case s.SecretRef != nil:
		what, optional = "Secret "+s.SecretRef.Name, s.SecretRef.Optional != nil && *s.SecretRef.Optional
		data, ok = c.objects.secret(c.pod.namespace, s.SecretRef.Name)
	default:
		return nil
	}
	if !ok && !optional {
		return &missingError{what: what, namespace: c.pod.namespace}
	}
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		e.set(s.Prefix+k, data[k])
	}
	return nil
}

// value is that of one variable; ok is false where an optional one is not
// there.
func (c containerEnv) value(v corev1.EnvVar, e *environment) (value string, ok bool, err error) {
	f := v.ValueFrom
	switch {
	case f == nil:
		return expand(v.Value, e.get), true, nil
	case f.ConfigMapKeyRef != nil:
		r := f.ConfigMapKeyRef
		data, there := c.objects.configMap(c.pod.namespace, r.Name)
		return c.key(keyRef{"ConfigMap", r.Name, r.Key, r.Optional}, data, there)
	case f.SecretKeyRef != nil:
		r := f.SecretKeyRef
		data, there := c.objects.secret(c.pod.namespace, r.Name)
		return c.key(keyRef{"Secret", r.Name, r.Key, r.Optional}, data, there)
	case f.FieldRef != nil:
		value, err = c.pod.field(f.FieldRef.FieldPath)
		return value, true, err
	case f.ResourceFieldRef != nil:
		value, err = c.resource(f.ResourceFieldRef)
		return value, true, err
	}
	return "", false, fmt.Errorf("its valueFrom is of a kind that is not known here")
}

// keyRef names one key of an object.
type keyRef struct {
	kind, name, key string
	optional        *bool
}

func (c containerEnv) key(r keyRef, data map[string]string, there bool) (string, bool, error) {
	if v, ok := data[r.key]; ok {
		return v, true, nil
	}
	if r.optional != nil && *r.optional {
		return "", false, nil
	}
	if !there {
		return "", false, &missingError{what: r.kind + " " + r.name, namespace: c.pod.namespace}
	}
	return "", false, &missingError{what: "key " + r.key + " of " + r.kind + " " + r.name, namespace: c.pod.namespace}
}

// missingError reports an object that a container needs and that is not there.
type missingError struct{ what, namespace string }

func (e *missingError) Error() string {
	return e.what + " is not there in namespace " + e.namespace
}

// Hint says where to put it.
func (e *missingError) Hint() string {
	return "add it to a file that local.manifests names, or set the variable in local.images"
}

var subscript = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`) })

// field is a value of the downward API.
func (p podFacts) field(path string) (string, error) {
	if m := subscript().FindStringSubmatch(path); m != nil {
		if m[1] == "labels" {
			return p.labels[m[2]], nil
		}
		return p.annotations[m[2]], nil
	}
	switch path {
	case "metadata.name":
		return p.name, nil
	case "metadata.namespace":
		return p.namespace, nil
	case "metadata.uid":
		return p.uid, nil
	case "status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs":
		return loopback, nil
	case "spec.nodeName":
		return "localhost", nil
	case "spec.serviceAccountName":
		if p.spec != nil && p.spec.ServiceAccountName != "" {
			return p.spec.ServiceAccountName, nil
		}
		return "default", nil
	}
	return "", fmt.Errorf("the field %s is not known here", path)
}

// resource is a limit or request of a container, in units of the divisor,
// rounded up.
func (c containerEnv) resource(r *corev1.ResourceFieldSelector) (string, error) {
	of := c.container
	if r.ContainerName != "" && r.ContainerName != of.Name {
		i := slices.IndexFunc(c.pod.spec.Containers, func(o corev1.Container) bool { return o.Name == r.ContainerName })
		if i < 0 {
			return "", fmt.Errorf("there is no container %s", r.ContainerName)
		}
		of = c.pod.spec.Containers[i]
	}
	kind, name, _ := strings.Cut(r.Resource, ".")
	list := of.Resources.Limits
	if kind == "requests" {
		list = of.Resources.Requests
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "", fmt.Errorf("container %s has no %s", of.Name, r.Resource)
	}
	divisor := r.Divisor.AsApproximateFloat64()
	if divisor <= 0 {
		divisor = 1
	}
	n := q.AsApproximateFloat64() / divisor
	if whole := float64(int64(n)); whole < n {
		n = whole + 1
	}
	return strconv.FormatInt(int64(n), 10), nil
}
