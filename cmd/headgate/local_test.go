package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// localPipeline releases the example's service, made for the time of a test.
const localPipeline = `version: 1
name: user-service
vars: {release: v1, fail_rate: ""}
secrets: {redis: {env: NOBODY_HAS_SET_THIS}}
prometheus: {url: "http://nowhere.invalid:9090"}
redis: {url: "${{ secrets.redis }}"}
kubernetes: {namespace: shop, context: none-such}
local:
  scrapeInterval: 100ms
  images:
    r.example/user-service:
      command: [headgate, demo, user-service]
      env:
        ADDRESS: 127.0.0.1:$(PORT)
        VERSION: "${{ vars.release }}"
        FAIL_RATE: "${{ vars.fail_rate }}"
gates:
  slo:
    every: 100ms
    window: 2s
    scrapeInterval: 100ms
    onInconclusive: extend # a busy machine sends fewer requests
    maxExtend: 30s
    checks: [errorRate: {max: 5%}]
stages:
  - name: image
    build: {image: r.example/user-service, tag: "${{ vars.release }}"}
  - name: rollout
    canary:
      deployment: user-service
      image: "${{ stages.image.ref }}"
      manifests: [user-service.yaml]
      traffic: {httpRoute: user-service, drain: 200ms, settle: 10ms}
      steps: [{setWeight: 50}, {pause: 1500ms}]
      gate: slo
`

const localManifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user-service}
spec:
  replicas: 2
  selector: {matchLabels: {app: user-service}}
  template:
    metadata: {labels: {app: user-service}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: user-service
        image: r.example/user-service:latest
        ports: [{name: http, containerPort: 8000}]
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: user-service}
spec: {selector: {app: user-service}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: user-service}
spec: {rules: [{backendRefs: [{name: user-service, port: 80}]}]}
`

// localRun is a run of the pipeline with users who ask all the while.
type localRun struct {
	cmd *exec.Cmd
	out *watched
}

// watched is output that can be read while it is written.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until a line of the output matches, and returns the match.
func (w *watched) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(w.String()); m != nil {
			return m
		}
	}
	t.Fatalf("no %s in\n%s", pattern, w)
	return nil
}

// startLocal begins a run in a folder, with this test as the program.
func startLocal(ctx context.Context, t *testing.T, dir string, args ...string) localRun {
	t.Helper()
	r := localRun{out: &watched{}}
	r.cmd = exec.CommandContext(ctx, filepath.Join(dir, "bin", "headgate"), append([]string{"run", "--local", "pipeline.yaml"}, args...)...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = dir, r.out, r.out
	r.cmd.Env = append(os.Environ(), "HOME="+dir, "GORACE=atexit_sleep_ms=0", "GIT_CEILING_DIRECTORIES="+dir)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() }) // where the test has not waited for it
	go askAll(ctx, r.out.await(t, `service (http://[0-9.:]+)`)[1])
	return r
}

// askAll asks for profiles until ctx ends or nobody answers any more.
func askAll(ctx context.Context, url string) {
	client := &http.Client{Timeout: 2 * time.Second}
	for ctx.Err() == nil {
		resp, err := client.Get(url + "/profile/1") //nolint:noctx // which its timeout ends
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		time.Sleep(2 * time.Millisecond)
	}
}

// ends waits for the run and compares its exit code.
func (r localRun) ends(t *testing.T, want int) string {
	t.Helper()
	_ = r.cmd.Wait()
	if got := r.cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("got exit code %d, want %d\n%s", got, want, r.out)
	}
	return r.out.String()
}

// Runs with --local are releases one after another: a first deployment, a bad
// release that is put back, and a good one whose runner is killed at half of
// the traffic, which the next run goes on with from there.
func TestLocalRunsAreReleases(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"pipeline.yaml": localPipeline, "user-service.yaml": localManifests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	headgateIn(t, filepath.Join(dir, "bin"))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	out := startLocal(ctx, t, dir).ends(t, 0)
	if !strings.Contains(out, "not a production target") || !strings.Contains(out, "first deployment") {
		t.Errorf("the first run was no first deployment, or does not say what it is:\n%s", out)
	}
	out = startLocal(ctx, t, dir, "--var", "release=v2", "--var", "fail_rate=0.5").ends(t, 3)
	if !strings.Contains(out, "rolled back") || !strings.Contains(out, "errorRate") {
		t.Errorf("the bad release was not put back for its errors:\n%s", out)
	}
	killed := startLocal(ctx, t, dir, "--var", "release=v3", "--run-id", "three")
	killed.out.await(t, `50% to canary`)
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.cmd.Wait()
	out = startLocal(ctx, t, dir, "--var", "release=v3", "--run-id", "three").ends(t, 0)
	if !strings.Contains(out, "delivered") || strings.Contains(out, "first deployment") {
		t.Errorf("the killed run was not gone on with:\n%s", out)
	}
}

// headgateIn puts this program into a folder under the name headgate.
func headgateIn(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, filepath.Join(dir, "headgate")); err == nil {
		return
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "headgate"), data, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
}
