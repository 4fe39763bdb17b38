package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/headgate-dev/headgate/internal/local/proxy"
)

func TestRequestComesThroughAsItWas(t *testing.T) {
	s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s|%s|%s|%s|%s|%q", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Forwarded-For"),
			r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Keep-Alive"), r.Header.Values("User-Agent"))
	})))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.URL()+"/a%2Fb//c?x=1;y=%zz&q=a+b", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.example:81"
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	req.Header.Set("Keep-Alive", "timeout=5")
	req.Header.Set("User-Agent", "")
	res, err := client(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	wantText(t, string(b), `PATCH /a%2Fb//c?x=1;y=%zz&q=a+b shop.example:81|192.0.2.7, 127.0.0.1|shop.example:81|http||[]`)
	if res.StatusCode != http.StatusTeapot || len(res.Header.Values("Set-Cookie")) != 2 {
		t.Errorf("got %s with %v", res.Status, res.Header)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	s := start(t, startPod(t, says("hello")))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodHead, s.URL(), nil)
	res, err := client(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); len(b) != 0 || res.ContentLength != 5 || res.Header.Get("X-Track") != "hello" {
		t.Errorf("got %q, length %d", b, res.ContentLength)
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	const size = 2 << 20
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				n, err := io.Copy(w, r.Body)
				if n != size || err != nil {
					t.Errorf("the pod got %d bytes, %v", n, err)
				}
			})))
			if err := s.SetRoute(proxy.Route{Name: shop, H2C: h2, Weights: all}); err != nil {
				t.Fatal(err)
			}
			body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			c := client(t, h2)
			for _, known := range []bool{true, false} {
				var r io.Reader = bytes.NewReader(body)
				if !known {
					r = io.MultiReader(r)
				}
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), r)
				if status, got := do(t, c, req); status != http.StatusOK || got != string(body) {
					t.Errorf("known=%v: got %d and %d bytes", known, status, len(got))
				}
			}
		})
	}
}

// A pod that has heard enough answers at once, and the connection is of use
// for the next request.
func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/some" {
			_, _ = io.ReadFull(r.Body, make([]byte, 3))
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})))
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"/none", "/some"} {
			c := client(t, h2)
			for range 20 {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, strings.NewReader(strings.Repeat("x", 100_000)))
				if status, got := do(t, c, req); status != http.StatusRequestEntityTooLarge {
					t.Fatalf("h2=%v %s: got %d %q", h2, path, status, got)
				}
			}
		}
	}
}

// What the proxy answers itself leaves the connection whole as well.
func TestRefusalOfABodyThatNobodyReads(t *testing.T) {
	s := startServer(t)
	set(t, s, all)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(c)
	refused := func(request string) *http.Response {
		t.Helper()
		_, _ = io.WriteString(c, request)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); res.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(string(b), "no pod of track stable") || err != nil {
			t.Fatalf("got %s %q, %v", res.Status, b, err)
		}
		return res
	}
	for range 3 {
		refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
	}
	// Who waits for leave is told no, and need not send the body to hear it.
	if res := refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"); !res.Close {
		t.Error("the connection is kept though the body may come or not")
	}
}

func TestContinueIsThePodsToSay(t *testing.T) {
	pod := startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	s := start(t, pod)
	for path, want := range map[string]int{"/yes": http.StatusOK, "/no": http.StatusExpectationFailed} {
		asked, said := false, false
		body := readFunc(func(p []byte) (int, error) {
			if asked {
				return 0, io.EOF
			}
			asked = true
			return copy(p, "body"), nil
		})
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { said = true }})
		req, _ := http.NewRequestWithContext(ctx, http.MethodPut, s.URL()+path, body)
		req.ContentLength = 4
		req.Header.Set("Expect", "100-continue")
		if status, _ := do(t, client(t, false), req); status != want || asked != (want == http.StatusOK) || said != asked {
			t.Errorf("%s: got %d, body asked for: %v, continue said: %v", path, status, asked, said)
		}
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestEarlyHintsAreForwarded(t *testing.T) {
	s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})))
	var hints []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if h.Get("Link") != "" {
			hints = append(hints, code)
		}
		return nil
	}})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(), nil)
	if status, _ := do(t, client(t, false), req); status != http.StatusNoContent || len(hints) != 1 || hints[0] != http.StatusEarlyHints {
		t.Errorf("got %d after %v", status, hints)
	}
}

// A stream comes piece by piece: the pod sends the next one only after the
// client has got the last.
func TestStreamsAreNotHeldBack(t *testing.T) {
	for _, tt := range []struct {
		name, contentType string
		length            string
	}{
		{"events", "text/event-stream", ""}, {"unknown length", "text/plain", ""}, {"known length", "text/plain", "15"},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s h2=%v", tt.name, h2), func(t *testing.T) {
				more := make(chan bool, 1)
				s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", tt.contentType)
					if tt.length != "" {
						w.Header().Set("Content-Length", tt.length)
					}
					out := http.NewResponseController(w)
					_ = out.Flush() // the header alone is worth something
					for range 3 {
						select {
						case <-more:
						case <-r.Context().Done():
							return
						}
						_, _ = io.WriteString(w, "tick\n")
						_ = out.Flush()
					}
				})))
				req, _ := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodGet, s.URL(), nil)
				res, err := client(t, h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				lines := bufio.NewReader(res.Body)
				for range 3 {
					more <- true
					if line, err := lines.ReadString('\n'); line != "tick\n" || err != nil {
						t.Fatalf("got %q, %v", line, err)
					}
				}
				if n := s.InFlight(shop, "stable"); n > 1 {
					t.Errorf("%d in flight", n)
				}
				wantInFlight(t, s, "stable", 0)
			})
		}
	}
}

