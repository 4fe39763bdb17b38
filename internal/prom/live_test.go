//go:build e2e

package prom_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/prom"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// TestLive asks a real Prometheus, which scrapes a pod every second: one
// error among many requests, in a series that appears with it, is counted.
func TestLive(t *testing.T) {
	var requests, failed atomic.Int64
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := requests.Load()
		fmt.Fprintf(w, "http_requests_total{status=\"200\"} %d\n", n)
		if bad := failed.Load(); bad > 0 {
			fmt.Fprintf(w, "http_requests_total{status=\"500\"} %d\n", bad)
		}
		for _, le := range []string{"0.5", "1", "+Inf"} {
			fmt.Fprintf(w, "http_request_duration_seconds_bucket{le=%q} %d\n", le, n)
		}
	}))
	defer pod.Close()
	client, err := prom.New(prom.Config{URL: serve(t, pod.Listener.Addr().String())})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	g := slo(t, `{scrapeInterval: 1s, window: 10s, checks: [{errorRate: {max: 0.5%, minSamples: 100}}, {latency: 1s},
		{query: 'sum(rate(http_requests_total{${{ selector }}}[${{ window }}]))', max: 1000}]}`)

	since := time.Now()
	w := g.Watch(gates.Providers{Metrics: client}, gates.Target{Selector: `job="pods"`, Since: since})
	await := func(want pipeline.Outcome) pipeline.Verdict {
		var v pipeline.Verdict
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
			requests.Add(20)
			if v = w.Look(t.Context(), time.Now()); v.Outcome == want {
				return v
			}
		}
		t.Fatalf("got no %s within 20s, but %s: %s", want, v.Outcome, v.Reason)
		return v
	}
	await(pipeline.Pass)
	failed.Store(5)
	v := await(pipeline.Fail)
	if m := v.Evidence[0]; m.Outcome != pipeline.Fail || !strings.HasPrefix(m.Reason, "5 of ") {
		t.Errorf("got %+v, want all 5 errors counted", m)
	}
	for query, refused := range map[string]bool{"sum(": true, `label_replace(up, "a", "$1", "job", "(")`: true} {
		_, err := client.Query(t.Context(), query, time.Time{})
		if q, ok := errors.AsType[*gates.QueryError](err); !ok || q.Refused != refused {
			t.Errorf("%s: got %v", query, err)
		}
	}
}

func slo(t *testing.T, body string) *gates.Gate {
	t.Helper()
	var file struct {
		Gates gates.Section `yaml:"gates"`
	}
	f := source.File{Name: "headgate.yaml", Data: []byte("gates: {slo: " + body + "}")}
	if err := source.Decode(f, &file, source.Options{Expression: func(source.Expression) {}}).Err(); err != nil {
		t.Fatal(err)
	}
	g, _ := file.Gates.Gate("slo")
	return g
}

// serve starts a Prometheus that scrapes target, and returns its URL.
func serve(t *testing.T, target string) string {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus on this machine")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: pods, static_configs: [{targets: [\"" + target + "\"]}]}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	for range 100 {
		if resp, err := http.Get("http://" + addr + "/-/ready"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + addr
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("prometheus did not get ready")
	return ""
}
