//go:build e2e

package publish_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBinaryCanBeInstalled compiles all of Headgate from published modules,
// for which a machine that has built nothing yet needs minutes.
func TestBinaryCanBeInstalled(t *testing.T) {
	p, version := newProxy(t)
	o := newOutside(t, p)
	o.run(t, "install", main+"/cmd/headgate@"+version)
	binary := filepath.Join(o.dir, "bin", "headgate")
	out, err := exec.CommandContext(t.Context(), binary, "version").CombinedOutput()
	if err != nil {
		t.Fatalf("headgate version: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), strings.TrimPrefix(version, "v")) {
		t.Errorf("headgate version says %q, want %s in it", out, version)
	}
}
