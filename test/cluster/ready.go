package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/test/cluster/kubeapi"
)

// The checks say once whether a part can be used; whoever asks also repeats.

const checkTimeout = 2 * time.Second

// answers wants status 200 of an address.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		status, err := statusOf(ctx, url)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("get %s: %s", url, http.StatusText(status))
		}
		return err
	}
}

// answersAnything is content with any answer over HTTP: a gateway without
// routes says 404.
func answersAnything(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := statusOf(ctx, url)
		return err
	}
}

func statusOf(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("get %s: %w", url, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err // Says itself what it was asked.
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

// api returns a client of the cluster's API server.
func (c *cluster) api() (*kubeapi.Client, error) {
	return c.client("https://" + apiAddress)
}

// client speaks to any server that shows a certificate of the cluster's.
func (c *cluster) client(server string) (*kubeapi.Client, error) {
	return kubeapi.New(server, c.path("pki", "ca.crt"), c.path("pki", "token"))
}

// answersTLS wants success of a path at a server of the cluster's.
func (c *cluster) answersTLS(address, path string) func(context.Context) error {
	return func(ctx context.Context) error {
		client, err := c.client("https://" + address)
		if err != nil {
			return err
		}
		return client.Exists(ctx, path)
	}
}

// condition wants a condition of the object at an API path to be True.
func (c *cluster) condition(path, kind string) func(context.Context) error {
	return func(ctx context.Context) error {
		client, err := c.api()
		if err != nil {
			return err
		}
		return client.Is(ctx, path, kind)
	}
}

// gatewayReady wants the Gateway to be one that a test can route through.
func (c *cluster) gatewayReady(ctx context.Context) error {
	if err := c.condition(gatewayClassPath, "Accepted")(ctx); err != nil {
		return err
	}
	return c.condition(gatewayPath, "Programmed")(ctx)
}

func (c *cluster) containerdReady(ctx context.Context) error {
	_, err := c.ctr(ctx, "version")
	return err
}

// ctr speaks to this cluster's containerd, about the containers of its kubelet.
func (c *cluster) ctr(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--address", c.socket(), "--namespace", "k8s.io"}, args...)
	out, err := exec.CommandContext(ctx, "ctr", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask containerd: %w\n%s", err, lastLines(string(out), 3))
	}
	return string(out), nil
}

// discovered wants Prometheus to have been told of the pods.
func (c *cluster) discovered(context.Context) error {
	_, err := os.Stat(c.targets())
	return err
}

// dnsReady wants the name of a Service that every cluster has.
func dnsReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, dnsAddress)
	}}
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+domain+".")
	if err != nil {
		return fmt.Errorf("resolve Service: %w", err)
	}
	if len(addresses) != 1 || addresses[0] != apiService {
		return fmt.Errorf("resolve Service: got %v, want %s", addresses, apiService)
	}
	return nil
}

func (c *cluster) redisReady(ctx context.Context) error {
	password, err := os.ReadFile(c.path("pki", "redis-password"))
	if err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", redisAddress)
	if err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", password)
	lines := bufio.NewReader(conn)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("ask Redis: %w", err)
		}
		if got := strings.TrimSpace(line); got != want {
			return fmt.Errorf("ask Redis: got %q, want %q", got, want)
		}
	}
	return nil
}
