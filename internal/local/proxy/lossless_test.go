package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestShareWithoutPodsIsNotGivenToTheOtherTrack(t *testing.T) {
	s := start(t, startPod(t, says("stable")))
	set(t, s, map[string]float64{"stable": 80, "canary": 20})
	c := client(t, false)
	for range 100 {
		status, got := get(t, c, s.URL())
		if status == http.StatusServiceUnavailable {
			wantText(t, got, "no pod of track canary of route shop/user is ready\n")
		}
	}
	counts := s.Counts(shop)
	if counts["stable"].Status[http.StatusOK] != 80 || counts["canary"].Status[http.StatusServiceUnavailable] != 20 || counts["canary"].Failed() != 20 {
		t.Errorf("got %+v", counts)
	}
}

func TestPodsOfATrackTakeTurns(t *testing.T) {
	var pods []*pod
	for _, name := range []string{"a", "b", "c"} {
		pods = append(pods, startPod(t, says(name)))
	}
	s := start(t, pods...)
	c := client(t, false)
	got := map[string]int{}
	for range 30 {
		_, name := get(t, c, s.URL())
		got[name]++
	}
	if got["a"] != 10 || got["b"] != 10 || got["c"] != 10 {
		t.Errorf("got %v", got)
	}
}

// refusing is an address of this machine where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestWhatCouldNotBeSentGoesToAnotherPodOfTheTrack(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			canary := startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
			s := start(t, startPod(t, says("stable")))
			s.SetEndpoints(shop, "canary", []string{refusing(t), canary.address, refusing(t)})
			r, _ := s.Route(shop)
			r.Weights, r.H2C = map[string]float64{"canary": 100}, h2
			if err := s.SetRoute(r); err != nil {
				t.Fatal(err)
			}
			c := client(t, h2)
			for range 10 {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), io.MultiReader(strings.NewReader("the whole body")))
				status, got := do(t, c, req)
				if status != http.StatusOK || got != "the whole body" {
					t.Fatalf("got %d %q", status, got)
				}
			}
			if n := s.Counts(shop)["canary"]; n.Again == 0 || n.Failed() != 0 {
				t.Errorf("got %+v", n)
			}
			canary.kill()
			status, got := get(t, c, s.URL())
			if status == http.StatusBadGateway { // a kept connection whose end the proxy has not heard of yet
				status, got = get(t, c, s.URL())
			}
			if status != http.StatusServiceUnavailable || got != "no ready pod of track canary of route shop/user takes connections\n" {
				t.Errorf("got %d %q", status, got)
			}
		})
	}
}

// raw is a pod that does with each connection what it is told.
func raw(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// answer reads a request without a body and answers it.
func answer(c net.Conn, in *bufio.Reader) error {
	req, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, req.Body)
	_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	return err
}

// A pod that dies of a request gets it once, on a new connection and on a kept
// one, and no other pod gets it at all.
func TestWhatMayHaveBeenProcessedIsNotSentAgain(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, http.MethodPost} {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s kept=%v", method, kept), func(t *testing.T) {
				var seen atomic.Int32
				dying := func(c net.Conn) {
					in := bufio.NewReader(c)
					if kept && answer(c, in) != nil {
						return
					}
					if _, err := http.ReadRequest(in); err == nil {
						seen.Add(1)
					}
				}
				s := startServer(t)
				set(t, s, all)
				dies := raw(t, dying)
				s.SetEndpoints(shop, "stable", []string{dies})
				c := client(t, false)
				if kept {
					if status, got := get(t, c, s.URL()); status != http.StatusOK {
						t.Fatalf("got %d %q", status, got)
					}
				}
				// The other takes no requests that were another's before.
				var other atomic.Int32
				p := startPod(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.Add(1) }))
				s.SetEndpoints(shop, "stable", order(kept, dies, p.address))
				req, _ := http.NewRequestWithContext(t.Context(), method, s.URL(), nil)
				status, _ := do(t, c, req)
				if status != http.StatusBadGateway || seen.Load() != 1 || other.Load() != 0 {
					t.Errorf("got %d; the pod saw it %d times, another %d times", status, seen.Load(), other.Load())
				}
			})
		}
	}
}

