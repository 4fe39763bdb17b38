package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

var errNoPod = errors.New("no pod is ready")

// hop sends requests to pods. What could not be sent at all goes to another
// pod of the track.
type hop struct{ s *Server }

// RoundTrip sends a request to a ready pod.
func (h hop) RoundTrip(r *http.Request) (*http.Response, error) {
	f := r.Context().Value(flightKey{}).(*flight)
	var tried []*endpoint
	last := errNoPod
	for {
		e := h.s.board(f, tried)
		if e == nil {
			return nil, last
		}
		res, err := f.send(e, r)
		u, ok := err.(*unsentError) //nolint:errorlint // made by send, never wrapped
		if !ok {
			return res, err
		}
		last, tried = u.err, append(tried, e)
		if r.Context().Err() != nil {
			return nil, last
		}
		f.again++
	}
}

// unsentError reports a request of which the pod has got nothing, and whose
// body is whole.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }

// send tries one pod.
func (f *flight) send(e *endpoint, r *http.Request) (*http.Response, error) {
	var on *conn
	var before int64
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if on, _ = i.Conn.(*conn); on != nil {
			before = on.begun.Load()
		}
	}})
	out := r.WithContext(ctx)
	u := *r.URL
	u.Host = e.address
	out.URL = &u
	if out.Body != nil {
		out.Body = f.body // ReverseProxy's own would be closed by the first try
	}
	if f.two {
		res, err := e.two.RoundTrip(out)
		if err != nil && isDial(err) && !f.body.touched() {
			err = &unsentError{err}
		}
		return res, err
	}
	if out.Body == nil && lacksBody(r.Method) {
		// A request without a body would be sent again by the transport after
		// a kept connection broke, though the pod may have worked on it. With
		// a body that turns out to be empty it looks the same to the pod.
		out.Body = nothing{}
	}
	res, err := e.one.RoundTrip(out)
	if err != nil && !f.body.touched() && (isDial(err) || on != nil && on.seal() == before) {
		err = &unsentError{err}
	}
	return res, err
}

func lacksBody(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// nothing is a body that is at its end.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }

// conn is a connection to a pod that knows whether anything was written.
type conn struct {
	net.Conn
	begun  atomic.Int64 // writes that may have reached the pod
	sealed atomic.Bool
}

// Write counts first, so that what is on its way is never taken for unsent.
func (c *conn) Write(p []byte) (int, error) {
	c.begun.Add(1)
	if c.sealed.Load() {
		c.begun.Add(-1)
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(p)
	if n == 0 && err != nil {
		c.begun.Add(-1)
	}
	return n, err
}

// seal lets nothing more be written and returns how many writes there were.
func (c *conn) seal() int64 {
	c.sealed.Store(true)
	return c.begun.Load()
}
