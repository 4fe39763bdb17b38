package demo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/demo"
	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
)

// story is what comes of each act when all goes well.
func story(act int) demo.Came {
	back := pipeline.Result{Ending: pipeline.FailedRolledBack, Stage: "rollout"}
	c := demo.Came{After: demo.Seen{"v2": {Requests: 200}}, FlagBefore: "off", Flag: "off"}
	switch act {
	case 1:
		c.During = demo.Seen{"v1": {Requests: 900}, "v2": {Requests: 2100}}
	case 2:
		c.Result, c.During = back, demo.Seen{"v2": {Requests: 900}, "v3": {Requests: 50, Failed: 10}}
	case 3:
		back.Stage = "new profile format"
		c.Result, c.During = back, demo.Seen{"v2": {Requests: 1000, Failed: 60}}
	}
	return c
}

func TestActsAreHeldToTheStory(t *testing.T) {
	failedElsewhere := func(c *demo.Came) { c.Result = pipeline.Result{Ending: pipeline.FailedRolledBack, Stage: "image"} }
	for _, tt := range []struct {
		name   string
		act    int
		change func(*demo.Came)
		want   string // "" when all is as it should be
	}{
		{"good", 1, nil, ""},
		{"good, not delivered", 1, func(c *demo.Came) { c.Result.Ending = pipeline.FailedRolledBack }, "ended as rolled-back, not as delivered"},
		{"good, a request lost", 1, func(c *demo.Came) { c.Lost = 1 }, "1 of 3001 requests failed"},
		{"good, nobody asked", 1, func(c *demo.Came) { c.During = nil }, "no request was sent"},
		{"good, v1 is still there", 1, func(c *demo.Came) { c.After["v1"] = load.Count{Requests: 1} }, "v1 1, v2 200"},
		{"good, nothing afterwards", 1, func(c *demo.Came) { c.After = nil }, "not all requests were answered by v2"},
		{"bad", 2, nil, ""},
		{"bad, delivered", 2, func(c *demo.Came) { c.Result = pipeline.Result{} }, "ended as delivered"},
		{"bad, another stage failed", 2, failedElsewhere, `stage "image" failed`},
		{"bad, a request lost", 2, func(c *demo.Came) { c.Lost = 2 }, "2 requests failed that v3 has not answered"},
		{"bad, nothing shown", 2, func(c *demo.Came) { c.During = demo.Seen{"v2": {Requests: 900}} }, "v3 failed no request"},
		{"bad, failing afterwards", 2, func(c *demo.Came) { c.After["v2"] = load.Count{Requests: 200, Failed: 3} }, "3 of 200 requests failed afterwards"},
		{"feature", 3, nil, ""},
		{"feature, another stage failed", 3, failedElsewhere, `stage "image" failed`},
		{"feature, nothing shown", 3, func(c *demo.Came) { c.During = demo.Seen{"v2": {Requests: 900}} }, "failed for nobody"},
		{"feature, still on", 3, func(c *demo.Came) { c.Flag = "on for 5 % of the users" }, "the flag was off and is on for 5 % of the users"},
		{"feature, the release put back", 3, func(c *demo.Came) { c.During["v1"] = load.Count{Requests: 7} }, "v1 7, v2 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := story(tt.act)
			if tt.change != nil {
				tt.change(&c)
			}
			said, wrong := demo.Judge(tt.act, c)
			if got := strings.Join(wrong, "; "); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if said == "" {
				t.Error("nothing is said")
			}
		})
	}
}

// shop is a service whose releases are made by hand.
type shop struct {
	*httptest.Server
	asked   atomic.Int64
	mu      sync.Mutex
	version string
	failing bool
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{version: "v1"}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("X-Version", s.version)
		if r.Host != "shop.localhost" || !strings.HasPrefix(r.URL.Path, "/profile/") {
			w.WriteHeader(http.StatusNotFound)
		} else if s.failing {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) serve(version string, failing bool) {
	s.mu.Lock()
	s.version, s.failing = version, failing
	s.mu.Unlock()
	// No bubble: real requests see it, more than may be under way.
	for seen, end := s.asked.Load()+20, time.Now().Add(20*time.Second); s.asked.Load() < seen && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// release does what each act should come to.
func (s *shop) release(_ context.Context, act demo.Act) (pipeline.Result, error) {
	switch act.Vars["release"] {
	case "v2":
		s.serve("v2", false)
		return pipeline.Result{}, nil
	case "v3":
		s.serve("v3", true)
		s.serve("v2", false)
		return pipeline.Result{Ending: pipeline.FailedRolledBack, Stage: "rollout"}, nil
	}
	s.serve("v2", true)
	s.serve("v2", false)
	return pipeline.Result{Ending: pipeline.FailedRolledBack, Stage: act.From}, nil
}

func off(context.Context) (string, error) { return "off", nil }

func TestPlay(t *testing.T) {
	t.Parallel()
	s := open(t)
	var out bytes.Buffer
	if err := demo.Play(t.Context(), demo.Stage{Out: &out, Width: 40, Address: s.URL, Release: s.release, FlagState: off}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"\n1. A good release\n", "\n2. A bad release\n", "\n3. A bad feature\n", "\nThat was all\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story lacks %q:\n%s", want, &out)
		}
	}
}