// order puts the first address where the turn of the next request is.
func order(second bool, first, other string) []string {
	if second { // one was sent already
		return []string{other, first}
	}
	return []string{first, other}
}

func TestBrokenAnswerBreaksTheClientsToo(t *testing.T) {
	s := startServer(t)
	set(t, s, all)
	s.SetEndpoints(shop, "stable", []string{raw(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}
	})})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
	res, err := client(t, false).Do(req)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks whole")
	}
	wantInFlight(t, s, "stable", 0)
	if n := s.Counts(shop)["stable"]; n.Broken != 1 || n.Failed() != 1 {
		t.Errorf("got %+v", n)
	}
}

func TestClientsThatGoAreNoFailures(t *testing.T) {
	let := make(chan struct{})
	s := start(t, startPod(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})))
	defer close(let)
	ctx, cancel := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	for _, body := range []io.Reader{nil, strings.NewReader("x")} {
		gone.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL(), body)
			res, err := client(t, false).Do(req)
			if err == nil {
				_ = res.Body.Close()
				t.Error("there is an answer")
			}
		})
	}
	wantInFlight(t, s, "stable", 2)
	cancel()
	gone.Wait()
	wantInFlight(t, s, "stable", 0)
	if n := s.Counts(shop)["stable"]; n.Departed != 2 || n.Failed() != 0 {
		t.Errorf("got %+v", n)
	}
}

// Who leaves in the middle of an answer does not make a pod look bad.
func TestClientsThatHaveHeardEnough(t *testing.T) {
	s := start(t, startPod(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, strings.Repeat("tick\n", 1000))
		}
	})))
	for _, h2 := range []bool{false, true} {
		for range 10 {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
			res, err := client(t, h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadFull(res.Body, make([]byte, 10))
			_ = res.Body.Close()
		}
	}
	wantInFlight(t, s, "stable", 0)
	if n := s.Counts(shop)["stable"]; n.Departed != 20 || n.Failed() != 0 {
		t.Errorf("got %+v", n)
	}
}

func TestDrainWaitsForTheLastByte(t *testing.T) {
	let := make(chan struct{})
	old := startPod(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begun, ")
		_ = http.NewResponseController(w).Flush()
		<-let
		_, _ = io.WriteString(w, "ended")
	}))
	s := start(t, old)
	c := client(t, false)
	done := make(chan string)
	go func() {
		_, got := get(t, c, s.URL())
		done <- got
	}()
	eventually(t, "the request is with the old pod", func() bool { return s.AddressInFlight(old.address) == 1 })
	s.SetEndpoints(shop, "stable", addresses(startPod(t, says("new"))))
	if err := s.Drain(within(t, 20*time.Millisecond), old.address); !errors.Is(err, errTooLate) {
		t.Errorf("drained with a request under way: %v", err)
	}
	if _, got := get(t, c, s.URL()); got != "new" {
		t.Errorf("a new request went to %q", got)
	}
	close(let)
	wantText(t, <-done, "begun, ended")
	if err := s.Drain(within(t, 10*time.Second), old.address); err != nil {
		t.Error(err)
	}
	eventually(t, "the old pod's connections are closed", func() bool { return old.open() == 0 })
	if err := s.Drain(t.Context()); err != nil {
		t.Errorf("draining nothing: %v", err)
	}
}

func TestConnectionsToPodsThatAreGoneAreClosed(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		p := startPod(t, says("x"))
		s := start(t, p)
		r, _ := s.Route(shop)
		r.H2C = h2
		if err := s.SetRoute(r); err != nil {
			t.Fatal(err)
		}
		_, _ = get(t, client(t, h2), s.URL())
		if p.open() == 0 {
			t.Error("no connection was kept")
		}
		began := time.Now()
		s.RemoveRoute(shop)
		eventually(t, "no connection is left", func() bool { return p.open() == 0 })
		if d := time.Since(began); d > 800*time.Millisecond {
			t.Errorf("it took %v, as if nobody had closed them", d)
		}
	}
}
