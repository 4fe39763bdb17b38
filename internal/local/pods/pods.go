package pods

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Spec is a pod to run. All that a manifest leaves to the platform is decided
// already.
type Spec struct {
	Namespace, Name string
	// Containers start together, Init before them, one after another, each to
	// its end. An init container with restartPolicy Always goes on beside the
	// containers; the next one starts when it has.
	Containers, Init []Container
	// Grace is how long the containers have to end, preStop included; 0 means
	// that they are killed.
	Grace time.Duration
	// Backoff is the pause before the second restart of a container; it
	// doubles from one restart to the next, up to 30 times itself. Zero means
	// Kubernetes' ten seconds (and so five minutes at most).
	Backoff time.Duration
	// Logs is the folder for the logs: NAME.log for each container and
	// NAME.log.1 for what came before, a few megabytes each. It is made if it
	// is not there.
	Logs string
}

// Container is a program of a pod.
type Container struct {
	// Spec is read for name, ports, probes, lifecycle and restartPolicy;
	// command, args, env and workingDir in it are not.
	Spec corev1.Container
	// Args are the program and its arguments. A program without a separator is
	// looked for in the PATH of Env.
	Args []string
	// Dir is where it runs, "" for the folder of this process.
	Dir string
	// Env is the whole environment, as NAME=value.
	Env []string
	// Addresses say where the process listens for each containerPort:
	// 8080 → "127.0.0.1:43211".
	Addresses map[int32]string
}

// Pod is a pod that was started.
type Pod struct{}

// Start checks spec and starts the pod. What does not start is no error but a
// status; an error says what in the spec cannot be run here. Whenever the
// status changes, changed is called, from one goroutine at a time; it must not
// block and may call [Pod.Status].
func Start(spec Spec, changed func()) (*Pod, error) {
	return nil, errors.New("start pod: not built yet")
}

// Check returns what in spec cannot be run here, all of it at once.
func Check(spec Spec) error { return nil }

// Status returns what the pod is doing now.
func (p *Pod) Status() Status { return Status{} }

// Logs returns the last lines that a container has written, at most so many
// and at most a few hundred, those of processes before this one included.
func (p *Pod) Logs(container string, lines int) []string { return nil }

// Stop ends the pod as Kubernetes does: preStop, SIGTERM, the rest of the grace
// period, SIGKILL. It returns when all processes are gone. When ctx ends
// before, they are killed at once, and its cause is returned.
func (p *Pod) Stop(ctx context.Context) error { return nil }

// Kill ends the pod at once and returns when all its processes are gone.
func (p *Pod) Kill() {}
