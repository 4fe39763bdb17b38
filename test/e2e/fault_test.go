//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/story"
)

// flagRecord is a record in Redis.
type flagRecord struct {
	t      *testing.T
	name   string
	client *goredis.Client
}

func (s *shop) newFlag(name string, percentage float64) *flagRecord {
	s.t.Helper()
	options, err := goredis.ParseURL(shared.redis)
	if err != nil {
		s.t.Fatal(err)
	}
	f := &flagRecord{t: s.t, name: name, client: goredis.NewClient(options)}
	s.t.Cleanup(func() { _ = f.client.Close() })
	f.set(percentage)
	return f
}

// set writes the record with the seed's fields, as an operator would.
func (f *flagRecord) set(percentage float64) {
	f.t.Helper()
	b, err := json.Marshal(map[string]any{
		"name": f.name, "enabled": true, "rollout_percentage": percentage, "target_users": []string{}, "target_attributes": map[string]any{},
		"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "note": "kept",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.client.Set(f.t.Context(), "feature_flag:"+f.name, b, 0).Err(); err != nil {
		f.t.Fatal(err)
	}
	if err := f.client.Publish(f.t.Context(), "feature_flag_changes", f.name).Err(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flagRecord) read() map[string]any {
	f.t.Helper()
	b, err := f.client.Get(f.t.Context(), "feature_flag:"+f.name).Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(b, &record); err != nil {
		f.t.Fatal(err)
	}
	return record
}

func (f *flagRecord) percentage() float64 {
	f.t.Helper()
	p, _ := f.read()["rollout_percentage"].(float64)
	return p
}

// edit writes a changed copy of a file.
func (s *shop) edit(path, name, old, new string) string {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		s.t.Fatalf("the file has no %q", old)
	}
	edited := filepath.Join(s.dir, strings.ReplaceAll(name, " ", "-")+".yaml")
	if err := os.WriteFile(edited, []byte(strings.Replace(string(b), old, new, 1)), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return edited
}

func TestBadFlagIsPutBackWithTheRelease(t *testing.T) {
	s := newShop(t, 2)
	flag := s.newFlag("e2e_bad_profile", 0)
	before := flag.read()
	s.load(load.Config{Rate: 200})
	path := s.pipelineFile("[{setWeight: 50%}, {pause: 6s}]", strings.ReplaceAll(flagStage, "FLAG", flag.name))
	result := s.run(path, "badflag").Want(pipeline.FailedRolledBack)
	if result.Stage != "profile" {
		t.Errorf("stage %q failed, want profile", result.Stage)
	}
	after := flag.read()
	for _, field := range []string{"name", "enabled", "rollout_percentage", "note", "created_at"} {
		if before[field] != after[field] {
			t.Errorf("%s of the flag is %v, was %v", field, after[field], before[field])
		}
	}
	s.isOld()
}

func TestNothingIsPromotedWithoutPrometheus(t *testing.T) {
	part := func(verb string) {
		cmd := exec.Command("go", "run", "./test/cluster", "part", verb, "prometheus")
		cmd.Dir = shared.root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s prometheus: %v\n%s", verb, err, out)
		}
	}
	if os.Getenv("HEADGATE_TEST_CLUSTER") == "" {
		t.Skip("HEADGATE_TEST_CLUSTER is not set: this cluster's Prometheus is not ours to stop")
	}
	s := newShop(t, 2)
	users := s.load(load.Config{Rate: 100})
	r := s.run(s.pipelineFile(story.Steps), "good")
	r.UntilWeight(20)
	t.Cleanup(func() { part("start") })
	part("stop")
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "unavailable") {
		t.Errorf("the reason %q does not say that metrics were unavailable", result.Reason)
	}
	s.isOld()
	if report := users.Stop(); report.Failed > 0 {
		t.Errorf("users lost requests: %+v", report)
	}
}

