//go:build e2e

package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/runner"
)

// TestExampleWithoutACluster runs the pipeline that test/e2e runs on a
// cluster, unchanged: a first deployment with its flag, and a second release.
func TestExampleWithoutACluster(t *testing.T) {
	dir := filepath.Join(shared.root, "examples/ecommerce")
	world := filepath.Join(dir, ".headgate")
	if _, err := os.Stat(world); !errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is there: a local world of yours is kept", world)
	}
	t.Cleanup(func() { _ = os.RemoveAll(world) })
	for _, args := range [][]string{{"--var", "release=v1"}, {"--var", "release=v2", "--until", "settle"}} {
		r := runner.Start(t, shared.headgate, dir, append([]string{"run", "demo.yaml", "--local", "--report", "json=-"}, args...)...)
		users := ask(t, r)
		r.Want(pipeline.Delivered)
		users()
	}
}

// ask sends requests to a local run until the function that it returns is
// called; what is sent before the run begins or after it has ended is lost.
func ask(t *testing.T, r *runner.Run) (stop func()) {
	t.Helper()
	var address string
	for end := time.Now().Add(time.Minute); address == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the run does not say where its service is:\n%s", r.Errors())
		}
		if m := serviceNote.FindStringSubmatch(r.Errors()); m != nil {
			address = m[1]
		}
	}
	l, err := load.Start(context.WithoutCancel(t.Context()), load.Config{
		URL: address + "/profile/{n}", Host: "shop.localhost", Rate: 100, For: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Stop() })
	return func() { l.Stop() }
}
