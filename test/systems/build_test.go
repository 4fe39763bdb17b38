//go:build e2e

// Package systems_test builds the program for each system that a release is
// for. It is a package of its own since the first time takes minutes; what was
// built is kept.
package systems_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestItBuildsForAllSystems(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "headgate"), "./cmd/headgate")
			cmd.Dir = filepath.Join("..", "..")
			cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("go build: %v\n%s", err, out)
			}
		})
	}
}
