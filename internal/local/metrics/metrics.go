// Package metrics is a Prometheus inside this process: it scrapes targets on
// this machine, keeps what it found for some hours and answers PromQL through
// Prometheus' query API, on loopback.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/headgate-dev/headgate/internal/local/loopback"
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
	// Dir is an existing folder below which the samples are kept, in a new
	// folder that [Server.Close] removes; "" means the system's folder for
	// temporary files. What servers of processes that were killed left there
	// is removed by the next one.
	Dir string
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
	store   *store
	engine  *promql.Engine
	scraper *scraper
	web     *http.Server
	url     string
	served  sync.WaitGroup
	closing sync.Once
	closed  error
}

// Open starts a server. Whoever opens one closes it.
func Open(o Options) (_ *Server, err error) {
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
	s := &Server{url: "http://" + listener.Addr().String()}
	if s.store, err = openStore(o); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if s.scraper, err = startScraper(s.store.db, o); err != nil {
		return nil, errors.Join(err, s.store.close(), listener.Close())
	}
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
// scraped within one scrape interval for the first time. The series of a
// target that is gone end when the second scrape after would have been, as
// they do in every Prometheus; those of one that no longer answers end at once.
func (s *Server) SetTargets(targets []Target) error { return s.scraper.set(targets) }

// URL is where the query API is, such as http://127.0.0.1:9090.
func (s *Server) URL() string { return s.url }

// Close ends scraping and answering and removes what was stored. A second
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
		if err := errors.Join(s.engine.Close(), s.store.close()); err != nil {
			s.closed = fmt.Errorf("close metrics: %w", err)
		}
	})
	return s.closed
}
