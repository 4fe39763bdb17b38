//go:build e2e

package local

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/runner"
)

// quick makes the gates and the pauses of an example short; nothing else of it
// is changed.
var quick = strings.NewReplacer(
	"  slo:\n", "  slo:\n    every: 500ms\n    window: 5s\n    scrapeInterval: 500ms\n    metricsGrace: 4s\n    onInconclusive: extend\n    maxExtend: 15s\n",
	"bake: 5m", "bake: 4s", "bake: 10m", "bake: 4s", "keepOld: 10m", "keepOld: 1s",
)

// example is a pipeline of the folder examples, in a folder of its own.
type example struct {
	*shop
	file  string // of the pipeline
	image string // without tag
}

// section is what a file needs for local runs; IMAGE and MANIFESTS are put in.
const section = `
local:
  listen: LISTEN
  scrapeInterval: 500ms
  manifests: [MANIFESTS]
  images:
    IMAGE: {command: [bin/user-service], env: {ADDRESS: "127.0.0.1:$(PORT)", VERSION: first}}
`

// newExample copies a file of the examples and says what its images are: each
// of the releases good and bad, and the one that is there at first.
func newExample(t *testing.T, path, manifests string) *example {
	t.Helper()
	e := &example{shop: &shop{t: t, dir: t.TempDir(), address: free(t)}, file: filepath.Base(path), image: "ghcr.io/acme/user-service"}
	if err := os.Mkdir(filepath.Join(e.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(shared.service, filepath.Join(e.dir, "bin/user-service")); err != nil {
		t.Fatal(err)
	}
	text := quick.Replace(e.read(path))
	if !strings.Contains(text, "\nlocal:") {
		text += section
	} else {
		e.image = "ecommerce/user-service"
		text = strings.ReplaceAll(text, "command: [headgate, demo, user-service]", "command: [bin/user-service]")
		text = strings.Replace(text, "\nlocal:\n", "\nlocal:\n  listen: LISTEN\n  scrapeInterval: 500ms\n", 1)
	}
	releases := `  images:
    IMAGE:good: {command: [bin/user-service], env: {ADDRESS: "127.0.0.1:$(PORT)", VERSION: good, DATABASE_URL: none}}
    IMAGE:better: {command: [bin/user-service], env: {ADDRESS: "127.0.0.1:$(PORT)", VERSION: better, DATABASE_URL: none}}
    IMAGE:bad: {command: [bin/user-service], env: {ADDRESS: "127.0.0.1:$(PORT)", VERSION: bad, FAIL_RATE: "0.5", DATABASE_URL: none}}
`
	text = strings.Replace(text, "  images:\n", releases, 1)
	text = strings.ReplaceAll(text, `"${{ vars.image }}:${{ run.commit }}"`, `"${{ vars.image }}"`)
	e.write(e.file, strings.NewReplacer("LISTEN", e.address, "MANIFESTS", manifests, "IMAGE", e.image).Replace(text))
	return e
}

func (e *example) read(path string) string {
	e.t.Helper()
	b, err := os.ReadFile(filepath.Join(shared.root, "examples", path))
	if err != nil {
		e.t.Fatal(err)
	}
	return string(b)
}

// copyManifests puts files of examples/ecommerce beside the pipeline.
func (e *example) copyManifests(r *strings.Replacer, paths ...string) {
	e.t.Helper()
	for _, path := range paths {
		e.write(filepath.Base(path), r.Replace(e.read("ecommerce/"+path)))
	}
}

func (e *example) release(name string, args ...string) *runner.Run {
	e.t.Helper()
	return e.run(e.file, append([]string{"--var", "image=" + e.image + ":" + name}, args...)...)
}

// rollOut releases under load and says what users saw of it. Of failures, those
// of the bad release are not counted.
func (e *example) rollOut(name string, want pipeline.Ending, args ...string) {
	e.t.Helper()
	r := e.release(name, append(args, "--stay")...)
	kept, fresh := e.load(load.Config{Rate: 80}), e.load(load.Config{Rate: 30, NewConnections: true})
	end := r.Until("the end", func(ev pipeline.Event) bool { return ev.Type == pipeline.RunEnded })
	if end.Result.Ending != want {
		e.t.Errorf("%s ended %s: %s", name, end.Result.Ending, end.Reason)
	}
	k, f := kept.Stop(), fresh.Stop()
	failed := k.Failed + f.Failed - k.Versions["bad"].Failed - f.Versions["bad"].Failed
	e.t.Logf("%s: %d of %d requests failed, %d of them of other versions", name, k.Failed+f.Failed, k.Requests+f.Requests, failed)
	least := 100
	if want != pipeline.Delivered {
		least = 10 // a bad release is put back within a second
	}
	if failed > 0 || k.Requests+f.Requests < least {
		e.t.Errorf("%s: requests were lost, or too few were sent:\nkept: %v %v %v\nnew: %v %v %v", name, k.Kinds, k.Failures, k.Versions, f.Kinds, f.Failures, f.Versions)
	}
	_ = r.Process().Signal(os.Interrupt)
	r.Wait()
	e.nothingLeft()
}

// TestExamplesOfRollouts runs the examples of rolling and blueGreen: good
// releases that lose nothing, a bad one that is put back, and a good one after
// it.
func TestExamplesOfRollouts(t *testing.T) {
	for _, tc := range []struct {
		path      string
		manifests string
		prepare   func(e *example)
	}{
		{"rolling/headgate.yaml", "deployment.yaml, service.yaml", func(e *example) { e.oneWorkload("user-service") }},
		{"blue-green/headgate.yaml", "deployment.yaml, service.yaml", func(e *example) { e.oneWorkload("user-service-blue") }},
		{"ecommerce/blue-green/pipeline.yaml", "", func(e *example) {
			e.copyManifests(strings.NewReplacer(), "blue-green/blue-environment.yaml", "blue-green/green-environment.yaml", "blue-green/nginx.yaml")
		}},
	} {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()
			e := newExample(t, tc.path, tc.manifests)
			tc.prepare(e)
			e.rollOut("good", pipeline.Delivered)
			e.rollOut("bad", pipeline.FailedRolledBack)
			e.rollOut("better", pipeline.Delivered)
		})
	}
}

