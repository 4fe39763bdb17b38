package metrics_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/local/metrics"
	"github.com/headgate-dev/headgate/internal/prom"
)

// interval makes the tests ten times as quick as people's runs.
const interval = 100 * time.Millisecond

// open starts a server and a client of the package that asks it in a run.
func open(t *testing.T, targets ...metrics.Target) (*metrics.Server, *prom.Client) {
	t.Helper()
	s, err := metrics.Open(metrics.Options{Dir: t.TempDir(), ScrapeInterval: interval})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.SetTargets(targets); err != nil {
		t.Fatal(err)
	}
	c, err := prom.New(prom.Config{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

// until asks query until good likes the values of the answer, for 5 s.
func until(t *testing.T, c *prom.Client, query string, good func([]gates.Series) bool) {
	t.Helper()
	var reply gates.Reply
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if reply, err = c.Query(t.Context(), query, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if good(reply.Series) {
			return
		}
	}
	t.Fatalf("%s: got %+v", query, reply.Series)
}

// one is the value of the only point of the only series, -1 where it is not
// so.
func one(s []gates.Series) float64 {
	if len(s) != 1 || len(s[0].Points) != 1 {
		return -1
	}
	return s[0].Points[0].Value
}

func is(want float64) func([]gates.Series) bool {
	return func(s []gates.Series) bool { return math.Abs(one(s)-want) < 1e-9 }
}

// service is a target that says what it is told to say.
func service(t *testing.T, handler http.Handler) metrics.Target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return metrics.Target{Address: strings.TrimPrefix(server.URL, "http://"), Labels: map[string]string{"track": "stable"}}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, text)
	}
}

func TestScrapeAndQuery(t *testing.T) {
	var n atomic.Int64
	target := service(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stats" {
			http.NotFound(w, r)
			return
		}
		says(fmt.Sprintf("requests_total{code=\"200\",track=\"own\"} %d\n", n.Add(10)))(w, r)
	}))
	target.Path = "/stats"
	target.Labels["job"] = "shop"
	_, c := open(t, target)

	until(t, c, `up{job="shop",track="stable"}`, is(1))
	// 10 more in each scrape: about 100 a second, whatever the machine's load
	// does to single scrapes.
	until(t, c, `rate(requests_total{track="stable",exported_track="own"}[1s])`, func(s []gates.Series) bool {
		return one(s) > 50 && one(s) < 200
	})
	until(t, c, `count(count_over_time(requests_total[1s]) > 5)`, is(1))
	reply, err := c.Query(t.Context(), "requests_total", time.Time{})
	if err != nil || len(reply.Series) != 1 || reply.Series[0].Labels["instance"] != target.Address {
		t.Errorf("got %+v, %v, want the address as instance", reply, err)
	}
}

func TestHistograms(t *testing.T) {
	reg := prometheus.NewRegistry()
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic_seconds", Buckets: []float64{0.1, 0.2, 0.4}})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native_seconds", NativeHistogramBucketFactor: 1.1})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "both_seconds", NativeHistogramBucketFactor: 1.1, Buckets: []float64{0.1, 0.2}})
	reg.MustRegister(classic, native, both)
	for range 100 {
		for _, h := range []prometheus.Histogram{classic, native, both} {
			h.Observe(0.15)
		}
	}
	_, c := open(t, service(t, promhttp.HandlerFor(reg, promhttp.HandlerOpts{})))
	until(t, c, `histogram_quantile(0.5, sum by (le) (classic_seconds_bucket))`, is(0.15))
	until(t, c, `histogram_count(native_seconds)`, is(100))
	until(t, c, `histogram_quantile(0.5, native_seconds)`, func(s []gates.Series) bool { return one(s) > 0.13 && one(s) < 0.17 })
	until(t, c, `histogram_count(both_seconds)`, is(100))
	until(t, c, `both_seconds_bucket{le="0.2"}`, is(100))
}

// TestTargetsChange: a new target is scraped well within two seconds, and
// the series of the old one end.
func TestTargetsChange(t *testing.T) {
	first, second := service(t, says("version 1\n")), service(t, says("version 2\n"))
	second.Labels = map[string]string{"track": "canary"}
	s, c := open(t, first)
	until(t, c, `version`, is(1))
	began := time.Now()
	if err := s.SetTargets([]metrics.Target{first, second}); err != nil {
		t.Fatal(err)
	}
	until(t, c, `version{track="canary"}`, is(2))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the new target is seen after %s, want 2 s at most", took)
	}
	if err := s.SetTargets([]metrics.Target{second}); err != nil {
		t.Fatal(err)
	}
	until(t, c, `version`, is(2))
	until(t, c, `up`, is(1)) // one series
}

