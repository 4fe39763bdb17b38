package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube/kubetest"
)

// The times of the runner of GitHub: a cancelled step gets SIGINT, then
// SIGTERM, then SIGKILL, and always its entry process alone.
const (
	untilTerm = 7500 * time.Millisecond
	untilKill = 2500 * time.Millisecond
)

// shop is a service with a route, at version 1.
const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: user}}
  template:
    metadata: {labels: {app: user}}
    spec: {containers: [{name: user, image: "IMAGE1", readinessProbe: {httpGet: {path: /, port: 8000}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: user, namespace: shop}
spec: {selector: {app: user}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: user, namespace: shop}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: user, port: 80}]}]
`

// canary is a pipeline that gives half of the traffic to version 2, and then
// does what AFTER says.
const canary = `version: 1
name: shop
kubernetes: {namespace: shop}
stages:
  - name: rollout
    canary:
      deployment: user
      image: IMAGE2
      traffic: {httpRoute: user, drain: 100ms}
      steps: STEPS
AFTER`

// images are two versions in a registry on loopback.
func images(t *testing.T) *strings.Replacer {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	var names []string
	for _, version := range []string{"1", "2"} {
		image, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/user:" + version)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, image); err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, "IMAGE"+version, ref.Context().Digest(digest.String()).String())
	}
	return strings.NewReplacer(names...)
}

// slowAPI is a Kubernetes API on loopback that takes its time.
type slowAPI struct {
	*kubetest.Server
	// pause is how long each answer takes, in nanoseconds, and until is until
	// when there are errors alone, in Unix nanoseconds.
	pause, until atomic.Int64
}

func (s *slowAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(time.Duration(s.pause.Load())):
	case <-r.Context().Done():
		return
	}
	if time.Now().UnixNano() < s.until.Load() {
		http.Error(w, "the API server is restarting", http.StatusServiceUnavailable)
		return
	}
	answer, err := s.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	_ = http.NewResponseController(w).Flush() // a watch begins
	_, _ = io.Copy(flushing{w}, answer.Body)  // ends with the client
}

// flushing sends at once what is written, as a watch must.
type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, http.NewResponseController(f.w).Flush()
}

// share is what of the traffic goes to the new version, in percent.
func (s *slowAPI) share(t *testing.T) int {
	t.Helper()
	route := s.Get("httproutes", "shop", "user")
	rules, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil {
		t.Fatal(err)
	}
	all, canary := 0, 0
	for _, b := range rules[0].(map[string]any)["backendRefs"].([]any) {
		backend := b.(map[string]any)
		weight := 1
		if w, ok := backend["weight"]; ok {
			weight = int(number(w))
		}
		all += weight
		if backend["name"] != "user" {
			canary += weight
		}
	}
	return 100 * canary / max(all, 1)
}

func number(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return -1
}

// startJob starts the action's step on an API.
func startJob(t *testing.T, file string, api *slowAPI) (*runner, *exec.Cmd, *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	r := newRunner(t, file)
	kubeconfig := filepath.Join(r.dir, "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],`+
		`"contexts":[{"name":"c","context":{"cluster":"c","namespace":"shop"}}],"current-context":"c"}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.inputs["kubeconfig"] = kubeconfig
	cmd := r.command(t.Context(), t, "run")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the step's log:\n%s", log.String())
		}
	})
	return r, cmd, &log
}

// cancelled ends a step as the runner does, and returns how long it took and
// the exit code, -1 where it had to be killed.
func cancelled(t *testing.T, cmd *exec.Cmd) (time.Duration, int) {
	t.Helper()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- cmd.Wait() }()
	for _, stage := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, untilTerm}, {syscall.SIGTERM, untilKill}, {syscall.SIGKILL, time.Minute}} {
		if err := cmd.Process.Signal(stage.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-ended:
			return time.Since(began), cmd.ProcessState.ExitCode()
		case <-time.After(stage.wait):
		}
	}
	t.Fatal("the step does not end")
	return 0, 0
}

// eventually waits until ok, at most half a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within half a minute", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Whatever a job is doing when it is cancelled, users are on the old version
// before the runner loses patience, and the step that always runs puts back
// the rest.
func TestACancelledJobLeavesUsersSafe(t *testing.T) {
	const pausing = "[{setWeight: 50%}, {pause: 10m}]"
	for _, c := range []struct {
		name, steps, after string
		// slower is how long every answer takes from then on, outage how long
		// there is none.
		slower, outage time.Duration
		// when says that the moment for the cancellation has come.
		when func(t *testing.T, r *runner, api *slowAPI) bool
	}{
		{
			name: "while it waits", steps: pausing, slower: 300 * time.Millisecond,
			when: func(t *testing.T, _ *runner, api *slowAPI) bool { return api.share(t) == 50 },
		},
		{
			name: "while the API restarts", steps: pausing, outage: 1500 * time.Millisecond,
			when: func(t *testing.T, _ *runner, api *slowAPI) bool { return api.share(t) == 50 },
		},
		{
			name: "in a command that does not hear", steps: "[{setWeight: 50%}]", slower: 100 * time.Millisecond,
			after: "  - name: check\n    run: {run: 'trap \"\" INT TERM; touch begun; while :; do sleep 1; done'}\n",
			when: func(_ *testing.T, r *runner, _ *slowAPI) bool {
				_, err := os.Stat(filepath.Join(r.dir, "begun"))
				return err == nil
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			images := images(t)
			world, _ := kubetest.New(t, kubetest.Objects(t, images.Replace(shop))...)
			api := &slowAPI{Server: world}
			api.pause.Store(int64(10 * time.Millisecond))
			file := strings.NewReplacer("STEPS", c.steps, "AFTER", c.after).Replace(canary)
			r, cmd, log := startJob(t, images.Replace(file), api)
			eventually(t, "the moment to cancel", func() bool { return c.when(t, r, api) })
			if got := api.share(t); got == 0 {
				t.Fatalf("the new version gets no traffic that could be taken from it\n%s", log)
			}
			api.pause.Store(int64(max(c.slower, 10*time.Millisecond)))
			api.until.Store(time.Now().Add(c.outage).UnixNano())
			took, code := cancelled(t, cmd)
			if got := api.share(t); got != 0 {
				t.Errorf("%d%% of the traffic is on the new version after the job", got)
			}
			if took > 6*time.Second || code != 130 {
				t.Errorf("it took %s and ended with %d, want at most 6s and 130", took, code)
			}
			if got := r.outputs(t)["result"]; got != "cancelled" {
				t.Errorf("got result %q, want cancelled", got)
			}
			api.pause.Store(0)
			if out, code := r.step(t, "recover"); code != 3 {
				t.Errorf("recover ends with %d, want 3: rolled back\n%s", code, out)
			}
			want := []string{"deployments/user", "httproutes/user", "leases/headgate-shop", "secrets/headgate-shop-journal", "services/user"}
			if diff := cmp.Diff(want, world.Names()); diff != "" {
				t.Errorf("after recover there is (-want +got):\n%s", diff)
			}
			if out, code := r.step(t, "recover"); code != 0 || !strings.Contains(out, "nothing is unfinished") {
				t.Errorf("recover once more ends with %d\n%s", code, out)
			}
		})
	}
}