func TestCtrlCAtHalfTheTraffic(t *testing.T) {
	s := newShop(t, 2)
	users := s.load(load.Config{Rate: 100})
	path := s.pipelineFile(story.Steps)
	r := s.run(path, "good", "--run-id", "ctrl-c")
	r.UntilWeight(50)
	time.Sleep(time.Second)
	began := time.Now()
	if err := r.Process().Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r.Want(pipeline.CancelledInt)
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("headgate took %s to end", took)
	}
	if took := r.Undone("route").Sub(began); took > 3*time.Second || took < 0 {
		t.Errorf("traffic was back after %s, want 3s", took)
	}
	if w := s.weight(); w != 0 {
		t.Errorf("the canary has %g%%", w)
	}
	s.start("recover", path, "--var", "image="+shared.images["good"], "--report", "json=-").Want(pipeline.FailedRolledBack)
	s.isOld()
	s.start("recover", path, "--var", "image="+shared.images["good"], "--report", "json=-").Want(pipeline.Delivered)
	if report := users.Stop(); report.Failed > 0 {
		t.Errorf("users lost requests: %+v", report)
	}
}

// TestKilledAfterEachChange kills the runner with -9 after its first change,
// its second, and so on, and starts it again each time.
func TestKilledAfterEachChange(t *testing.T) {
	for n := 1; ; n++ {
		s := newShop(t, 2)
		route := s.spec("HTTPRoute", "user-service")
		flag := s.newFlag(s.ns, 5) // a name of its own: the audit trail tells runs apart by their ids
		users := s.load(load.Config{Rate: 100})
		path := s.pipelineFile("[{setWeight: 50%}, {pause: 1s}]", strings.ReplaceAll(flagStage, "FLAG", flag.name))
		r := s.run(path, "good", "--run-id", s.ns)
		changes, killed := 0, ""
		for e := range r.Seen() {
			if e.Type != pipeline.Changed {
				continue
			}
			if changes++; changes == n {
				killed = e.Change.Thing.String() + " " + e.Change.Key
				_ = r.Process().Signal(syscall.SIGKILL)
				break
			}
		}
		code := r.Wait()
		if killed == "" {
			if code != int(pipeline.Delivered) {
				t.Fatalf("the run that was not killed ended with %d", code)
			}
			t.Logf("%d changes", changes)
			return
		}
		again := s.run(path, "good", "--run-id", s.ns)
		again.Want(pipeline.Delivered)
		s.is("good")
		if got := s.spec("HTTPRoute", "user-service"); got != route {
			t.Errorf("killed after %s: the route is\n%s\nwant\n%s", killed, got, route)
		}
		if p := flag.percentage(); p != 100 {
			t.Errorf("killed after %s: the flag is at %g", killed, p)
		}
		if report := users.Stop(); report.Failed > 0 {
			t.Errorf("killed after %s: users lost requests: %+v", killed, report)
		}
		if t.Failed() {
			t.Fatalf("killed after change %d, %s", n, killed)
		}
	}
}

// TestRollbackFromTheJournalAlone kills the runner and has everything put
// back without the pipeline file.
func TestRollbackFromTheJournalAlone(t *testing.T) {
	s := newShop(t, 2)
	flag := s.newFlag(s.ns, 5)
	before := flag.read()
	s.load(load.Config{Rate: 100})
	path := s.pipelineFile("[{setWeight: 50%}, {pause: 1s}]", strings.ReplaceAll(flagStage, "FLAG", flag.name))
	r := s.run(path, "good", "--run-id", s.ns)
	r.Until("the flag was changed", func(e pipeline.Event) bool {
		return e.Type == pipeline.Changed && e.Change.Thing.Kind == "flag"
	})
	_ = r.Process().Signal(syscall.SIGKILL)
	r.Wait()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEADGATE_REDIS", shared.redis)
	s.start("rollback", "--pipeline", "user-service", "--namespace", s.ns, "--report", "json=-").Want(pipeline.FailedRolledBack)
	s.isOld()
	if after := flag.read(); after["rollout_percentage"] != before["rollout_percentage"] {
		t.Errorf("the flag is %v, was %v", after, before)
	}
}
