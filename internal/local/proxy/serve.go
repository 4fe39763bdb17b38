package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"
)

// flush is how long a part of an answer of known length may wait for more of
// it. All other answers are passed on as they come.
const flush = 10 * time.Millisecond

// flight is one request under way.
type flight struct {
	track    *track
	at       *endpoint // where it is now
	route    string
	two      bool // speaks HTTP/2 with the pod
	body     *body
	status   int
	again    int
	broken   bool // the pod ended it, or never took it
	departed bool // the client did not wait for the end
}

type flightKey struct{}

// ServeHTTP passes a request on to a pod of the track whose turn it is.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s.admit(r)
	switch {
	case r.Method == http.MethodConnect:
		plain(w, http.StatusMethodNotAllowed, "the local proxy opens no tunnels")
		return
	case f == nil:
		plain(w, http.StatusNotFound, "no route is for "+hostOf(r.Host)+r.URL.Path)
		return
	}
	in := r.WithContext(context.WithValue(r.Context(), flightKey{}, f)) // r itself is the server's
	if r.Body != nil && r.Body != http.NoBody {
		f.body = &body{from: r.Body}
		in.Body = f.body
		// An answer may begin before the request has ended; without this the
		// rest of the request would be thrown away then. HTTP/2 needs no leave.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	ended := false
	defer func() {
		if ended && f.body != nil && r.ProtoMajor == 1 {
			f.body.end(w, r)
		}
	}()
	defer func() {
		// Without an end there was a panic, which breaks the client's connection
		// off, as it should: of the two sides, one did not wait for the end.
		f.departed = f.departed || !ended && (r.Context().Err() != nil || !f.broken)
		s.leave(f)
	}()
	s.behind.ServeHTTP(w, in)
	ended = true
}

// admit finds the route of a request, chooses the track and counts it in; nil
// where there is no route.
func (s *Server) admit(r *http.Request) *flight {
	host := hostOf(r.Host)
	s.mu.Lock()
	defer s.mu.Unlock()
	rt := s.match(host, r.URL.Path, named)
	if rt == nil && isHere(host) {
		rt = s.match(host, r.URL.Path, anyName)
	}
	if rt == nil && s.onlyFallbacks() { // a Service asks for no host
		rt = s.match(host, r.URL.Path, fallback)
	}
	if rt == nil || r.Method == http.MethodConnect {
		return nil
	}
	f := &flight{route: rt.Name, track: rt.track(rt.split.next())}
	f.two = rt.H2C && r.Header.Get("Upgrade") == "" || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	f.track.open++
	s.open++
	return f
}

// matching is what routes a request may be given to: those that are for its
// host, those for other hosts, too, or the fallbacks among these.
type matching int

const (
	named matching = iota
	anyName
	fallback
)

// onlyFallbacks reports whether there are no other routes; mu is held.
func (s *Server) onlyFallbacks() bool {
	for _, rt := range s.routes {
		if rt.set && !rt.Fallback {
			return false
		}
	}
	return true
}

// match returns the route that fits best; mu is held.
func (s *Server) match(host, path string, m matching) *routing {
	var best *routing
	var of rank
	for _, rt := range s.routes {
		if !rt.set || m != named && rt.Fallback != (m == fallback) {
			continue
		}
		k, ok := rt.fits(host, path, m != named)
		if !ok {
			continue
		}
		if c := k.compare(of); best == nil || c > 0 || c == 0 && rt.before(best) {
			best, of = rt, k
		}
	}
	return best
}

// before decides between routes that fit alike.
func (rt *routing) before(other *routing) bool {
	if rt.Last != other.Last {
		return other.Last
	}
	return rt.Name < other.Name
}

// leave counts a request out.
func (s *Server) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alight(f)
	s.open--
	f.track.open--
	f.track.count.add(f)
	if s.open == 0 || f.track.open == 0 {
		s.wake()
	}
}

// board gives a request the next endpoint of its track that it has not tried;
// nil where there is none.
func (s *Server) board(f *flight, tried []*endpoint) *endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alight(f)
	t := f.track
	for i := range t.endpoints {
		n := (t.turn + i) % len(t.endpoints)
		if e := t.endpoints[n]; !slices.Contains(tried, e) {
			t.turn = n + 1
			f.at = e
			e.open++
			return e
		}
	}
	return nil
}

// alight takes a request from its endpoint; mu is held.
func (s *Server) alight(f *flight) {
	e := f.at
	if e == nil {
		return
	}
	f.at = nil
	if e.open--; e.open > 0 {
		return
	}
	if e.abandoned {
		s.forget(e)
	}
	s.wake()
}

// wake makes all waits look again; mu is held.
func (s *Server) wake() {
	close(s.idle)
	s.idle = make(chan struct{})
}

// reverse is the part that passes on what one side says to the other.
func (s *Server) reverse() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.RawQuery = r.In.URL.RawQuery // to the letter
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
		},
		Transport:     hop{s},
		FlushInterval: flush,
		BufferPool:    &buffers{},
		ErrorLog:      slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
		ErrorHandler:  s.refuse,
		ModifyResponse: func(r *http.Response) error {
			f := r.Request.Context().Value(flightKey{}).(*flight)
			f.status = r.StatusCode
			if r.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection
				r.Body = &answer{r.Body, f}
			}
			return nil
		},
	}
}

// answer is the body of a pod's answer.
type answer struct {
	io.ReadCloser
	of *flight
}

// Read notes when the pod did not send all of it.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		a.of.broken = true
	}
	return n, err
}

// refuse answers a request that no pod has answered.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := r.Context().Value(flightKey{}).(*flight)
	switch {
	case r.Context().Err() != nil || f.body.failed():
		f.departed = true
		f.status = http.StatusBadRequest
		plain(w, f.status, "the request came in incomplete")
		return
	case errors.Is(err, errNoPod):
		f.status = http.StatusServiceUnavailable
		plain(w, f.status, fmt.Sprintf("no pod of track %s of route %s is ready", f.track.name, f.route))
	case isDial(err):
		f.status = http.StatusServiceUnavailable
		plain(w, f.status, fmt.Sprintf("no ready pod of track %s of route %s takes connections", f.track.name, f.route))
	default:
		f.status = http.StatusBadGateway
		plain(w, f.status, fmt.Sprintf("the pod of track %s of route %s that had the request gave no answer", f.track.name, f.route))
	}
	f.broken = true
	s.opts.Log.Debug("a request was not answered", slog.String("route", f.route), slog.String("track", f.track.name), slog.Any("error", err))
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func plain(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, sentence) // a client that is gone needs none
}

// buffers lends what answers are copied with.
type buffers struct{ pool sync.Pool }

// Get lends a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put takes it back.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
