//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// file is the pipeline of the tests. Windows and looks are short, since the
// cluster's Prometheus scrapes every second.
const file = `version: 1
name: user-service
vars: {image: ""}
secrets:
  redis_url: {env: HEADGATE_TEST_REDIS}
kubernetes: {namespace: NAMESPACE}
prometheus: {url: "${{ env.HEADGATE_TEST_PROMETHEUS }}"}
redis: {url: "${{ secrets.redis_url }}"}
gates:
  slo:
    every: 1s
    window: 10s
    scrapeInterval: 1s
    metricsGrace: 4s
    onInconclusive: extend
    maxExtend: 15s
    checks:
      - errorRate: {max: 5%}
      - latency: {quantile: 0.95, max: 1s}
stages:
  - name: rollout
    canary:
      deployment: user-service
      image: "${{ vars.image }}"
      traffic: {httpRoute: user-service, drain: 1s}
      readyTimeout: 15s
      steps: STEPS
      gate: slo
`

const flagStage = `  - name: profile
    flag:
      name: FLAG
      steps: [{setPercentage: 50%}, {pause: 3s}, {setPercentage: 100%}, {pause: 2s}]
      gate: slo
`

// headgateRun is a headgate process.
type headgateRun struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	events []pipeline.Event
	seen   chan pipeline.Event
	errors bytes.Buffer
	done   chan struct{}
}

// pipelineFile writes the file for a shop.
func (s *shop) pipelineFile(steps string, more ...string) string {
	s.t.Helper()
	text := strings.NewReplacer("NAMESPACE", s.ns, "STEPS", steps).Replace(file)
	path := filepath.Join(s.dir, "headgate.yaml")
	if err := os.WriteFile(path, []byte(text+strings.Join(more, "")), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start starts headgate and follows its events.
func (s *shop) start(args ...string) *headgateRun {
	s.t.Helper()
	r := &headgateRun{t: s.t, seen: make(chan pipeline.Event, 10000), done: make(chan struct{})}
	r.cmd = exec.Command(shared.headgate, args...)
	r.cmd.Dir = s.dir
	r.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	r.cmd.Stderr = &r.errors
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		defer close(r.seen)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e pipeline.Event
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			r.mu.Lock()
			r.events = append(r.events, e)
			r.mu.Unlock()
			r.seen <- e
		}
	}()
	s.t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
		if s.t.Failed() {
			s.t.Logf("headgate %s:\n%s%s", strings.Join(args, " "), r.story(), r.errors.String())
		}
	})
	return r
}

// run starts "headgate run" of a release.
func (s *shop) run(path, release string, args ...string) *headgateRun {
	s.t.Helper()
	image := shared.images[release]
	if image == "" {
		image = release
	}
	return s.start(append([]string{"run", path, "--var", "image=" + image, "--report", "json=-"}, args...)...)
}

// wait waits for the end and returns the exit code.
func (r *headgateRun) wait() int {
	r.t.Helper()
	timer := time.AfterFunc(3*time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer timer.Stop()
	<-r.done
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.cmd.ProcessState.ExitCode()
}

// want waits and checks the ending.
func (r *headgateRun) want(ending pipeline.Ending) pipeline.Result {
	r.t.Helper()
	if code := r.wait(); code != int(ending) {
		r.t.Errorf("headgate ended with %d, want %d (%s)\n%s%s", code, int(ending), ending, r.story(), r.errors.String())
	}
	for _, e := range slices.Backward(r.all()) {
		if e.Type == pipeline.RunEnded && e.Result != nil {
			return *e.Result
		}
	}
	return pipeline.Result{}
}

func (r *headgateRun) all() []pipeline.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// until waits for an event.
func (r *headgateRun) until(what string, ok func(e pipeline.Event) bool) pipeline.Event {
	r.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case e, open := <-r.seen:
			if !open {
				r.t.Fatalf("headgate ended before %s:\n%s%s", what, r.story(), r.errors.String())
			}
			if ok(e) {
				return e
			}
		case <-limit:
			r.t.Fatalf("waited in vain for %s:\n%s", what, r.story())
		}
	}
}

func (r *headgateRun) untilWeight(weight float64) pipeline.Event {
	r.t.Helper()
	return r.until("the weight was set", func(e pipeline.Event) bool {
		return e.Type == pipeline.TrafficShifted && e.Weight != nil && *e.Weight == weight
	})
}

// undone is when a thing was put back; zero if it was not.
func (r *headgateRun) undone(kind string) time.Time {
	for _, e := range r.all() {
		if e.Type == pipeline.Undone && e.Change.Thing.Kind == kind {
			return e.Time
		}
	}
	return time.Time{}
}

// story is what happened, for failing tests.
func (r *headgateRun) story() string {
	var b strings.Builder
	for _, e := range r.all() {
		line := []string{e.Time.Format("15:04:05.000"), string(e.Type), e.Stage, e.Name, e.Reason, e.Message}
		if e.Change != nil {
			line = append(line, e.Change.Thing.String(), e.Change.Key)
		}
		if e.Verdict != nil {
			line = append(line, e.Verdict.Outcome.String(), e.Verdict.Reason)
		}
		if e.Result != nil {
			line = append(line, e.Result.Ending.String(), e.Result.Hint)
		}
		b.WriteString(strings.Join(slices.DeleteFunc(line, func(s string) bool { return s == "" }), "  ") + "\n")
	}
	return b.String()
}
