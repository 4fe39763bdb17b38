package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	// execTimeout bounds a program in a pod where ctx does not bound it closer.
	execTimeout = 30 * time.Second
	// maxExecOutput bounds what is kept of each of a program's streams; a
	// program that says more is ended.
	maxExecOutput = 8 << 20
	// maxWords bounds, in bytes, what an error repeats of its words.
	maxWords = 1000
)

// Exec is a program to run in a container of a pod.
type Exec struct {
	Namespace, Pod, Container string
	// Args are the program and its arguments; no shell looks at them.
	Args []string
	// Stdin is what it reads.
	Stdin []byte
}

// ExecFunc runs a program in a container and returns its standard output. A
// program that ended with another status than 0 is an [*ExecError].
type ExecFunc func(ctx context.Context, e Exec) ([]byte, error)

// ExecError reports a program in a pod that ended with a status other than 0.
type ExecError struct {
	Pod, Program string
	Code         int
	// Stderr is the end of what it said.
	Stderr string
}

// Error says which program failed where, and its own words.
func (e *ExecError) Error() string {
	s := fmt.Sprintf("%s in pod %s ended with exit code %d", e.Program, e.Pod, e.Code)
	if e.Stderr != "" {
		s += ": " + e.Stderr
	}
	return s
}

// Exec runs a program in a container and waits for its end, half a minute at
// most. It returns what the program wrote to its standard output, 8 MiB at
// most.
func (c *Cluster) Exec(ctx context.Context, e Exec) ([]byte, error) {
	if len(e.Args) == 0 {
		return nil, errors.New("run program in pod: no program is given")
	}
	if c.exec == nil {
		return nil, fmt.Errorf("run %s in pod %s: no way to reach its containers", e.Args[0], e.Pod)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, execTimeout, fmt.Errorf("it did not end within %s", execTimeout))
	defer cancel()
	out, err := c.exec(ctx, e)
	if err = cause(ctx, err); err != nil {
		return nil, fmt.Errorf("run %s in pod %s/%s: %w", e.Args[0], e.Namespace, e.Pod, err)
	}
	return out, nil
}

// WithExec returns access to the same cluster that runs programs in pods by
// run, for tests without one.
func (c *Cluster) WithExec(run ExecFunc) *Cluster {
	out := *c
	out.exec = run
	return &out
}

// remote runs programs by the API server: by WebSocket, and by SPDY where the
// server, something before it, or the account's permissions do not let
// WebSockets pass (these are GET requests, for which a Role that allows to
// create pods/exec is not enough).
func remote(rc *rest.Config) ExecFunc {
	return func(ctx context.Context, e Exec) ([]byte, error) {
		target, err := execURL(rc, e)
		if err != nil {
			return nil, err
		}
		socket, err := remotecommand.NewWebSocketExecutor(rc, "GET", target.String())
		if err != nil {
			return nil, err
		}
		spdy, err := remotecommand.NewSPDYExecutor(rc, "POST", target)
		if err != nil {
			return nil, err
		}
		run, err := remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err) || apierrors.IsForbidden(err)
		})
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stdout, stderr := &bounded{full: cancel}, &bounded{full: cancel}
		opts := remotecommand.StreamOptions{Stdout: stdout, Stderr: stderr}
		if len(e.Stdin) > 0 {
			opts.Stdin = bytes.NewReader(e.Stdin)
		}
		err = run.StreamWithContext(ctx, opts)
		if ended, ok := errors.AsType[exec.CodeExitError](err); ok {
			return nil, &ExecError{Pod: e.Pod, Program: e.Args[0], Code: ended.Code, Stderr: lastPartOf(stderr.String())}
		}
		if err := cause(ctx, err); err != nil {
			return nil, err
		}
		return stdout.Bytes(), nil
	}
}

// execURL is the address of the exec subresource.
func execURL(rc *rest.Config, e Exec) (*url.URL, error) {
	base, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, fmt.Errorf("read address of the cluster: %w", err)
	}
	u := base.JoinPath("api", "v1", "namespaces", e.Namespace, "pods", e.Pod, "exec")
	q := url.Values{"container": {e.Container}, "command": e.Args, "stdout": {"true"}, "stderr": {"true"}}
	if len(e.Stdin) > 0 {
		q.Set(corev1.StreamTypeStdin, "true")
	}
	u.RawQuery = q.Encode()
	return u, nil
}

// bounded keeps what is written to it, and ends the program when that is too
// much.
type bounded struct {
	bytes.Buffer
	full context.CancelCauseFunc
}

// Write keeps b, or calls full.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxExecOutput {
		err := fmt.Errorf("it wrote more than %d bytes", maxExecOutput)
		b.full(err)
		return 0, err
	}
	return b.Buffer.Write(p)
}

// lastPartOf is the end of a program's words, as one line.
func lastPartOf(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxWords {
		s = "…" + strings.ToValidUTF8(s[len(s)-maxWords:], "")
	}
	return s
}
