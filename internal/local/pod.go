package local

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/internal/local/pods"
	"github.com/headgate-dev/headgate/stages"
)

const loopback = "127.0.0.1"

// defaultGrace is how long pods may take to end where they do not say it, in
// seconds.
const defaultGrace = 30

// livePod is one pod of a Deployment.
type livePod struct {
	name, hash string
	run        *pods.Pod // nil where it could not be made
	fault      *fault    // why
	status     pods.Status
	labels     map[string]string
	template   corev1.PodTemplateSpec
	// addresses are where its processes listen, by containerPort.
	addresses map[int32]string
	made      time.Time
	readyFrom time.Time // zero while it is not ready
	ending    bool
}

// fault is a reason why a pod does not get ready that time does not mend.
type fault struct{ code, cause, action string }

// ready reports whether it serves.
func (p *livePod) ready() bool { return p.run != nil && !p.ending && p.status.Ready }

// available reports whether it has been ready for as long as it must.
func (p *livePod) available(least time.Duration, now time.Time) bool {
	return p.ready() && !now.Before(p.readyFrom.Add(least))
}

// suffixAlphabet is what generated parts of names consist of, as in
// Kubernetes: no vowels, and nothing that looks like something else.
const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"

func suffix(bytes []byte) string {
	out := make([]byte, len(bytes))
	for i, b := range bytes {
		out[i] = suffixAlphabet[int(b)%len(suffixAlphabet)]
	}
	return string(out)
}

func randomSuffix(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return suffix(b)
}

// templateHash tells the pods of one template from those of another.
func templateHash(d *appsv1.Deployment) string {
	b, err := json.Marshal(d.Spec.Template)
	if err != nil {
		panic("local: template of " + d.Name + ": " + err.Error()) // it came from JSON
	}
	sum := sha256.Sum256(b)
	return suffix(sum[:10])
}

// startPod makes a pod of a Deployment. One that cannot run is there all the
// same, and says why.
func (w *World) startPod(d deployment, hash string) *livePod {
	p := &livePod{
		name: d.Object.Name + "-" + hash + "-" + randomSuffix(5), hash: hash, made: time.Now(),
		labels: d.Object.Spec.Template.Labels, template: d.Object.Spec.Template, addresses: map[int32]string{},
	}
	spec, err := w.podSpec(d, p)
	if err == nil {
		p.run, err = pods.Start(spec, w.poke)
		err = asFault("StartError", err)
	}
	if err != nil {
		var f *faultError
		if !errors.As(err, &f) {
			f = &faultError{fault{"StartError", err.Error(), ""}}
		}
		p.run, p.fault = nil, &f.fault
		return p
	}
	p.status = p.run.Status()
	return p
}

// faultError carries a fault.
type faultError struct{ fault }

func (e *faultError) Error() string { return e.cause }

// asFault gives an error a code, and takes its hint for the action.
func asFault(code string, err error) error {
	if err == nil {
		return nil
	}
	f := &faultError{fault{code: code, cause: err.Error(), action: "mend what it names"}}
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		f.action = h.Hint()
	}
	return f
}

// podSpec decides all that a manifest leaves to the platform.
func (w *World) podSpec(d deployment, p *livePod) (pods.Spec, error) {
	t := d.Object.Spec.Template
	spec := pods.Spec{
		Namespace: d.Object.Namespace, Name: p.name, Backoff: restartPause,
		Grace: defaultGrace * time.Second, Logs: filepath.Join(w.opts.Dir, "logs", p.name),
	}
	if g := t.Spec.TerminationGracePeriodSeconds; g != nil {
		spec.Grace = time.Duration(max(*g, 0)) * time.Second
	}
	if err := w.listeners(t.Spec, p); err != nil {
		return spec, asFault("StartError", err)
	}
	facts := podFacts{
		namespace: d.Object.Namespace, name: p.name, uid: d.UID + "-" + p.name,
		labels: t.Labels, annotations: t.Annotations, spec: &t.Spec,
	}
	for _, c := range t.Spec.InitContainers {
		made, use, err := w.container(d, facts, c, p)
		if err != nil {
			return spec, err
		}
		if use {
			spec.Init = append(spec.Init, made)
		}
	}
	for _, c := range t.Spec.Containers {
		made, use, err := w.container(d, facts, c, p)
		if err != nil {
			return spec, err
		}
		if use {
			spec.Containers = append(spec.Containers, made)
		}
	}
	if len(spec.Containers) == 0 {
		return spec, asFault("StartError", errors.New("all of its containers are skipped"))
	}
	return spec, nil
}

