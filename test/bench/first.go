package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

const (
	firstGoal  = 2 * time.Second
	firstTurns = 5
)

// firstFigures shows how long it takes from the start of a local run, with
// nothing there yet, until a user's request is served by the service itself.
func firstFigures(ctx context.Context, s settings, dir string, out io.Writer) error {
	var took sample
	for i := range firstTurns {
		d, err := firstRequest(ctx, s.binary, filepath.Join(dir, fmt.Sprintf("first-%d", i)))
		if err != nil {
			return fmt.Errorf("first request of a local run: %w", err)
		}
		took = append(took, d)
	}
	fmt.Fprintf(out, "headgate run --local, to the first request served: %s; %s\n", took, against(took, firstGoal))
	return nil
}

var listens = regexp.MustCompile(`(?m)^(\s*listen:).*$`)

// firstRequest runs the demo's example, which the binary itself holds.
func firstRequest(ctx context.Context, binary, dir string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, binary, "demo", "--write", dir).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	address, err := unused()
	if err != nil {
		return 0, err
	}
	path := filepath.Join(dir, "headgate.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	if !listens.Match(text) {
		return 0, errors.New("the demo's file does not say where it listens")
	}
	if err := os.WriteFile(path, listens.ReplaceAll(text, []byte("${1} "+address)), 0o644); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, binary, "run", "--local", "--report", "plain=/dev/null", path)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = served(ctx, "http://"+address+"/profile/1")
	took := time.Since(began)
	cancel()
	_ = cmd.Wait() // it was told to end
	return took, err
}

func unused() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// served asks until the answer is 200.
func served(ctx context.Context, url string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
