// Package conntrack stands in for github.com/mwitkow/go-conntrack, of which
// Prometheus' HTTP clients use the four functions below. The original counts
// connections and shows them on debug pages made from templates, and programs
// with templates keep every method of every type; see
// docs/adr/prometheus-is-embedded.md. It is taken by go.work, so only where
// this repository is built; `go install` takes the original.
package conntrack

import (
	"context"
	"net"
)

type dialFunc = func(context.Context, string, string) (net.Conn, error)

type option func(*dialFunc)

// NewDialContextFunc returns what dials, as net.Dialer does where no option
// says otherwise.
func NewDialContextFunc(options ...option) func(context.Context, string, string) (net.Conn, error) {
	dial := (&net.Dialer{}).DialContext
	for _, o := range options {
		o(&dial)
	}
	return dial
}

// DialWithDialContextFunc makes f dial.
func DialWithDialContextFunc(f func(context.Context, string, string) (net.Conn, error)) option {
	return func(dial *dialFunc) { *dial = f }
}

// DialWithName is the name to count by, which nobody does.
func DialWithName(string) option { return func(*dialFunc) {} }

// DialWithTracing asks for debug pages, which there are none of.
func DialWithTracing() option { return func(*dialFunc) {} }
