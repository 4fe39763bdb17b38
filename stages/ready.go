package stages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// awaiting is how many pods are waited for, and how long.
type awaiting struct {
	replicas int
	limit    time.Duration
}

// awaitReady waits for a track and reports what it waits for.
func (p *Parts) awaitReady(ctx context.Context, s *pipeline.Scope, t Track, a awaiting) error {
	limited, cancel := context.WithTimeoutCause(ctx, a.limit, &pipeline.TimeoutError{After: a.limit})
	defer cancel()
	last, deadline := "", s.Now().Add(a.limit)
	err := p.Platform.AwaitReady(limited, t, a.replicas, func(line string) {
		last = line
		s.Awaiting(deadline, "%s", line)
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrNotReady) {
		return &NotReadyError{
			Track: t, Code: "Timeout", Cause: fmt.Sprintf("timed out after %s: %s", source.FormatDuration(a.limit), last),
			Action: "look at the evidence above, or raise readyTimeout if the pods only need longer",
		}
	}
	return err
}

// evidence reports what the platform can tell about a track in trouble.
func (p *Parts) evidence(ctx context.Context, s *pipeline.Scope, t Track, budget time.Duration) {
	d, ok := p.Platform.(Diagnoser)
	if !ok {
		return
	}
	// The stage may have been stopped by its gate or its timeout; there is
	// still something to learn.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	text, err := d.Diagnose(ctx, t)
	if err != nil {
		text += fmt.Sprintf("\n(evidence is incomplete: %v)", err)
	}
	if text != "" {
		s.Emit(pipeline.Event{Type: pipeline.EvidenceFound, Name: t.String(), Message: text})
	}
}

// The probe through the real path after a change of weight.
const (
	probeTimeout = 2 * time.Second
	// probesWanted in a row must succeed; with a kept connection they would
	// all end at one pod, so each opens its own.
	probesWanted = 3
	probeAgain   = 200 * time.Millisecond
	// probeTime is how long the route may take until they do.
	probeTime = 10 * time.Second
)

func probeClient() *http.Client {
	return &http.Client{Timeout: probeTimeout, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
}

func probeOnce(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
