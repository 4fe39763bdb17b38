// Package http stands in for google.golang.org/api/transport/http, by which
// Prometheus sends metrics to Google's cloud. The Prometheus of `run --local`
// sends nothing anywhere, and here there is nothing to send by. See
// docs/adr/prometheus-is-embedded.md.
package http

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/api/option"
)

// NewTransport refuses.
func NewTransport(context.Context, http.RoundTripper, ...option.ClientOption) (http.RoundTripper, error) {
	return nil, errors.New("send to Google's cloud: not built in")
}
