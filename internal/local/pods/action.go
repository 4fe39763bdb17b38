package pods

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// action makes a probe's action. What it cannot make Check has refused.
func (c *container) action(h corev1.ProbeHandler, p process) action {
	switch {
	case h.Exec != nil:
		return func(ctx context.Context) error { return c.execute(ctx, p, h.Exec.Command) }
	case h.HTTPGet != nil:
		return func(ctx context.Context) error { return c.get(ctx, h.HTTPGet) }
	case h.TCPSocket != nil:
		return func(ctx context.Context) error { return c.connect(ctx, h.TCPSocket) }
	case h.GRPC != nil:
		return func(ctx context.Context) error { return c.askGRPC(ctx, h.GRPC) }
	}
	return func(context.Context) error { return errors.New("it asks nothing") }
}

// execute runs a program beside the container's own; exit code 0 is well.
func (c *container) execute(ctx context.Context, p process, args []string) error {
	r, err := p.Exec(ctx, args)
	switch {
	case errors.Is(err, keeper.ErrEnded):
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", args[0], err)
	case r.Failed != "":
		return errors.New(r.Failed)
	case r.Code == 0:
		return nil
	}
	how := fmt.Sprintf("exit code %d", r.Code)
	if r.Signal != "" {
		how = "killed by " + r.Signal
	}
	if line := lastLine(string(r.Output)); line != "" {
		how += ": " + line
	}
	return fmt.Errorf("%s: %s", args[0], how)
}

func lastLine(text string) string {
	all := strings.Split(strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD")), "\n")
	return short(strings.TrimSpace(all[len(all)-1]))
}

// connect opens a connection and closes it.
func (c *container) connect(ctx context.Context, a *corev1.TCPSocketAction) error {
	address, err := c.address(a.Host, a.Port)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, plainly(ctx, err))
	}
	_ = conn.Close()
	return nil
}

// address returns where a container's port is reached. Another host than this
// one is taken as it is.
func (c *container) address(host string, port intstr.IntOrString) (string, error) {
	n, err := portNumber(c.Spec, port)
	if err != nil {
		return "", err
	}
	switch host {
	case "", "localhost", "127.0.0.1", "::1":
	default:
		return net.JoinHostPort(host, strconv.Itoa(int(n))), nil
	}
	address, ok := c.Addresses[n]
	if !ok {
		return "", fmt.Errorf("port %d has no address on this machine; name it under ports of container %s", n, c.Spec.Name)
	}
	return address, nil
}

// portNumber finds a port by its name or number.
func portNumber(c corev1.Container, port intstr.IntOrString) (int32, error) {
	if port.Type == intstr.Int {
		return port.IntVal, nil
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return p.ContainerPort, nil
		}
	}
	if n, err := strconv.ParseUint(port.StrVal, 10, 16); err == nil {
		return int32(n), nil
	}
	return 0, fmt.Errorf("container %s has no port named %q", c.Name, port.StrVal)
}

// plainly returns of an error of the network what a person needs.
func plainly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	return err
}
