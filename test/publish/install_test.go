//go:build e2e

package publish_test

import (
	"os"
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

// TestTheBinaryDropsWhatIsNotCalled covers a third of its size: a program that
// can call methods by name, as text/template does, keeps every method of every
// type in it.
func TestTheBinaryDropsWhatIsNotCalled(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "headgate")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, "./cmd/headgate")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatalf("go tool nm: %v", err)
	}
	if strings.Contains(string(symbols), "text/template.(*state).evalField") {
		t.Error("templates are executed somewhere; cobra's own do so once SetUsageTemplate, SetHelpTemplate or SetVersionTemplate is called")
	}
}
