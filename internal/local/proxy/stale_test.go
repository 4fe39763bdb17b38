package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// breaking is a connection to which nothing can be written any more once the
// pod has gone.
type breaking struct {
	net.Conn
	gone *atomic.Bool
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.gone.Load() {
		return 0, syscall.ECONNRESET
	}
	return b.Conn.Write(p)
}

// A kept connection that is found broken when a request shall be written to
// it has carried nothing of it.
func TestRequestThatMeetsABrokenConnectionGoesElsewhere(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			var gone atomic.Bool
			pod := func(name string) string {
				p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
				t.Cleanup(p.Close)
				return p.Listener.Addr().String()
			}
			one, two := pod("one"), pod("two")
			s, err := NewServer(Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close(context.Background()) })
			if err := s.SetRoute(Route{Name: "r", Weights: map[string]float64{"stable": 100}}); err != nil {
				t.Fatal(err)
			}
			s.SetEndpoints("r", "stable", []string{one, two})
			s.endpoints[one].one.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, address)
				return &conn{Conn: &breaking{c, &gone}}, err
			}
			for i, want := range []string{"one", "two", "two"} {
				gone.Store(i == 2)
				req, _ := http.NewRequestWithContext(t.Context(), method, s.URL(), strings.NewReader(""))
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK || string(b) != want {
					t.Errorf("request %d: got %d %q, want %q", i, res.StatusCode, b, want)
				}
			}
			if n := s.Counts("r")["stable"].Again; n != 1 {
				t.Errorf("%d requests were sent again, want 1", n)
			}
		})
	}
}
