package proxy

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"
)

// endpoint is one address of a pod, with the connections to it.
type endpoint struct {
	address   string
	one, two  *http.Transport // HTTP/1.1 and HTTP/2
	listed    int             // in how many tracks
	open      int             // requests that are under way
	abandoned bool            // was in some track, and is in none
}

// Kept connections to a pod are closed before pods usually do that, so that
// no request meets one that is about to be closed.
const keepIdle = time.Second

func (s *Server) newEndpoint(address string) *endpoint {
	dialer := &net.Dialer{Timeout: s.opts.DialTimeout, KeepAlive: 15 * time.Second}
	transport := func(two bool) *http.Transport {
		var p http.Protocols
		p.SetHTTP1(!two)
		p.SetUnencryptedHTTP2(two)
		return &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &conn{Conn: c}, nil
			},
			Protocols: &p, DisableCompression: true,
			MaxIdleConns: 0, MaxIdleConnsPerHost: 1024, IdleConnTimeout: keepIdle,
			ExpectContinueTimeout: time.Second,
		}
	}
	return &endpoint{address: address, one: transport(false), two: transport(true)}
}

// close ends the connections that no request uses.
func (e *endpoint) close() {
	e.one.CloseIdleConnections()
	e.two.CloseIdleConnections()
}

// SetEndpoints says which addresses, as host:port, are ready to serve a track
// of a route. The route need not be known yet. When it returns, no new request
// goes to any other address; connections to those that nobody names any more
// are closed as soon as no request uses them.
func (s *Server) SetEndpoints(route, trackName string, addresses []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replace(s.routing(route).track(trackName), addresses)
}

// replace gives a track other endpoints; mu is held.
func (s *Server) replace(t *track, addresses []string) {
	var next []*endpoint
	for _, a := range addresses {
		if slices.ContainsFunc(next, func(e *endpoint) bool { return e.address == a }) {
			continue
		}
		e, ok := s.endpoints[a]
		if !ok {
			e = s.newEndpoint(a)
			s.endpoints[a] = e
		}
		e.listed++
		e.abandoned = false
		next = append(next, e)
	}
	before := t.endpoints
	t.endpoints = next
	for _, e := range before {
		if e.listed--; e.listed == 0 {
			e.abandoned = true
			s.forget(e)
		}
	}
}

// forget closes the connections to an endpoint that is in no track, and drops
// it when no request uses it any more; mu is held.
func (s *Server) forget(e *endpoint) {
	e.close()
	if e.open == 0 && s.endpoints[e.address] == e {
		delete(s.endpoints, e.address)
	}
}

// InFlight is how many requests for a track of a route are under way: from the
// moment they were given to it until their last byte has been passed on.
// WebSockets and other streams count as long as they are open.
func (s *Server) InFlight(route, track string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight(route, track)
}

func (s *Server) inFlight(route, track string) int {
	if rt, ok := s.routes[route]; ok {
		if t, ok := rt.tracks[track]; ok {
			return t.open
		}
	}
	return 0
}

// AddressInFlight is how many requests are under way to an address.
func (s *Server) AddressInFlight(address string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addressInFlight(address)
}

func (s *Server) addressInFlight(address string) int {
	if e, ok := s.endpoints[address]; ok {
		return e.open
	}
	return 0
}

// Drain waits until no request is under way to any of the addresses, which
// were taken out with [Server.SetEndpoints] before. It returns the cause of
// ctx's end when that comes first.
func (s *Server) Drain(ctx context.Context, addresses ...string) error {
	return s.wait(ctx, func() bool {
		return !slices.ContainsFunc(addresses, func(a string) bool { return s.addressInFlight(a) > 0 })
	})
}

// DrainTrack waits until no request for a track of a route is under way, whose
// weight was set to 0 before. It returns the cause of ctx's end when that
// comes first.
func (s *Server) DrainTrack(ctx context.Context, route, track string) error {
	return s.wait(ctx, func() bool { return s.inFlight(route, track) == 0 })
}

// wait waits until done, which is asked with mu held.
func (s *Server) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, idle := done(), s.idle
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
