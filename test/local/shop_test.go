//go:build e2e

package local

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/runner"
	"github.com/headgate-dev/headgate/test/story"
)

// file is the pipeline of the stories, as that of the cluster's tests but for
// the section local.
const file = `version: 1
name: user-service
vars: {release: "", repository: shop/user-service}
kubernetes: {namespace: ecommerce}
prometheus: {url: "http://prometheus.invalid:9090"}
redis: {url: "redis://redis.invalid:6379/0"}
local:
  listen: LISTEN
  flags: [e2e_later.json, ramped.json]
  images:
    shop/user-service:
      command: [bin/user-service]
      env:
        ADDRESS: 127.0.0.1:$(PORT)
        REDIS_URL: $(HEADGATE_LOCAL_REDIS)
        VERSION: "${{ vars.release }}"
FAULTS
GATES
stages:
  - name: rollout
    canary:
      deployment: user-service
      image: "${{ vars.repository }}:${{ vars.release }}"
      manifests: [deploy/]
      traffic: {httpRoute: user-service, drain: 1s}
      readyTimeout: 15s
      steps: STEPS
      gate: slo
`

const flagStage = `  - name: profile
    flag:
      name: ramped
      steps: [{setPercentage: 50%}, {pause: 3s}, {setPercentage: 100%}, {pause: 2s}]
      gate: slo
`

// shop is one test's folder with the example in its old version.
type shop struct {
	t       *testing.T
	dir     string
	address string
}

// newShop delivers the old version as a first deployment.
func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir(), address: free(t)}
	for _, dir := range []string{"deploy", "bin"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		b, err := os.ReadFile(filepath.Join(shared.root, "examples/ecommerce/deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("localhost:5000/ecommerce/user-service:latest", "shop/user-service:old", "replicas: 3", "replicas: 2").Replace(string(b))
		s.write("deploy/"+name, text)
	}
	if err := os.Link(shared.service, filepath.Join(s.dir, "bin/user-service")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{story.Trigger, "ramped"} {
		record, err := json.Marshal(map[string]any{
			"name": name, "enabled": true, "rollout_percentage": 0, "target_users": []string{}, "target_attributes": map[string]any{},
			"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
		})
		if err != nil {
			t.Fatal(err)
		}
		s.write(name+".json", string(record))
	}
	r := s.run(s.pipelineFile(story.Story{Release: story.Old}))
	users := s.load(load.Config{Rate: 50})
	r.Want(pipeline.Delivered)
	users.Stop()
	return s
}

func (s *shop) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// free is an address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// pipelineFile writes the file for a release.
func (s *shop) pipelineFile(st story.Story, more ...string) string {
	s.t.Helper()
	var faults strings.Builder
	for name, value := range st.Faults {
		fmt.Fprintf(&faults, "        %s: %q\n", name, value)
	}
	text := strings.NewReplacer("GATES\n", story.Gates, "LISTEN", s.address, "FAULTS\n", faults.String(), "STEPS", story.Steps, `release: ""`, "release: "+st.Release).Replace(file)
	if st.Missing {
		text = strings.Replace(text, "repository: shop/user-service", "repository: shop/nothing", 1)
	}
	return s.write("headgate.yaml", text+strings.Join(more, ""))
}

// run starts "headgate run --local".
func (s *shop) run(path string, args ...string) *runner.Run {
	s.t.Helper()
	return runner.Start(s.t, shared.headgate, s.dir, append([]string{"run", path, "--local", "--report", "json=-"}, args...)...)
}

// load begins to send requests, once the old version answers.
func (s *shop) load(c load.Config) *load.Load {
	s.t.Helper()
	s.await("users are served", 30*time.Second, func() bool {
		c := load.Config{URL: "http://" + s.address + "/profile/{n}", Host: "shop.localhost", Rate: 500, Count: 50, Timeout: time.Second}
		l, err := load.Start(s.t.Context(), c)
		if err != nil {
			s.t.Fatal(err)
		}
		<-l.Done()
		return l.Stop().Failed == 0
	})
	c.URL, c.Host, c.For = "http://"+s.address+"/profile/{n}", "shop.localhost", 5*time.Minute
	l, err := load.Start(context.WithoutCancel(s.t.Context()), c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Stop() })
	return l
}

func (s *shop) await(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited %s in vain until %s", limit, what)
		}
	}
}

var (
	redisNote   = regexp.MustCompile(`Redis (redis://\S+)`)
	serviceNote = regexp.MustCompile(`service (http://[^\s,]+)`)
)

// setTrigger switches the flag that makes a release bad, as an operator would.
func (s *shop) setTrigger(r *runner.Run) {
	s.t.Helper()
	m := redisNote.FindStringSubmatch(r.Errors())
	if m == nil {
		s.t.Fatalf("headgate does not say where Redis is:\n%s", r.Errors())
	}
	options, err := goredis.ParseURL(m[1])
	if err != nil {
		s.t.Fatal(err)
	}
	client := goredis.NewClient(options)
	defer client.Close()
	key := "feature_flag:" + story.Trigger
	b, err := client.Get(s.t.Context(), key).Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(b, &record); err != nil {
		s.t.Fatal(err)
	}
	record["rollout_percentage"] = 100
	if b, err = json.Marshal(record); err != nil {
		s.t.Fatal(err)
	}
	if err := client.Set(s.t.Context(), key, b, 0).Err(); err != nil {
		s.t.Fatal(err)
	}
	if err := client.Publish(s.t.Context(), "feature_flag_changes", story.Trigger).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// left are the processes of the shop's folder that still run.
func (s *shop) left() []string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "ps", "-eo", "pid,args").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	var left []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, s.dir) {
			left = append(left, strings.TrimSpace(line))
		}
	}
	return left
}
