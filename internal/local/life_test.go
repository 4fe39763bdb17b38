package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/local"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// canary puts version 2 beside the workload user, with half of the traffic.
func canary(t *testing.T, w *local.World) stages.Router {
	t.Helper()
	tr := track("user", stages.Canary)
	r := stages.Release{Image: image(t, w, "r.example/user:2"), Run: info("1")}
	if err := w.SetTrack(t.Context(), tr, r, 1); err != nil {
		t.Fatal(err)
	}
	ready(t, w, tr, 1)
	router := routerOf(t, w)
	if err := router.SetWeight(t.Context(), 0, 50); err != nil {
		t.Fatal(err)
	}
	return router
}

func routerOf(t *testing.T, w *local.World) stages.Router {
	t.Helper()
	router, err := w.Router(stages.Traffic{HTTPRoute: source.String{Value: "user", Pos: source.Pos{Line: 1, Col: 1}}}, stages.Split{Old: stages.Track{Workload: workload("user"), Name: stages.Stable}})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// versions asks so often and counts who answers.
func versions(t *testing.T, w *local.World, times int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for range times {
		seen[ask(t, w, "user.localhost")]++
	}
	return seen
}

func TestWorldComesBackAsItWasLeft(t *testing.T) {
	t.Parallel()
	o := options(t)
	first, err := local.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, first, "user", 2)
	canary(t, first)
	service := first.ProxyURL()
	before, live := local.Describe(first), state(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, o)
	if got := local.Describe(again); got != before {
		t.Errorf("got\n%s\nwant\n%s", got, before)
	}
	if got := state(t, again); got != live {
		t.Errorf("got %s, want %s", got, live)
	}
	if got := again.ProxyURL(); got != service {
		t.Logf("the service is at %s, and was at %s: somebody took the port", got, service)
	}
	if weight, err := routerOf(t, again).Weight(t.Context()); weight != 50 || err != nil {
		t.Errorf("got weight %v, %v, want 50", weight, err)
	}
	seen := versions(t, again, 40)
	if seen["1 stable hello"] != 20 || seen["2 canary hello"] != 20 {
		t.Errorf("got answers %v, want half of them of each version", seen)
	}
}

