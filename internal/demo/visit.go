package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/headgate-dev/headgate/internal/load"
)

// How often is looked whether a service is there, and how long one look takes
// at most.
const (
	lookEvery = 200 * time.Millisecond
	lookFor   = time.Second
)

// Visit asks a service for profiles whenever it is there, until ctx ends: a
// local world comes and goes with its run. What came of each visit is written
// to out.
func Visit(ctx context.Context, address string, rate float64, out io.Writer) error {
	if err := config(address, rate).Check(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		_, _ = fmt.Fprintf(out, "waiting for %s\n", address)
		if !appears(ctx, address) {
			return nil
		}
		users, err := Ask(ctx, address, rate)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "asking for %s/profile/…, %g times a second\n", byHost(address), rate)
		select {
		case <-users.gone:
		case <-users.Done():
		}
		leave(users.Stop(), out)
	}
	return nil
}

// appears waits until a service answers as it should, and returns false when
// ctx ends before.
func appears(ctx context.Context, address string) bool {
	client := &http.Client{Timeout: lookFor, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		if answers(ctx, client, address) {
			return true
		}
		if wait(ctx, lookEvery) != nil {
			return false
		}
	}
}

func answers(ctx context.Context, client *http.Client, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/profile/1", http.NoBody)
	if err != nil {
		return false
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close() // its status is all that is asked for
	return response.StatusCode == http.StatusOK
}

// leave tells of a visit. Requests that found nobody are those after the end.
func leave(r load.Report, out io.Writer) {
	r.Requests -= r.Kinds[load.Refused]
	r.Failed -= r.Kinds[load.Refused]
	delete(r.Kinds, load.Refused)
	r.Failures = nil
	r.Print(out)
}
