// Package load sends requests to a service on this machine at a steady rate
// and counts every one that fails.
//
// The schedule is fixed at the start: request i is due i/rate after it,
// however slow the answers are, and its latency counts from when it was due.
// So a service that hangs for a second shows a second's worth of late
// requests, and not one.
//
// Nothing is hidden: no request is sent twice, no redirect followed. The only
// address allowed is 127.0.0.1, and count, rate and time are bounded.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The bounds of a [Config].
const (
	MaxRate     = 5_000
	MaxDuration = 30 * time.Minute
	MaxRequests = 1_000_000
)

// Config says what to send. URL, Rate and one of For and Count are needed.
type Config struct {
	// URL is plain HTTP on 127.0.0.1. A "{n}" in it stands for the request's
	// number, modulo 1000.
	URL string
	// Host is sent as the Host header; "" means that of URL.
	Host string
	// Rate is requests per second, up to [MaxRate].
	Rate float64
	// For ends the load after so long, up to [MaxDuration] (also what 0 means).
	For time.Duration
	// Count ends it after so many, up to [MaxRequests] (also what 0 means).
	Count int
	// NewConnections opens one for each request; else they are kept.
	NewConnections bool
	// PerConnection closes a kept connection after so many requests, as clients
	// and proxies do that want to notice changes; 0 means never.
	PerConnection int
	// Connections is how many are used at most at once, 1 to 512; 0 means 32.
	Connections int
	// Timeout bounds a request from when it was due; 0 means 5 s.
	Timeout time.Duration
	// Failed, when set, is told of each failure as it happens. It must be quick.
	Failed func(Failure)
}

// Check returns what is wrong with a config; [Start] refuses it for the same.
func (c Config) Check() error {
	_, _, err := c.check()
	return err
}

func (c Config) check() (Config, *url.URL, error) {
	u, err := url.Parse(strings.ReplaceAll(c.URL, "{n}", numberMark))
	if err != nil {
		return c, nil, errors.New("read URL: it should look like http://127.0.0.1:8000/path")
	}
	if u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Port() == "" {
		return c, nil, fmt.Errorf("the URL must begin with http://127.0.0.1:PORT, not %s://%s: load is for this machine alone", u.Scheme, u.Host)
	}
	if !(c.Rate > 0 && c.Rate <= MaxRate) {
		return c, nil, fmt.Errorf("the rate must be above 0 and at most %d per second", MaxRate)
	}
	if c.For < 0 || c.For > MaxDuration || c.Count < 0 || c.Count > MaxRequests {
		return c, nil, fmt.Errorf("a load lasts at most %v and %d requests", MaxDuration, MaxRequests)
	}
	if c.For == 0 && c.Count == 0 {
		return c, nil, errors.New("a load needs an end: a time or a count")
	}
	if c.For == 0 {
		c.For = MaxDuration
	}
	if c.Count == 0 {
		c.Count = MaxRequests
	}
	if c.PerConnection < 0 {
		return c, nil, errors.New("the requests of a connection cannot be less than 0")
	}
	if c.Connections == 0 {
		c.Connections = 32
	}
	if c.Connections < 1 || c.Connections > 512 {
		return c, nil, errors.New("connections must be 1 to 512")
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Host == "" {
		c.Host = u.Host
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return c, u, nil
}

// Load is a load that runs.
type Load struct {
	config Config
	stop   context.CancelFunc
	done   chan struct{}
	tally  *tally
	// slots holds the connections that are free, the longest unused first, so
	// that all of them are used in turn.
	slots chan *slot
}

// Start begins to send in the background and ends when ctx does, at the
// configured end, or with [Load.Stop].
func Start(ctx context.Context, c Config) (*Load, error) {
	c, u, err := c.check()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	l := &Load{config: c, stop: stop, done: make(chan struct{}), slots: make(chan *slot, c.Connections)}
	for range c.Connections {
		l.slots <- &slot{target: u, host: c.Host, fresh: c.NewConnections, most: c.PerConnection}
	}
	l.tally = newTally(time.Now(), c)
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
	return l, nil
}

// run sends by the schedule and waits for all answers.
func (l *Load) run(ctx context.Context) {
	var pending sync.WaitGroup
	start := l.tally.start
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range l.config.Count {
		due := start.Add(time.Duration(float64(i) / l.config.Rate * float64(time.Second)))
		if due.Sub(start) >= l.config.For {
			break
		}
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		// Bounded by rate and timeout: each waits no longer than the latter.
		pending.Go(func() { l.send(i, due) })
	}
	pending.Wait()
	for range l.config.Connections {
		(<-l.slots).close()
	}
	l.tally.end(time.Now())
}

// send makes one request; what has begun is not broken off by the load's end.
func (l *Load) send(number int, due time.Time) {
	deadline := due.Add(l.config.Timeout)
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	var s *slot
	select {
	case s = <-l.slots:
	case <-late.C:
		l.tally.add(outcome{due: due, done: time.Now(), kind: Overload, err: errors.New("all connections were busy")})
		return
	}
	o := s.do(number, deadline)
	l.slots <- s
	o.due, o.done = due, time.Now()
	l.tally.add(o)
}

// Snapshot returns what has been counted so far.
func (l *Load) Snapshot() Report { return l.tally.report() }

// Done is closed when the load has ended and all answers are in.
func (l *Load) Done() <-chan struct{} { return l.done }

// Stop sends no more, waits for the answers that are due, and returns the
// count. It may be called again.
func (l *Load) Stop() Report {
	l.stop()
	<-l.done
	return l.tally.report()
}