// oneWorkload is the Deployment and the Service of the shop, as they are before
// the first run.
func (e *example) oneWorkload(deployment string) {
	e.copyManifests(strings.NewReplacer(
		"namespace: ecommerce", "namespace: shop", "localhost:5000/ecommerce/user-service:latest", e.image+":first",
		"kind: Deployment\nmetadata:\n  name: user-service\n", "kind: Deployment\nmetadata:\n  name: "+deployment+"\n",
	), "deploy/deployment.yaml", "deploy/service.yaml")
}

// TestKilledRunnerOfRollouts kills the runner with -9 while its release has the
// traffic, and has the run put back by headgate recover: what was live before is
// live again, and nothing is left running.
func TestKilledRunnerOfRollouts(t *testing.T) {
	for _, tc := range []struct {
		path, deployment string
		begun            func(pipeline.Event) bool
	}{
		{"rolling/headgate.yaml", "user-service", func(e pipeline.Event) bool { return e.Type == pipeline.Judged }},
		{"blue-green/headgate.yaml", "user-service-blue", func(e pipeline.Event) bool { return e.Type == pipeline.TrafficShifted }},
	} {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()
			e := newExample(t, tc.path, "deployment.yaml, service.yaml")
			e.oneWorkload(tc.deployment)
			r := e.release("good")
			r.Until("its traffic", tc.begun)
			if err := r.Process().Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.Wait()
			e.nothingLeft()
			back := runner.Start(t, shared.headgate, e.dir, "recover", e.file, "--local", "--var", "image="+e.image+":good", "--report", "json=-")
			back.Wait()
			e.nothingLeft()
			e.rollOut("better", pipeline.Delivered)
		})
	}
}