// TestTheNewestTargetsCount: changes in quick succession lose nothing but
// what they overtake.
func TestTheNewestTargetsCount(t *testing.T) {
	target := service(t, says("version 1\n"))
	s, c := open(t)
	for range 100 {
		for _, targets := range [][]metrics.Target{nil, {target}} {
			if err := s.SetTargets(targets); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(t, c, `version`, is(1))
}

// TestDeadTargets: a target that does not answer, that answers nonsense or
// too late is down, its series end at once, and the others go on.
func TestDeadTargets(t *testing.T) {
	var bad atomic.Pointer[http.HandlerFunc]
	good := says("x 1\n")
	bad.Store(&good)
	target := service(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*bad.Load())(w, r) }))
	other := service(t, says("y 1\n"))
	other.Labels = map[string]string{"job": "other"}
	_, c := open(t, target, other)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"nonsense", says("this is no metric {\nx 1\n")},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) }},
		{"late", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			until(t, c, `x`, is(1))
			bad.Store(&tt.handler)
			until(t, c, `up{job="local"}`, is(0))
			until(t, c, `x`, func(s []gates.Series) bool { return len(s) == 0 })
			until(t, c, `up{job="other"}`, is(1))
			bad.Store(&good)
		})
	}
}

func TestWrongTargetsAreRefused(t *testing.T) {
	s, _ := open(t)
	for _, target := range []metrics.Target{
		{Address: "nowhere"},
		{Address: "127.0.0.1:1", Path: "metrics"},
		{Address: "127.0.0.1:1", Labels: map[string]string{"__address__": "example.com:80"}},
		{Address: "127.0.0.1:1", Labels: map[string]string{"": "x"}},
		{Address: "127.0.0.1:1", Labels: map[string]string{"a": "\xff"}},
	} {
		if err := s.SetTargets([]metrics.Target{target}); err == nil {
			t.Errorf("%+v: no error", target)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	for name, o := range map[string]metrics.Options{
		"not on loopback": {Dir: dir, Listen: "0.0.0.0:0"},
		"taken":           {Dir: dir, Listen: taken.Addr().String()},
		"no folder":       {Dir: filepath.Join(dir, "none")},
		"too quick":       {Dir: dir, ScrapeInterval: time.Millisecond},
	} {
		if s, err := metrics.Open(o); err == nil {
			t.Errorf("%s: no error", name)
			_ = s.Close()
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestCloseLeavesNothing: no folder, no port, and a second call is harmless.
func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := metrics.Open(metrics.Options{Dir: dir, ScrapeInterval: interval})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetTargets([]metrics.Target{service(t, says("x 1\n"))}); err != nil {
		t.Fatal(err)
	}
	if found, err := os.ReadDir(dir); err != nil || len(found) != 1 {
		t.Errorf("got %v, %v, want one folder", found, err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL(), "http://")); err == nil {
		t.Error("it still listens")
	}
	if err := s.SetTargets(nil); err == nil {
		t.Error("set targets: no error after close")
	}
}

// TestCloseDuringQueries: those who ask do not keep it from its end.
func TestCloseDuringQueries(t *testing.T) {
	s, c := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error)
	go func() {
		for {
			if _, err := c.Query(ctx, `sum(rate(up[5m]))`, time.Time{}); err != nil {
				ended <- err
				return
			}
		}
	}()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	cancel()
	<-ended
}

// TestWhatTheDeadLeft: the next server removes the folders of those that were
// killed, and no other.
func TestWhatTheDeadLeft(t *testing.T) {
	dir := t.TempDir()
	dead, fresh, old, stranger := filepath.Join(dir, "headgate-metrics-1"), filepath.Join(dir, "headgate-metrics-2"), filepath.Join(dir, "headgate-metrics-3"), filepath.Join(dir, "other")
	for _, path := range []string{dead, fresh, old, stranger} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dead, stranger} {
		if err := os.WriteFile(filepath.Join(path, "lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	var all []*metrics.Server
	for range 2 { // the second leaves the first alone
		s, err := metrics.Open(metrics.Options{Dir: dir, ScrapeInterval: interval})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 4 { // fresh, stranger and the two in use
		t.Errorf("got %v", found)
	}
	for _, path := range []string{dead, old} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	for _, s := range all {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