func state(t *testing.T, w *local.World) string {
	t.Helper()
	live, err := w.Live(t.Context(), workload("user"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v", live)
}

func TestFreshBeginsAnew(t *testing.T) {
	t.Parallel()
	o := options(t)
	first, err := local.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, first, "user", 1)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(local.JournalDir(o.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	o.Fresh = true
	w := open(t, o)
	if _, err := os.Stat(local.JournalDir(o.Dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want the journals of the former world gone", err)
	}
	if live, err := w.Live(t.Context(), workload("user")); live.Exists || err != nil {
		t.Errorf("got %+v, %v, want nothing", live, err)
	}
}

func TestTwoRunsDoNotShareAWorld(t *testing.T) {
	t.Parallel()
	o := options(t)
	open(t, o)
	w, err := local.Open(t.Context(), o)
	if !errors.Is(err, pipeline.ErrLocked) {
		t.Errorf("got %v, want it locked", err)
	}
	if err == nil {
		_ = w.Close()
	}
}

func TestBrokenStateIsSaid(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `null`, `{}`, `{"format":1}`, `{"format":1,"ima`, `{"format":2}`} {
		o := options(t)
		if err := os.WriteFile(local.StatePath(o.Dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := local.Open(t.Context(), o)
		if err == nil {
			t.Errorf("%q was taken for a state", text)
			_ = w.Close()
			continue
		}
		var hinted interface{ Hint() string }
		if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "--fresh") {
			t.Errorf("%q: got %v, want the hint to begin anew", text, err)
		}
	}
}

func TestTakenPortSaysWhatToDo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := options(t)
	o.Listen = l.Addr().String()
	_, err = local.Open(t.Context(), o)
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "local.listen") {
		t.Errorf("got %v, want the hint to name another address", err)
	}
}

// A pod's port must not be one that an outgoing connection may have meanwhile:
// Linux takes those from 32768 on, others from 49152 on.
func TestPortsOfPodsAreNotThoseOfClients(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	seen := map[int]bool{}
	for range 200 {
		n, err := local.FreePort(w)
		if err != nil {
			t.Fatal(err)
		}
		if n < 1024 || n >= 32768 || seen[n] {
			t.Fatalf("got port %d, want one below 32768 that no other pod has", n)
		}
		seen[n] = true
	}
}

// A Deployment with fewer than no pods is refused, as an API server does it.
func TestNegativeReplicasAreRefused(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	var wrong []json.RawMessage
	for _, m := range manifestsOf(t, "fresh") {
		wrong = append(wrong, json.RawMessage(strings.Replace(string(m), `"replicas":2`, `"replicas":-1`, 1)))
	}
	r := stages.Release{Image: image(t, w, "r.example/fresh:1"), Manifests: wrong, Run: info("1")}
	err := w.SetTrack(t.Context(), track("fresh", stages.Stable), r, -1)
	if err == nil || !strings.Contains(err.Error(), "-1 replicas") {
		t.Errorf("got %v, want the number refused", err)
	}
	found, err := w.Check(t.Context(), stages.RolloutCheck{Workload: workload("fresh"), Release: r})
	if err != nil || len(found) != 1 || found[0].Warning {
		t.Errorf("got %v, %v, want it found before the run", found, err)
	}
}

func TestDeploymentsOfTheSectionAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Manifests = manifestsOf(t, "user")
	w := open(t, o)
	if got := ask(t, w, "user.localhost"); got != "1 stable hello" {
		t.Errorf("got %q, want version 1", got)
	}
}

func TestCrashSaysWhy(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	deploy(t, w, "user", 1)
	tr := track("user", stages.Canary)
	r := stages.Release{Image: image(t, w, "r.example/user:crash"), Run: info("1")}
	if err := w.SetTrack(t.Context(), tr, r, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := w.AwaitReady(ctx, tr, 1, func(string) {})
	var nr *stages.NotReadyError
	if !errors.As(err, &nr) || nr.Code != "CrashLoop" {
		t.Fatalf("got %v, want CrashLoop", err)
	}
	for _, part := range []string{"ended 3 times", "exit code 3", "cannot read the schema"} {
		if !strings.Contains(nr.Cause, part) {
			t.Errorf("got cause %q, want %q in it", nr.Cause, part)
		}
	}
	text, err := w.Diagnose(t.Context(), tr)
	if err != nil || !strings.Contains(text, "last log lines of user") {
		t.Errorf("got evidence %q, %v", text, err)
	}
}

func TestGuardSeesATrackWithoutPods(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	deploy(t, w, "user", 1)
	canary(t, w)
	tr := track("user", stages.Canary)
	guarded := make(chan error, 1)
	go func() { guarded <- w.Guard(t.Context(), tr) }()
	if err := w.SetTrack(t.Context(), tr, stages.Release{Image: image(t, w, "r.example/user:2"), Run: info("1")}, 0); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-guarded:
		if !errors.Is(err, stages.ErrNotReady) {
			t.Errorf("got %v, want it not ready", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the guard sees nothing")
	}
}

// Slow requests are under way to every pod all the while, and no pod of the
// application waits for them when it is told to end.
func TestUpdateLosesNoRequest(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	deploy(t, w, "user", 2)
	ctx, stop := context.WithCancel(t.Context())
	var asked, failed atomic.Int64
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for ctx.Err() == nil {
				asked.Add(1)
				if err := slowly(w); err != nil {
					failed.Add(1)
					t.Errorf("request %d: %v", asked.Load(), err)
					return
				}
			}
		})
	}
	stable := track("user", stages.Stable)
	for _, version := range []string{"2", "1"} {
		r := stages.Release{Image: image(t, w, "r.example/user:"+version), Run: info("r" + version)}
		if err := w.SetTrack(t.Context(), stable, r, -1); err != nil {
			t.Fatal(err)
		}
		ready(t, w, stable, 2)
	}
	stop()
	users.Wait()
	if asked.Load() < 20 {
		t.Errorf("got %d requests, which shows nothing", asked.Load())
	}
}

func slowly(w *local.World) error {
	req, err := http.NewRequest(http.MethodGet, w.ProxyURL()+"/?for=50ms", nil) //nolint:noctx // it ends by itself
	if err != nil {
		return err
	}
	req.Host = "user.localhost"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

func TestMetricsCarryTheLabelsOfPods(t *testing.T) {
	t.Parallel()
	w := open(t, options(t))
	deploy(t, w, "user", 1)
	canary(t, w)
	for _, c := range []struct{ track, version, app string }{{stages.Stable, "1", "user"}, {stages.Canary, "2", "user-canary"}} {
		labels := series(t, w, "app_requests_total{"+w.Selector(track("user", c.track))+"}")
		if labels["version"] != c.version || labels["app"] != c.app || labels["namespace"] != "shop" || labels["tier"] != "backend" {
			t.Errorf("%s: got labels %v", c.track, labels)
		}
	}
}

// series asks until one series has a sample.
func series(t *testing.T, w *local.World, query string) map[string]string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(w.PrometheusURL() + "/api/v1/query?query=" + url.QueryEscape(query)) //nolint:noctx // of this process
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string `json:"metric"`
				} `json:"result"`
			} `json:"data"`
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Data.Result) == 1 {
			return answer.Data.Result[0].Metric
		}
	}
	t.Fatalf("no sample of %s", query)
	return nil
}

// TestAddressTakenMeanwhile: a world whose address of the last time somebody
// else has now opens at another one.
func TestAddressTakenMeanwhile(t *testing.T) {
	t.Parallel()
	o := options(t)
	w := open(t, o)
	before := w.ProxyURL()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// Where somebody was quicker, it is taken without this test.
	if l, err := net.Listen("tcp", strings.TrimPrefix(before, "http://")); err == nil {
		defer l.Close()
	}
	if now := open(t, o).ProxyURL(); now == before || now == "" {
		t.Errorf("it is at %q, which is taken", now)
	}
}