// What gRPC needs: HTTP/2 to the pod, both directions at once, a header before
// the first message, trailers after the last.
func TestGRPC(t *testing.T) {
	s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
			t.Errorf("the pod got %s, TE %q", r.Proto, r.Header.Get("Te"))
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		out := http.NewResponseController(w)
		_ = out.Flush()
		for in := bufio.NewReader(r.Body); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			_, _ = io.WriteString(w, strings.ToUpper(line))
			_ = out.Flush()
		}
		w.Header().Set("Grpc-Status", "5")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "unannounced")
	})))
	read, write := io.Pipe()
	req, _ := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodPost, s.URL()+"/shop.User/Talk", read)
	req.Header.Set("Content-Type", "application/grpc+proto")
	req.Header.Set("Te", "trailers")
	res, err := client(t, true).Do(req) // returns with the header, before anything was said
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answers := bufio.NewReader(res.Body)
	for _, word := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(write, word)
		if got, err := answers.ReadString('\n'); got != strings.ToUpper(word) || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = write.Close()
	if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if res.Trailer.Get("Grpc-Status") != "5" || res.Trailer.Get("Grpc-Message") != "unannounced" {
		t.Errorf("trailers: %v", res.Trailer)
	}
}

func TestProtocolTowardsPods(t *testing.T) {
	var got string
	s := start(t, startPod(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Proto })))
	for _, tt := range []struct {
		h2c, h2 bool
		want    string
	}{{false, false, "HTTP/1.1"}, {false, true, "HTTP/1.1"}, {true, false, "HTTP/2.0"}, {true, true, "HTTP/2.0"}} {
		if err := s.SetRoute(proxy.Route{Name: shop, H2C: tt.h2c, Weights: all}); err != nil {
			t.Fatal(err)
		}
		if status, _ := get(t, client(t, tt.h2), s.URL()); status != http.StatusOK || got != tt.want {
			t.Errorf("H2C %v, client h2 %v: %d, the pod was spoken to in %s, want %s", tt.h2c, tt.h2, status, got, tt.want)
		}
	}
}

func echoing(name string) http.Handler {
	return websocket.Server{Handler: func(ws *websocket.Conn) {
		_, _ = io.WriteString(ws, name)
		_, _ = io.Copy(ws, ws)
	}}
}

func dialSocket(t *testing.T, s *proxy.Server) *websocket.Conn {
	t.Helper()
	cfg, err := websocket.NewConfig("ws://"+s.Address()+"/talk", "http://shop.example")
	if err != nil {
		t.Fatal(err)
	}
	ws, err := cfg.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetDeadline(time.Now().Add(10 * time.Second))
	return ws
}

// talk says something and wants it back.
func talk(t *testing.T, ws *websocket.Conn, say, want string) {
	t.Helper()
	if say != "" {
		if _, err := io.WriteString(ws, say); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 64)
	n, err := ws.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, string(b[:n]), want)
}

func TestWebSocketStaysWithItsPod(t *testing.T) {
	s := start(t, startPod(t, echoing("one")))
	ws := dialSocket(t, s)
	talk(t, ws, "", "one")
	talk(t, ws, "hello", "hello")

	next := startPod(t, echoing("two"))
	s.SetEndpoints(shop, "canary", addresses(next))
	set(t, s, map[string]float64{"canary": 100})
	other := dialSocket(t, s)
	talk(t, other, "", "two")
	talk(t, ws, "still here", "still here")
	if s.InFlight(shop, "stable") != 1 || s.InFlight(shop, "canary") != 1 || s.AddressInFlight(next.address) != 1 {
		t.Errorf("in flight: %d and %d", s.InFlight(shop, "stable"), s.InFlight(shop, "canary"))
	}
	if err := s.DrainTrack(within(t, 20*time.Millisecond), shop, "stable"); !errors.Is(err, errTooLate) {
		t.Errorf("the track has drained with an open WebSocket: %v", err)
	}
	_ = ws.Close()
	if err := s.DrainTrack(within(t, 10*time.Second), shop, "stable"); err != nil {
		t.Error(err)
	}
	if n := s.Counts(shop)["stable"].Status[http.StatusSwitchingProtocols]; n != 1 {
		t.Errorf("%d upgrades counted", n)
	}
}

func TestClosingBreaksOffWhatDoesNotEnd(t *testing.T) {
	s := start(t, startPod(t, echoing("one")))
	ws := dialSocket(t, s)
	talk(t, ws, "", "one")
	if err := s.Close(within(t, 50*time.Millisecond)); !errors.Is(err, errTooLate) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := ws.Read(make([]byte, 1)); err == nil {
		t.Error("the WebSocket outlived the proxy")
	}
	wantInFlight(t, s, "stable", 0)
}
