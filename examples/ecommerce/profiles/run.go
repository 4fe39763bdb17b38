// Package profiles is the example that the pipelines of this folder deliver:
// user profiles in an old and a new format behind a feature flag.
//
// It can be made to behave badly, to show what becomes of a bad release; see
// faults.go. It does not shut down gracefully unless told to, as most services
// do not, and a rollout must lose no request all the same.
package profiles

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/headgate-dev/headgate/flags"
)

// Run serves until ctx ends, as the variables of the environment say: ADDRESS
// (":8000" if empty), REDIS_URL (without it every feature flag is off),
// VERSION, GRACEFUL, and those of [faults].
func Run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	bad, err := readFaults(getenv)
	if err != nil {
		return err
	}
	if bad.crash {
		return errors.New("CRASH is set: cannot read the profile schema")
	}
	client, err := openFlags(ctx, getenv("REDIS_URL"), log)
	if err != nil {
		return err
	}
	defer client.Close()
	go bad.leakMemory(ctx)

	address := getenv("ADDRESS")
	if address == "" {
		address = ":8000"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	graceful, err := truth(getenv, "GRACEFUL")
	if err != nil {
		return err
	}
	s := newService(getenv("VERSION"), client, bad)
	log.Info("user-service listens", slog.String("version", s.version), slog.String("address", listener.Addr().String()), slog.Bool("graceful", graceful))
	return serve(ctx, listener, s.handler(), graceful)
}

// openFlags connects to Redis; without a URL every flag is off.
func openFlags(ctx context.Context, url string, log *slog.Logger) (*flags.Client, error) {
	if url == "" {
		return flags.Static(nil), nil
	}
	return flags.Open(ctx, url, flags.Options{Report: func(err error) { log.Warn("flags", slog.Any("error", err)) }})
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, graceful bool) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	if !graceful {
		return server.Close() // connections break, as they do when a process just ends
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(within)
}

// truth reads a switch; unset and empty mean off.
func truth(getenv func(string) string, name string) (bool, error) {
	text := getenv(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s=%q is not true or false", name, text)
	}
	return on, nil
}
