//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestExampleOnTheCluster delivers the example by its own script, as `make
// demo-cluster` does: images are built, and the file is the very one that local
// runs take (see test/local).
func TestExampleOnTheCluster(t *testing.T) {
	for _, tool := range []string{"buildah", "redis-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not there, which the example's script needs", tool)
		}
	}
	s := &shop{t: t, ns: "ecommerce"}
	t.Cleanup(func() {
		_ = s.client("Namespace").Delete(context.Background(), s.ns, metav1.DeleteOptions{})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./demo")
	cmd.Dir = filepath.Join(shared.root, "examples/ecommerce")
	cmd.Env = append(os.Environ(), "DEMO_HEADGATE="+shared.headgate, "NO_COLOR=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, users, _ := strings.Cut(string(out), "what users saw")
	for line := range strings.Lines(users) {
		if strings.HasPrefix(line, "version v2-") && !strings.Contains(line, " 0 failed") {
			t.Errorf("the good release lost requests: %s", line)
		}
	}
	if !strings.Contains(users, "version v2-") {
		t.Errorf("the good release was not seen by users:\n%s", users)
	}
}
