//go:build e2e

package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/runner"
	"github.com/headgate-dev/headgate/test/story"
)

// built is what all tests share.
type built struct{ root, headgate, service string }

var shared built

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "headgate-local-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if shared.root, err = filepath.Abs("../.."); err != nil {
		return 1, err
	}
	shared.headgate, shared.service = filepath.Join(dir, "headgate"), filepath.Join(dir, "user-service")
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	for to, pkg := range map[string]string{shared.headgate: "./cmd/headgate", shared.service: "./examples/ecommerce/user-service"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, pkg)
		cmd.Dir, cmd.Env = shared.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return m.Run(), nil
}

func TestStories(t *testing.T) {
	for _, st := range story.Stories() {
		t.Run(st.Release, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			began := time.Now()
			r := s.run(s.pipelineFile(st), "--stay")
			kept, fresh := s.load(load.Config{Rate: 50}), s.load(load.Config{Rate: 20, NewConnections: true})
			if st.At > 20 {
				r.UntilWeight(st.At)
				s.setTrigger(r)
			}
			end := r.Until("the end", func(e pipeline.Event) bool { return e.Type == pipeline.RunEnded })
			took := time.Since(began)
			o := story.Outcome{Ending: end.Result.Ending, Reason: end.Reason, Took: took, Versions: map[string]int{}}
			s.live(&o)
			for _, report := range []load.Report{kept.Stop(), fresh.Stop()} {
				o.Requests, o.Failed = o.Requests+report.Requests, o.Failed+report.Failed
				for name, v := range report.Versions {
					o.Versions[name] += v.Requests
				}
			}
			t.Logf("users: %d of %d failed", o.Failed, o.Requests)
			for _, wrong := range st.Judge(o) {
				t.Error(wrong)
			}
			if err := r.Process().Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if code := r.Wait(); code != int(end.Result.Ending) {
				t.Errorf("ended with %d after Ctrl-C, want the run's own %d", code, end.Result.Ending)
			}
			s.nothingLeft()
		})
	}
}

// live asks who answers when the run is over. Local runs have no other view of
// the weight than the users'.
func (s *shop) live(o *story.Outcome) {
	s.t.Helper()
	const n = 100
	l, err := load.Start(s.t.Context(), load.Config{URL: "http://" + s.address + "/profile/{n}", Host: "shop.localhost", Rate: 200, Count: n, Timeout: 2 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	<-l.Done()
	most := 0
	for name, v := range l.Stop().Versions {
		if v.Requests > most {
			o.Live, most = name, v.Requests
		}
	}
	o.Weight = 100 * float64(n-most) / n
}

func (s *shop) nothingLeft() {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := s.left()
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("still running: %q", left)
		}
	}
}

// TestKilledRunner kills the runner with -9 at half the traffic, looks that
// nothing of it goes on, and starts it again.
func TestKilledRunner(t *testing.T) {
	s := newShop(t)
	path := s.pipelineFile(story.Named("good"), flagStage)
	r := s.run(path, "--run-id", "killed")
	first := s.load(load.Config{Rate: 100})
	r.UntilWeight(50)
	if err := r.Process().Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.Wait()
	first.Stop() // what was under way when everything was killed is lost
	s.nothingLeft()
	again := s.run(path, "--run-id", "killed", "--stay")
	users := s.load(load.Config{Rate: 100})
	end := again.Until("the end", func(e pipeline.Event) bool { return e.Type == pipeline.RunEnded })
	if end.Result.Ending != pipeline.Delivered {
		t.Errorf("ended %s: %s", end.Result.Ending, end.Reason)
	}
	if !resumed(again) {
		t.Error("the run began anew, want it resumed")
	}
	var o story.Outcome
	if s.live(&o); o.Live != "good" || o.Weight != 0 {
		t.Errorf("%s is live, and %g%% get another version", o.Live, o.Weight)
	}
	if report := users.Stop(); report.Failed > 0 {
		t.Errorf("users lost requests: %+v", report)
	}
	_ = again.Process().Signal(os.Interrupt)
	again.Wait()
	s.nothingLeft()
}

func resumed(r *runner.Run) bool {
	for _, e := range r.All() {
		if e.Type == pipeline.RunResumed {
			return true
		}
	}
	return false
}

// TestNothingIsLostUnderLoad is the promotion and a rollback under 500 requests
// a second, most of them on kept connections.
func TestNothingIsLostUnderLoad(t *testing.T) {
	for _, tc := range []struct {
		name  string
		more  string
		ended pipeline.Ending
	}{
		{"promotion", "", pipeline.Delivered},
		{"rollback", "  - name: no\n    run: {run: exit 1}\n", pipeline.FailedRolledBack},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newShop(t)
			r := s.run(s.pipelineFile(story.Named("good"), tc.more), "--stay")
			kept, fresh := s.load(load.Config{Rate: 400}), s.load(load.Config{Rate: 100, NewConnections: true})
			end := r.Until("the end", func(e pipeline.Event) bool { return e.Type == pipeline.RunEnded })
			if end.Result.Ending != tc.ended {
				t.Errorf("ended %s: %s", end.Result.Ending, end.Reason)
			}
			k, f := kept.Stop(), fresh.Stop()
			t.Logf("kept connections: %d of %d failed; new connections: %d of %d failed", k.Failed, k.Requests, f.Failed, f.Requests)
			if k.Failed+f.Failed > 0 || k.Requests < 4000 {
				t.Errorf("requests were lost, or too few were sent:\nkept: %v %v\nnew: %v %v", k.Kinds, k.Failures, f.Kinds, f.Failures)
			}
			_ = r.Process().Signal(os.Interrupt)
			r.Wait()
			s.nothingLeft()
		})
	}
}
