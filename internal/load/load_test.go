package load_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/load"
)

func run(t *testing.T, c load.Config) load.Report {
	t.Helper()
	l, err := load.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Done():
	case <-time.After(20 * time.Second):
		t.Error("the load does not end")
	}
	return l.Stop()
}

func TestEveryRequestIsSentOnce(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		t.Run(fmt.Sprint("new connections ", fresh), func(t *testing.T) {
			var got, opened atomic.Int64
			var paths sync.Map
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got.Add(1)
				paths.Store(r.Host+r.URL.String(), true)
				w.Header().Set("X-Version", "v1")
			}))
			s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			s.Start()
			defer s.Close()
			r := run(t, load.Config{URL: s.URL + "/profile/{n}?q=1", Host: "shop.test", Rate: 500, Count: 200, NewConnections: fresh})
			if r.Requests != 200 || r.Failed != 0 || got.Load() != 200 || r.Versions["v1"].Requests != 200 {
				t.Errorf("got %d sent, %d failed, %d received, want 200, 0, 200: %+v", r.Requests, r.Failed, got.Load(), r.Failures)
			}
			if _, ok := paths.Load("shop.test/profile/199?q=1"); !ok {
				t.Error("the last number was not asked for")
			}
			if fresh && opened.Load() != 200 || !fresh && opened.Load() > 32 {
				t.Errorf("got %d connections", opened.Load())
			}
			if r.Elapsed < 390*time.Millisecond || r.Elapsed > 2*time.Second {
				t.Errorf("got %v for 200 requests at 500/s", r.Elapsed)
			}
		})
	}
}

func TestKeptConnectionsAreChanged(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	r := run(t, load.Config{URL: s.URL, Rate: 500, Count: 100, Connections: 2, PerConnection: 10})
	// The two places need not have had the same number of requests.
	if got := opened.Load(); got < 10 || got > 12 || r.Failed != 0 {
		t.Errorf("got %d connections and %d failed, want 10 to 12 and 0", got, r.Failed)
	}
}

// A server that hangs for a while makes all the requests late that were due
// meanwhile, not only those that were sent.
func TestNoCoordinatedOmission(t *testing.T) {
	start := time.Now()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		time.Sleep(time.Until(start.Add(400 * time.Millisecond)))
	}))
	defer s.Close()
	r := run(t, load.Config{URL: s.URL, Rate: 100, Count: 60, Connections: 1})
	if r.Requests != 60 || r.P50 < 50*time.Millisecond || r.Max < 300*time.Millisecond {
		t.Errorf("got p50 %v, max %v, want the hang to show in both", r.P50, r.Max)
	}
}

func TestFailuresByKind(t *testing.T) {
	hijack := func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}
	for _, tt := range []struct {
		name string
		kind load.Kind
		http func(w http.ResponseWriter, r *http.Request)
	}{
		{"server error", "status 503", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Version", "v2")
			w.WriteHeader(503)
		}},
		{"no route", "status 404", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Version", "v2")
			w.WriteHeader(404)
		}},
		{"connection broken", load.Reset, func(w http.ResponseWriter, _ *http.Request) { hijack(w) }},
		{"answer torn", load.Reset, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("half"))
		}},
		{"too slow", load.Timeout, func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(tt.http))
			defer s.Close()
			var told atomic.Int64
			r := run(t, load.Config{
				URL: s.URL, Rate: 100, Count: 10, Timeout: 150 * time.Millisecond,
				Failed: func(load.Failure) { told.Add(1) },
			})
			if r.Failed != 10 || r.Kinds[tt.kind] != 10 || told.Load() != 10 {
				t.Errorf("got %d failed, %v, %+v", r.Failed, r.Kinds, r.Failures[:1])
			}
			if strings.HasPrefix(string(tt.kind), "status") && r.Versions["v2"].Failed != 10 {
				t.Errorf("got versions %v", r.Versions)
			}
			failed := 0
			for _, s := range r.Seconds {
				failed += s.Failed
			}
			if failed != 10 {
				t.Errorf("got %d failed over time, want 10", failed)
			}
		})
	}
}

func TestRefusedAndOverload(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	_ = listener.Close()
	if r := run(t, load.Config{URL: url, Rate: 100, Count: 5}); r.Kinds[load.Refused] != 5 {
		t.Errorf("got %v", r.Kinds)
	}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(200 * time.Millisecond) }))
	defer s.Close()
	if r := run(t, load.Config{URL: s.URL, Rate: load.MaxRate, Count: 100, Connections: 1, Timeout: 100 * time.Millisecond}); r.Failed != 100 || r.Kinds[load.Overload] == 0 {
		t.Errorf("got %v", r.Kinds)
	}
}

// A kept connection that the other end closed while idle is no failure.
func TestClosedWhileIdleIsNoFailure(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.IdleTimeout = 20 * time.Millisecond
	s.Start()
	defer s.Close()
	r := run(t, load.Config{URL: s.URL, Rate: 10, Count: 4, Connections: 1})
	if r.Failed != 0 || r.Reconnects != 3 {
		t.Errorf("got %d failed, %d reconnects, want 0, 3: %+v", r.Failed, r.Reconnects, r.Failures)
	}
}

func TestStopEndsAtOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	l, err := load.Start(t.Context(), load.Config{URL: s.URL, Rate: 50, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for l.Snapshot().Requests < 5 {
		time.Sleep(time.Millisecond)
	}
	r := l.Stop()
	if r.Requests < 5 || r.Requests > 100 || r.Failed != 0 {
		t.Errorf("got %+v", r.Count)
	}
	if again := l.Stop(); again.Requests != r.Requests || again.Elapsed != r.Elapsed {
		t.Errorf("got another report the second time: %+v", again.Count)
	}
}

func TestConfigIsBounded(t *testing.T) {
	good := load.Config{URL: "http://127.0.0.1:1/", Rate: 1, Count: 1}
	for _, tt := range []struct {
		name string
		edit func(*load.Config)
	}{
		{"other host", func(c *load.Config) { c.URL = "http://10.0.0.1:80/" }},
		{"name", func(c *load.Config) { c.URL = "http://localhost:80/" }},
		{"looks alike", func(c *load.Config) { c.URL = "http://127.0.0.1@example.com:80/" }},
		{"TLS", func(c *load.Config) { c.URL = "https://127.0.0.1:443/" }},
		{"no port", func(c *load.Config) { c.URL = "http://127.0.0.1/" }},
		{"not a URL", func(c *load.Config) { c.URL = "http://%zz" }},
		{"no rate", func(c *load.Config) { c.Rate = 0 }},
		{"too fast", func(c *load.Config) { c.Rate = load.MaxRate + 1 }},
		{"no end", func(c *load.Config) { c.Count = 0 }},
		{"too long", func(c *load.Config) { c.For = load.MaxDuration + 1 }},
		{"too many", func(c *load.Config) { c.Count = load.MaxRequests + 1 }},
		{"too many connections", func(c *load.Config) { c.Connections = 513 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.edit(&c)
			if l, err := load.Start(t.Context(), c); err == nil {
				l.Stop()
				t.Error("got no error")
			}
		})
	}
}
