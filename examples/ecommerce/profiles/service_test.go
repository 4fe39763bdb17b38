package profiles

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/headgate-dev/headgate/flags"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func start(t *testing.T, client *flags.Client, pairs ...string) http.Handler {
	t.Helper()
	bad, err := readFaults(env(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return newService("v7", client, bad).handler()
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	if w.Header().Get("X-Version") != "v7" {
		t.Errorf("%s: got X-Version %q, want v7", path, w.Header().Get("X-Version"))
	}
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestProfileFormats(t *testing.T) {
	for _, tt := range []struct {
		on   bool
		want string
	}{
		{false, `{"id":"42","name":"User 42","email":"42@example.com","version":"v7"}`},
		{true, `{"format":2,"user":{"id":"42","display_name":"User 42"},"contact":{"email":"42@example.com"},"version":"v7"}`},
	} {
		h := start(t, flags.Static(map[string]bool{newFormat: tt.on}))
		if code, body := get(t, h, "/profile/42"); code != 200 || body != tt.want {
			t.Errorf("flag %v: got %d %s, want %s", tt.on, code, body, tt.want)
		}
	}
}

func TestProbesAndMetrics(t *testing.T) {
	h := start(t, flags.Static(nil), "FAIL_RATE", "0.5")
	for _, path := range []string{"/health", "/ready"} {
		if code, _ := get(t, h, path); code != 200 {
			t.Errorf("%s: got %d", path, code)
		}
	}
	for range 4 {
		get(t, h, "/profile/1")
	}
	_, metrics := get(t, h, "/metrics")
	for _, want := range []string{
		`http_requests_total{path="/profile/{id}",service="user-service",status="200"} 2`,
		`http_requests_total{path="/profile/{id}",service="user-service",status="500"} 2`,
		`http_request_duration_seconds_count{path="/profile/{id}",service="user-service"} 4`,
		`http_request_duration_seconds_bucket{path="/profile/{id}",service="user-service",le="1"} 4`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	never := start(t, flags.Static(nil), "NEVER_READY", "true")
	if code, _ := get(t, never, "/ready"); code != 503 {
		t.Errorf("never ready: got %d", code)
	}
	if code, _ := get(t, never, "/health"); code != 200 {
		t.Errorf("never ready: got /health %d", code)
	}
}

func TestDeath(t *testing.T) {
	h := start(t, flags.Static(nil), "DIE_AFTER", "3")
	for range 3 {
		if code, _ := get(t, h, "/profile/1"); code != 200 {
			t.Errorf("got %d before its time", code)
		}
	}
	if code, _ := get(t, h, "/ready"); code != 503 {
		t.Errorf("got /ready %d from a dead service", code)
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Error("a dead service answers")
		}
	}()
	get(t, h, "/profile/1")
}

func TestRequestsThatTakeLong(t *testing.T) {
	h := start(t, flags.Static(nil))
	began := time.Now()
	if code, _ := get(t, h, "/profile/1?takes=30ms"); code != 200 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("got %d after %s", code, time.Since(began))
	}
}

func failures(t *testing.T, h http.Handler, n int) int {
	t.Helper()
	failed := 0
	for range n {
		if code, _ := get(t, h, "/profile/1"); code == 500 {
			failed++
		}
	}
	return failed
}

func TestFaults(t *testing.T) {
	off := flags.Static(nil)
	on := flags.Static(map[string]bool{"chaos": true})
	for _, tt := range []struct {
		name  string
		flags *flags.Client
		env   []string
		want  int // of 100
	}{
		{"none", off, nil, 0},
		{"a fifth", off, []string{"FAIL_RATE", "0.2"}, 20},
		{"all", off, []string{"FAIL_RATE", "1"}, 100},
		{"after some", off, []string{"FAIL_RATE", "1", "FAIL_AFTER", "60"}, 40},
		{"flag off", off, []string{"FAIL_RATE", "1", "FAIL_FLAG", "chaos"}, 0},
		{"flag on", on, []string{"FAIL_RATE", "1", "FAIL_FLAG", "chaos"}, 100},
		{"too few per second", off, []string{"FAIL_RATE", "1", "FAIL_ABOVE_RPS", "1000"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := failures(t, start(t, tt.flags, tt.env...), 100); got != tt.want {
				t.Errorf("got %d failures of 100, want %d", got, tt.want)
			}
		})
	}
}

// What is behind a flag can be bad for those alone who have it.
func TestFaultBehindAFlagIsForItsUsers(t *testing.T) {
	redis := miniredis.RunT(t)
	record := `{"name":"new_profile_format","enabled":true,"rollout_percentage":50,"target_users":[],"target_attributes":{}}`
	if err := redis.Set(flags.KeyPrefix+newFormat, record); err != nil {
		t.Fatal(err)
	}
	client, err := flags.Open(t.Context(), "redis://"+redis.Addr(), flags.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	h := start(t, client, "FAIL_RATE", "1", "FAIL_FLAG", newFormat)
	failed := 0
	for n := range 100 {
		user := strconv.Itoa(n)
		has := client.Bool(newFormat, false, flags.User(user))
		code, _ := get(t, h, "/profile/"+user)
		if has != (code == 500) {
			t.Errorf("user %s: got %d, and the flag is %v", user, code, has)
		}
		if has {
			failed++
		}
	}
	if failed < 30 || failed > 70 {
		t.Errorf("got %d of 100 users with the flag at 50 %%", failed)
	}
}

func TestRate(t *testing.T) {
	var r rate
	for i, tt := range []struct{ second, want int64 }{{5, 1}, {5, 2}, {5, 3}, {6, 3}, {7, 1}, {7, 2}, {9, 1}} {
		if got := r.add(tt.second); got != tt.want {
			t.Errorf("event %d: got %d, want %d", i, got, tt.want)
		}
	}
}

func TestWrongEnvironment(t *testing.T) {
	for _, pair := range [][]string{{"SLOW", "5"}, {"FAIL_RATE", "2"}, {"FAIL_RATE", "NaN"}, {"CRASH", "perhaps"}, {"LEAK", "x"}} {
		if _, err := readFaults(env(pair...)); err == nil || !strings.Contains(err.Error(), pair[0]) {
			t.Errorf("%v: got %v", pair, err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	if err := Run(t.Context(), env("CRASH", "true"), log); err == nil {
		t.Error("CRASH: got no error")
	}
	if err := Run(t.Context(), env("ADDRESS", "127.0.0.1:0", "GRACEFUL", "x"), log); err == nil {
		t.Error("GRACEFUL: got no error")
	}
}

// Graceful or not is what becomes of a request that is being answered.
func TestShutdown(t *testing.T) {
	for _, graceful := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		asked, answer := make(chan struct{}), make(chan struct{})
		h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-answer })
		ctx, stop := context.WithCancel(t.Context())
		ended, got := make(chan error, 1), make(chan error, 1)
		go func() { ended <- serve(ctx, listener, h, graceful) }()
		go func() {
			request, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+listener.Addr().String(), http.NoBody)
			response, err := http.DefaultClient.Do(request)
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			got <- err
		}()
		<-asked
		stop()
		if !graceful {
			if err := <-got; err == nil {
				t.Error("not graceful: the request was answered")
			}
			close(answer)
		} else {
			time.Sleep(10 * time.Millisecond) // no bubble: a real connection
			close(answer)
			if err := <-got; err != nil {
				t.Errorf("graceful: %v", err)
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