// listeners finds a free port for each that the containers name.
func (w *World) listeners(spec corev1.PodSpec, p *livePod) error {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, port := range c.Ports {
			if _, ok := p.addresses[port.ContainerPort]; ok || port.Protocol == corev1.ProtocolUDP || port.Protocol == corev1.ProtocolSCTP {
				continue
			}
			n, err := w.freePort()
			if err != nil {
				return err
			}
			p.addresses[port.ContainerPort] = net.JoinHostPort(loopback, strconv.Itoa(n))
		}
	}
	return nil
}

// Pods listen at ports below those that systems take for outgoing connections.
// Else one of the many under load could have a port before its pod has.
const firstPodPort, lastPodPort = 20000, 32000

// freePort returns a port that nobody listens at and that no other pod was
// given lately.
func (w *World) freePort() (int, error) {
	last := errors.New("pods have them all")
	for range 1000 {
		n := firstPodPort + mathrand.IntN(lastPodPort-firstPodPort) //nolint:gosec // no secret
		if w.ports[n] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(n)))
		if err != nil {
			last = err
			continue
		}
		_ = l.Close()
		w.ports[n] = true
		return n, nil
	}
	return 0, fmt.Errorf("find a free port from %d to %d: the last tried: %w", firstPodPort, lastPodPort, last)
}

// container makes one container of a pod; use is false for one that is
// skipped.
func (w *World) container(d deployment, facts podFacts, c corev1.Container, p *livePod) (made pods.Container, use bool, err error) {
	i, err := w.imageFor(c.Image)
	if err != nil {
		return made, false, asFault("ImagePull", err)
	}
	if i.Skip {
		return made, false, nil
	}
	made = pods.Container{Spec: c, Dir: i.Dir, Addresses: map[int32]string{}}
	ce := containerEnv{
		pod: facts, container: c, program: i.Program, ports: map[int32]int{},
		services: w.serviceVariables(d.Object.Namespace), local: w.localVariables(d), objects: d.visible(w.state.Objects),
	}
	for _, port := range c.Ports {
		if a, ok := p.addresses[port.ContainerPort]; ok {
			made.Addresses[port.ContainerPort] = a
			ce.ports[port.ContainerPort] = portOf(a)
		}
	}
	env, err := ce.build()
	if err != nil {
		return made, false, asFault("ConfigError", fmt.Errorf("container %s cannot be configured: %w", c.Name, err))
	}
	args := w.images.args(i)
	if i.Args != nil {
		args = append(args, i.Args...)
	} else {
		args = append(args, c.Args...)
	}
	for k := range args {
		args[k] = expand(args[k], env.get)
	}
	made.Args, made.Env = args, env.pairs()
	return made, true, nil
}

// imageFor finds what runs for a container's image; w.mu is held.
func (w *World) imageFor(ref string) (image, error) {
	name, tag, digest := splitImage(ref)
	if digest == "" {
		if tag == "" {
			tag = "latest"
		}
		found, ok := w.state.Tags[name+":"+tag]
		if !ok {
			return w.images.make(name, tag)
		}
		ref = found
	}
	i, ok := w.state.Images[ref]
	if !ok {
		if p, err := w.images.program(name, tag); err == nil && p.Skip {
			return image{Name: name, Program: p}, nil
		}
		return image{}, &noImageError{ref}
	}
	return i, nil
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port) // which is how it was made
	return n
}

// localVariables are Headgate's own.
func (w *World) localVariables(d deployment) [][2]string {
	track := d.Object.Spec.Template.Labels[trackLabel]
	if track == "" {
		track = cmp.Or(d.Colour, stages.Stable)
	}
	return [][2]string{
		{"HEADGATE_LOCAL_TRACK", track},
		{"HEADGATE_LOCAL_REDIS", w.RedisURL()},
		{"HEADGATE_LOCAL_PROMETHEUS", w.PrometheusURL()},
	}
}
