// Package sigv4 stands in for github.com/prometheus/sigv4, by which Prometheus
// signs what it sends to Amazon's clouds. The Prometheus of `run --local` sends
// nothing anywhere; its package config needs the types all the same. Whoever
// does use them is refused. See docs/adr/prometheus-is-embedded.md.
package sigv4

import (
	"errors"
	"net/http"
)

var errNotBuiltIn = errors.New("sign for AWS: not built in")

// SigV4Config is the configuration of a signature, which has no parts here.
type SigV4Config struct{}

// Validate refuses.
func (*SigV4Config) Validate() error { return errNotBuiltIn }

// UnmarshalYAML refuses, so that no file that asks for signatures is read as
// one that does not.
func (*SigV4Config) UnmarshalYAML(func(any) error) error { return errNotBuiltIn }

// NewSigV4RoundTripper refuses.
func NewSigV4RoundTripper(*SigV4Config, http.RoundTripper) (http.RoundTripper, error) {
	return nil, errNotBuiltIn
}
