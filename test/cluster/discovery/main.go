// Discovery tells Prometheus of the pods that are there, in a file that it
// watches. Prometheus' own discovery for Kubernetes does the same, but the one
// in Debian is built without it. The labels have the names that it would give,
// so that the configuration of Prometheus is the usual one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/headgate-dev/headgate/test/cluster/kubeapi"
)

func main() {
	server := flag.String("server", "", "URL of the API server")
	authority := flag.String("ca", "", "file with the authority of its certificate")
	token := flag.String("token", "", "file with the token to show")
	output := flag.String("output", "", "file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := kubeapi.New(*server, *authority, *token)
	if err != nil {
		fmt.Fprintln(os.Stderr, "discovery:", err)
		os.Exit(1)
	}
	discover(ctx, client, *output)
}

// discover keeps the file up to date until it is told to stop. What it last
// wrote stays true enough while the API server is away.
func discover(ctx context.Context, client *kubeapi.Client, output string) {
	for ctx.Err() == nil {
		var written []byte
		err := client.WatchPods(ctx, func(pods map[string]kubeapi.Pod) error {
			content, err := targets(pods)
			if err != nil || string(content) == string(written) {
				return err
			}
			written = content
			return replace(output, content)
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			slog.Info("watching pods anew", slog.Any("reason", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// replace changes the file from one whole content to the next.
func replace(path string, content []byte) error {
	aside := path + ".new"
	if err := os.WriteFile(aside, content, 0o600); err != nil {
		return fmt.Errorf("write targets: %w", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return fmt.Errorf("write targets: %w", err)
	}
	return nil
}
