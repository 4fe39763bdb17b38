// Package metrics is a Prometheus inside this process: it scrapes targets on
// this machine, keeps what it found for some hours and answers PromQL through
// Prometheus' query API, on loopback.
package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/headgate-dev/headgate/internal/local/loopback"
	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

// What is taken where [Options] say nothing.
const (
	DefaultScrapeInterval = time.Second
	DefaultRetention      = 6 * time.Hour
)

// MinScrapeInterval is the least time between two scrapes of a target.
const MinScrapeInterval = 50 * time.Millisecond

// Options say how a [Server] works. The zero value is of use.
type Options struct {
	// Listen is the address of the query API, of loopback only; "" means
	// 127.0.0.1 and a free port.
	Listen string
	// ScrapeInterval is the time between two scrapes of one target, from
	// [MinScrapeInterval] on; 0 means [DefaultScrapeInterval]. A scrape that
	// takes longer than four fifths of it has failed.
	ScrapeInterval time.Duration
	// Retention is how long samples are kept at least; 0 means
	// [DefaultRetention].
	Retention time.Duration
	// Log is for what goes wrong with a single target; nil means nowhere.
	Log *slog.Logger
}

// Server scrapes, stores and answers. Its methods may be called from several
// goroutines.
type Server struct {
	memory  *samples.Memory
	engine  *promql.Engine
	scraper *scraper
	web     *http.Server
	url     string
	served  sync.WaitGroup
	closing sync.Once
	closed  error
}

// Open starts a server. Whoever opens one closes it.
func Open(o Options) (*Server, error) {
	if o.ScrapeInterval == 0 {
		o.ScrapeInterval = DefaultScrapeInterval
	}
	if o.ScrapeInterval < MinScrapeInterval {
		return nil, fmt.Errorf("open metrics: the scrape interval %s is below %s", o.ScrapeInterval, MinScrapeInterval)
	}
	if o.Retention <= 0 {
		o.Retention = DefaultRetention
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	address, err := loopback.Address(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	s := &Server{url: "http://" + listener.Addr().String(), memory: samples.New(o.Retention)}
	s.scraper = startScraper(s.memory, o)
	p := newParser()
	s.engine = newEngine(p, o.ScrapeInterval)
	s.serve(listener, newAPI(s, p, o))
	return s, nil
}

// newParser takes the same language as the checks of package gates.
func newParser() parser.Parser {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true})
}

// newEngine returns an engine with the limits of a small Prometheus.
func newEngine(p parser.Parser, interval time.Duration) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples:               5_000_000,
		Timeout:                  queryTimeout,
		NoStepSubqueryIntervalFn: func(int64) int64 { return interval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   p,
	})
}

// serve answers on listener until Close.
func (s *Server) serve(listener net.Listener, handler http.Handler) {
	s.web = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      queryTimeout + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	s.served.Go(func() { _ = s.web.Serve(listener) }) // ends by Close
}

// SetTargets replaces all targets. It does not wait: a target that is new is
// scraped at once for the first time. The series of a target that is gone, or
// that no longer answers, end at once.
func (s *Server) SetTargets(targets []Target) error { return s.scraper.set(targets) }

// URL is where the query API is, such as http://127.0.0.1:9090.
func (s *Server) URL() string { return s.url }

// Close ends scraping and answering and forgets the samples. A second
// call does nothing and returns the same.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.scraper.close()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.web.Shutdown(ctx) != nil {
			_ = s.web.Close() // a query that does not end loses its client
		}
		s.served.Wait()
		if err := s.engine.Close(); err != nil {
			s.closed = fmt.Errorf("close metrics: %w", err)
		}
	})
	return s.closed
}