func TestPlayStopsAtWhatIsUnlikeTheStory(t *testing.T) {
	t.Parallel()
	s := open(t)
	var out bytes.Buffer
	err := demo.Play(t.Context(), demo.Stage{Out: &out, Address: s.URL, FlagState: off, Release: func(context.Context, demo.Act) (pipeline.Result, error) {
		return pipeline.Result{}, nil // says so, and leaves v1 where it is
	}})
	var unlike *demo.UnlikeError
	if !errors.As(err, &unlike) || unlike.Act != "A good release" || unlike.Hint() == "" {
		t.Errorf("got %v, want the first act to be unlike the story", err)
	}
	if strings.Contains(out.String(), "2. ") {
		t.Errorf("the story goes on:\n%s", &out)
	}
}

func TestPlayEndsWhenItIsStopped(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	err := demo.Play(ctx, demo.Stage{Out: &bytes.Buffer{}, Address: s.URL, FlagState: off, Release: func(context.Context, demo.Act) (pipeline.Result, error) {
		cancel(pipeline.ErrCancelled)
		return pipeline.Result{}, fmt.Errorf("run pipeline: %w", context.Canceled)
	}})
	if !errors.Is(err, pipeline.ErrCancelled) {
		t.Errorf("got %v, want %v", err, pipeline.ErrCancelled)
	}
}

// The service comes, goes, and the visitor waits for it again.
func TestVisitWaitsForTheService(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out said
	visited := make(chan error, 1)
	go func() { visited <- demo.Visit(ctx, "http://"+address, 100, &out) }()
	for n := range 2 {
		visit(t, address)
		out.await(t, "waiting for http://"+address, n+2)
	}
	cancel()
	if err := <-visited; err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "asking for http://shop.localhost:"); n != 2 {
		t.Errorf("got %d visits, want 2:\n%s", n, &out)
	}
	if !strings.HasPrefix(out.String(), "waiting for http://"+address) || strings.Contains(out.String(), "refused") {
		t.Errorf("got:\n%s", &out)
	}
}

// visit lets a service be there until it was asked some requests.
func visit(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t)
	server := httptest.NewUnstartedServer(s.Config.Handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	for deadline := time.Now().Add(30 * time.Second); s.asked.Load() < 20 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // no bubble: real requests are waited for
	}
	server.CloseClientConnections()
	server.Close()
	if got := s.asked.Load(); got < 20 {
		t.Fatalf("got %d requests, want 20", got)
	}
}

// said is what was written so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until something was said so many times.
func (s *said) await(t *testing.T, what string, times int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); strings.Count(s.String(), what) < times; {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not said %d times:\n%s", what, times, s)
		}
		time.Sleep(5 * time.Millisecond) // no bubble: real connections end meanwhile
	}
}

func TestVisitRefusesWhatItCannotAsk(t *testing.T) {
	for _, tt := range []struct {
		address string
		rate    float64
		want    string
	}{
		{"https://127.0.0.1:1", 10, "http://127.0.0.1:PORT"},
		{"http://example.com:80", 10, "http://127.0.0.1:PORT"},
		{"http://127.0.0.1:1", 0, "rate"},
	} {
		if err := demo.Visit(t.Context(), tt.address, tt.rate, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s at %v: got %v, want %q", tt.address, tt.rate, err, tt.want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"one two  three", 7, []string{"one two", "three"}},
		{"5 % für alle", 7, []string{"5 % für", "alle"}},
		{"unbreakable word", 4, []string{"unbreakable", "word"}},
		{"", 4, nil},
	} {
		if diff := cmp.Diff(tt.want, demo.Wrap(tt.text, tt.width)); diff != "" {
			t.Errorf("%q at %d: %s", tt.text, tt.width, diff)
		}
	}
	for n, want := range map[int]string{0: "0 requests", 1: "1 request", 999: "999 requests", 1000: "1 000 requests", 1234567: "1 234 567 requests"} {
		if got := demo.Requests(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
