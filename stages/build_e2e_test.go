//go:build e2e

package stages_test

import (
	"os"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/registry"
	"github.com/headgate-dev/headgate/pipeline"
)

// TestBuildWithARealTool builds with what this machine has and pushes to a
// real registry, twice: the same files give an image that is there.
func TestBuildWithARealTool(t *testing.T) {
	host := os.Getenv("HEADGATE_TEST_REGISTRY")
	if host == "" {
		t.Skip("HEADGATE_TEST_REGISTRY names no registry")
	}
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("Dockerfile", []byte("FROM scratch\nARG VERSION\nLABEL version=$VERSION\nCOPY Dockerfile /\n"), 0o600))
	r := newShellRun()
	r.parts.Registry = &registry.Client{}
	result, rec := r.run(t.Context(), t, `
  - name: image
    build: {image: `+host+`/headgate-test/build, tag: "${{ run.commit }}", args: {VERSION: "1"}}
  - name: broken
    if: stages.image.ref != ""
    env: {REF: "${{ stages.image.ref }}"}
    test: echo "ref $REF"
`)
	if result.Ending != pipeline.Delivered {
		t.Fatalf("got %+v, printed %q", result, rec.lines())
	}
	out := rec.outputs("image")
	if want := host + "/headgate-test/build@sha256:"; !strings.HasPrefix(out["ref"], want) || out["tag"] != "abc123" {
		t.Errorf("outputs: got %v", out)
	}
	again, err := (&registry.Client{}).Resolve(t.Context(), host+"/headgate-test/build:abc123")
	if err != nil || again != out["ref"] {
		t.Errorf("the registry has %s, %v, want %s", again, err, out["ref"])
	}
}

func TestBuildThatFailsWithARealTool(t *testing.T) {
	if os.Getenv("HEADGATE_TEST_REGISTRY") == "" {
		t.Skip("HEADGATE_TEST_REGISTRY names no registry")
	}
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("Dockerfile", []byte("FROM scratch\nCOPY nothing /\n"), 0o600))
	result, rec := newShellRun().run(t.Context(), t, "  - {name: image, build: {image: localhost:5000/headgate-test/bad}}\n")
	if result.Ending != pipeline.FailedUnchanged || !strings.Contains(strings.Join(rec.lines(), "\n"), "nothing") {
		t.Errorf("got %+v, printed %q", result, rec.lines())
	}
}
