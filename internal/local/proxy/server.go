package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
)

// Options say how a [Server] works. The zero value is of use.
type Options struct {
	// Listen is an address of this machine; "" means 127.0.0.1 and a free
	// port.
	Listen string
	// DialTimeout bounds the time to connect to a pod; 0 means two seconds.
	DialTimeout time.Duration
	// Log is told what clients are not; nil means nobody is.
	Log *slog.Logger
}

// Server is the proxy. Its methods may be called from several goroutines.
type Server struct {
	opts     Options
	listener net.Listener
	front    *http.Server
	behind   *httputil.ReverseProxy
	stop     context.CancelFunc // ends what has not ended by itself
	served   chan struct{}

	writing sync.Mutex // one router at a time reads, saves and sets

	mu        sync.Mutex
	routes    map[string]*routing
	endpoints map[string]*endpoint
	open      int           // requests that are under way
	idle      chan struct{} // closed and made anew whenever a counter falls to 0
}

// routing is a route and where its requests go.
type routing struct {
	Route
	set    bool // by SetRoute; else there are endpoints alone
	split  *split
	tracks map[string]*track
}

// track is where the requests for one track of a route go.
type track struct {
	name      string
	endpoints []*endpoint
	turn      int
	open      int
	count     Count
}

// NewServer begins to listen. Whoever makes a server closes it.
func NewServer(o Options) (*Server, error) {
	o.Listen, o.DialTimeout = cmp.Or(o.Listen, "127.0.0.1:0"), cmp.Or(o.DialTimeout, 2*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("read address of the local proxy: %w", err)
	}
	if !isHere(host) {
		return nil, fmt.Errorf("listen at %s: the local proxy is for this machine alone", o.Listen)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the local proxy: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		opts: o, listener: l, stop: stop, served: make(chan struct{}), idle: make(chan struct{}),
		routes: map[string]*routing{}, endpoints: map[string]*endpoint{},
	}
	s.behind = s.reverse()
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	s.front = &http.Server{
		Handler: s, Protocols: &both,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.served)
		if err := s.front.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the local proxy ended", slog.Any("error", err))
		}
	}()
	return s, nil
}

// Address is where the proxy listens, as host:port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL is where the proxy listens, such as http://127.0.0.1:8080.
func (s *Server) URL() string { return "http://" + s.Address() }

// SetRoute adds a route, or changes the one of its name. Requests that come
// in after it has returned go by it; those that are under way stay where they
// are. A wrong route changes nothing.
func (s *Server) SetRoute(r Route) error {
	if err := r.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rt := s.routing(r.Name)
	if rt.split == nil || !maps.Equal(rt.Weights, r.Weights) {
		rt.split = newSplit(r.Weights)
	}
	rt.Route, rt.set = r.Clone(), true
	return nil
}

// RemoveRoute makes the proxy answer 404 for what only that route was for. Its
// endpoints are forgotten; requests that are under way end by themselves.
func (s *Server) RemoveRoute(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rt, ok := s.routes[name]
	if !ok {
		return
	}
	for _, t := range rt.tracks {
		s.replace(t, nil)
	}
	delete(s.routes, name)
}

// Route returns a route by its name.
func (s *Server) Route(name string) (Route, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rt, ok := s.routes[name]
	if !ok || !rt.set {
		return Route{}, false
	}
	return rt.Clone(), true
}

// Routes returns all routes, by name.
func (s *Server) Routes() []Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Route
	for _, name := range slices.Sorted(maps.Keys(s.routes)) {
		if rt := s.routes[name]; rt.set {
			all = append(all, rt.Clone())
		}
	}
	return all
}

// routing returns the entry of a name and makes it where it is missing; mu is
// held.
func (s *Server) routing(name string) *routing {
	rt, ok := s.routes[name]
	if !ok {
		rt = &routing{tracks: map[string]*track{}}
		rt.Name = name
		s.routes[name] = rt
	}
	return rt
}

// track returns the entry of a track and makes it where it is missing; the
// server's mu is held.
func (rt *routing) track(name string) *track {
	t, ok := rt.tracks[name]
	if !ok {
		t = &track{name: name}
		rt.tracks[name] = t
	}
	return t
}

// Close takes no new connection and waits for the requests that are under way;
// those that have not ended when ctx does are broken off, which is an error.
func (s *Server) Close(ctx context.Context) error {
	err := s.front.Shutdown(ctx)
	// Shutdown knows nothing of connections that were upgraded.
	if waited := s.wait(ctx, func() bool { return s.open == 0 }); err == nil {
		err = waited
	}
	s.stop()
	_ = s.front.Close() // of connections that are broken off now
	<-s.served
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		e.close()
	}
	if err != nil {
		return fmt.Errorf("close the local proxy: %w", err)
	}
	return nil
}
