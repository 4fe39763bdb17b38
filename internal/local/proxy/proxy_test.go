package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/local/proxy"
)

const shop = "shop/user"

// pod is an HTTP server that a track has.
type pod struct {
	address string
	server  *http.Server
	ended   chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]http.ConnState
}

func bothProtocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

func startPod(tb testing.TB, h http.Handler) *pod {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &pod{address: l.Addr().String(), ended: make(chan struct{}), conns: map[net.Conn]http.ConnState{}}
	p.server = &http.Server{
		Handler: h, Protocols: bothProtocols(), ReadHeaderTimeout: time.Minute,
		ConnState: func(c net.Conn, s http.ConnState) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.conns[c] = s; s == http.StateClosed || s == http.StateHijacked {
				delete(p.conns, c)
			}
		},
	}
	go func() {
		defer close(p.ended)
		_ = p.server.Serve(l)
	}()
	tb.Cleanup(p.kill)
	return p
}

// kill ends the pod at once.
func (p *pod) kill() {
	_ = p.server.Close()
	<-p.ended
}

// open is how many connections there are to the pod.
func (p *pod) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// says answers with a name.
func says(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Track", name)
		_, _ = io.WriteString(w, name)
	})
}

func startServer(tb testing.TB) *proxy.Server {
	tb.Helper()
	s, err := proxy.NewServer(proxy.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// start makes a proxy with one route whose stable track has the given pods.
func start(tb testing.TB, pods ...*pod) *proxy.Server {
	tb.Helper()
	s := startServer(tb)
	set(tb, s, map[string]float64{"stable": 100})
	s.SetEndpoints(shop, "stable", addresses(pods...))
	return s
}

func addresses(pods ...*pod) []string {
	var all []string
	for _, p := range pods {
		all = append(all, p.address)
	}
	return all
}

func set(tb testing.TB, s *proxy.Server, weights map[string]float64) {
	tb.Helper()
	if err := s.SetRoute(proxy.Route{Name: shop, Weights: weights}); err != nil {
		tb.Fatal(err)
	}
}

// client returns a client that keeps connections and follows nothing; with h2
// it speaks HTTP/2 without encryption.
func client(tb testing.TB, h2 bool) *http.Client {
	tb.Helper()
	var p http.Protocols
	p.SetHTTP1(!h2)
	p.SetUnencryptedHTTP2(h2)
	tr := &http.Transport{Protocols: &p, DisableCompression: true, MaxIdleConnsPerHost: 100, ExpectContinueTimeout: 10 * time.Second}
	tb.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// get returns status and body.
func get(tb testing.TB, c *http.Client, url string) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return do(tb, c, req)
}

func do(tb testing.TB, c *http.Client, req *http.Request) (int, string) {
	tb.Helper()
	res, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// eventually asks until ok says yes.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("never: %s", what)
		}
	}
}

var errTooLate = errors.New("too late")

// within is a context that ends soon.
func within(tb testing.TB, d time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(tb.Context(), d, errTooLate)
	tb.Cleanup(cancel)
	return ctx
}

func wantText(tb testing.TB, got, want string) {
	tb.Helper()
	if got != want {
		tb.Errorf("got %q, want %q", got, want)
	}
}

func wantInFlight(tb testing.TB, s *proxy.Server, track string, want int) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("%d requests in flight to %s", want, track), func() bool { return s.InFlight(shop, track) == want })
}
