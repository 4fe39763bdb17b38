package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/headgate-dev/headgate/internal/local/proxy"
)

// shopper is a pod of which some requests are slow, some large, and one is a
// conversation.
func shopper(name string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/talk", echoing(name))
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "tick\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Duration(rand.IntN(10)) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write(b)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "tick\ntick\ntick\n") })
	return mux
}

// rollout changes weights and pods as fast as it can, in the order in which a
// platform does it: endpoints first, then the drain, then the end of the pod.
type rollout struct {
	t     *testing.T
	s     *proxy.Server
	r     *proxy.Router
	pods  map[string][]*pod
	rests sync.WaitGroup
	ended atomic.Int32
}

func (r *rollout) add(track string) {
	r.pods[track] = append(r.pods[track], startPod(r.t, shopper(track)))
	r.s.SetEndpoints(shop, track, addresses(r.pods[track]...))
}

func (r *rollout) remove(track string) {
	old := r.pods[track][0]
	r.pods[track] = r.pods[track][1:]
	r.s.SetEndpoints(shop, track, addresses(r.pods[track]...))
	r.rests.Go(func() {
		if err := r.s.Drain(within(r.t, 20*time.Second), old.address); err != nil {
			r.t.Errorf("drain: %v", err)
		}
		old.kill() // at once: nothing is under way, nothing comes
		r.ended.Add(1)
	})
}

func (r *rollout) run(ctx context.Context) {
	for weight := 0.0; ctx.Err() == nil; {
		for _, next := range []float64{0.5, 20, 50, 100, 40, 0} {
			if err := r.r.SetWeight(r.t.Context(), weight, next); err != nil {
				r.t.Error(err)
				return
			}
			weight = next
			for _, track := range []string{"stable", "canary"} {
				r.add(track)
				r.remove(track)
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}
}

// once makes one request and says what was wrong with the answer.
func once(ctx context.Context, c *http.Client, url string, n int) error {
	path, method, body := "/", http.MethodGet, ""
	want := "tick\ntick\ntick\n"
	switch n % 4 {
	case 1:
		path = "/slow"
	case 2:
		path, method, body = "/echo", http.MethodPost, fmt.Sprintf("order %d", n)
		want = body
	case 3:
		path, method, body = "/echo", http.MethodPut, strings.Repeat("x", 40_000)
		want = body
	}
	req, err := http.NewRequestWithContext(ctx, method, url+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		return err
	}
	if body == "" {
		req.Body = http.NoBody
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || string(b) != want {
		return fmt.Errorf("%s %s: %s, %.60q", method, path, res.Status, b)
	}
	return nil
}

func TestNoRequestIsLostWhileWeightsAndPodsChange(t *testing.T) {
	s := startServer(t)
	set(t, s, all)
	r := &rollout{t: t, s: s, r: proxy.NewRouter(s, &memory{}, shop), pods: map[string][]*pod{}}
	for range 2 {
		r.add("stable")
		r.add("canary")
	}
	changing, stop := context.WithCancel(t.Context())
	var change, users sync.WaitGroup
	change.Go(func() { r.run(changing) })

	var served, lost atomic.Int32
	began := time.Now() // thousands of requests, and longer for hundreds on a busy machine
	enough := func() bool {
		d := time.Since(began)
		return d > 3*time.Second && served.Load() >= 300 || d > 30*time.Second
	}
	count := func(what string, err error) {
		if served.Add(1); err != nil && lost.Add(1) < 10 {
			t.Errorf("%s: %v", what, err)
		}
	}
	for user := range 8 {
		kept := client(t, user%4 == 3)
		fresh := client(t, user%4 == 3)
		fresh.Transport.(*http.Transport).DisableKeepAlives = true
		users.Go(func() {
			for n := 0; !enough(); n++ {
				count("kept connection", once(t.Context(), kept, s.URL(), n))
				if n%5 == 0 {
					count("new connection", once(t.Context(), fresh, s.URL(), n/5))
				}
			}
		})
	}
	users.Go(func() {
		for !enough() {
			count("WebSocket", converse(t.Context(), s))
		}
	})
	users.Wait()
	stop()
	change.Wait()
	r.rests.Wait()
	counts := s.Counts(shop)
	if served.Load() < 300 || lost.Load() != 0 || counts["canary"].Requests < 20 || counts["stable"].Requests < 20 || r.ended.Load() < 10 {
		t.Errorf("%d served, %d lost, %d pods ended, %+v", served.Load(), lost.Load(), r.ended.Load(), counts)
	}
	t.Logf("%d served, %d lost, %d pods ended; stable %d, canary %d", served.Load(), lost.Load(), r.ended.Load(), counts["stable"].Requests, counts["canary"].Requests)
	if counts["stable"].Again+counts["canary"].Again != 0 {
		t.Errorf("requests went to pods that were gone: %+v", counts)
	}
}

// converse speaks over a WebSocket for a while.
func converse(ctx context.Context, s *proxy.Server) error {
	cfg, err := websocket.NewConfig("ws://"+s.Address()+"/talk", "http://shop.example")
	if err != nil {
		return err
	}
	ws, err := cfg.DialContext(ctx)
	if err != nil {
		return err
	}
	defer ws.Close()
	if err := ws.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	b := make([]byte, 32)
	if _, err := ws.Read(b); err != nil {
		return err
	}
	for range 10 {
		if _, err := ws.Write([]byte("hello")); err != nil {
			return err
		}
		if n, err := ws.Read(b); err != nil || string(b[:n]) != "hello" {
			return errors.Join(fmt.Errorf("got %q", b[:n]), err)
		}
	}
	return nil
}
