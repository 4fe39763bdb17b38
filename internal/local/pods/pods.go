package pods

import (
	"context"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// Spec is a pod to run. All that a manifest leaves to the platform is decided
// already.
type Spec struct {
	Namespace, Name string
	// Containers start together, Init before them, one after another, each to
	// its end. An init container with restartPolicy Always goes on beside the
	// containers; the next one starts when it has started.
	Containers, Init []Container
	// Grace is how long the containers have to end, preStop included; 0 means
	// that they are killed.
	Grace time.Duration
	// Backoff is the pause before the second restart of a container; it
	// doubles from one restart to the next, up to 30 times itself. Zero means
	// Kubernetes' ten seconds (and so five minutes at most).
	Backoff time.Duration
	// Logs is the folder for the logs: NAME.log for each container and
	// NAME.log.1 for what came before, four megabytes each at most. It is made
	// if it is not there.
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

// Start checks spec and starts the pod. What does not start is no error but a
// status; an error is one of [Check], or about the folder of the logs.
// Whenever the status changes, changed is called, by one goroutine of the
// pod's own; it must not block and may call [Pod.Status]. It may be nil.
func Start(spec Spec, changed func()) (*Pod, error) {
	return start(spec, changed, launch)
}

// process is a program that runs.
type process interface {
	Ended() <-chan struct{}
	End() keeper.End
	Terminate()
	Kill()
	Exec(ctx context.Context, args []string) (keeper.Result, error)
}

// launcher starts the program of a container; ctx bounds the start alone.
type launcher func(ctx context.Context, title string, c Container, out io.Writer) (process, error)

func launch(ctx context.Context, title string, c Container, out io.Writer) (process, error) {
	p, err := keeper.Start(ctx, keeper.Program{Title: title, Args: c.Args, Dir: c.Dir, Env: c.Env, Output: out})
	if err != nil {
		return nil, err // and no pointer that is nil
	}
	return p, nil
}
