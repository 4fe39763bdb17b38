//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// runBlock is a block of a page that is run here, in the page's order.
var runBlock = regexp.MustCompile("(?m)^```sh run(?: exit=(\\d+))?\n((?s:.*?))^```$")

// What a page tells people to run, and needs no cluster, comes to the exit
// code that the page says. It is run in a copy of examples/ecommerce, or in
// the folder that the block before it has gone to.
func TestPagesRun(t *testing.T) {
	ran := 0
	for _, page := range []string{"README.md", "docs/first-steps.md", "docs/how-to/local.md", "docs/how-to/terminal.md", "examples/ecommerce/README.md"} {
		text, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		bin, at, place := filepath.Join(dir, "bin"), filepath.Join(dir, "ecommerce"), filepath.Join(dir, "place")
		headgateIn(t, bin)
		if err := os.CopyFS(at, os.DirFS("../../examples/ecommerce")); err != nil {
			t.Fatal(err)
		}
		for _, m := range runBlock.FindAllStringSubmatch(string(text), -1) {
			want, _ := strconv.Atoi(m[1]) // none is 0
			cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", "trap 'pwd >"+place+"' EXIT\n"+m[2])
			cmd.Dir = at
			cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CEILING_DIRECTORIES=" + dir, "GORACE=atexit_sleep_ms=0", "HEADGATE_COMMIT=c0ffee"}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Errorf("%s: got exit code %d, want %d:\n%s%s", page, code, want, m[2], out)
			}
			if now, err := os.ReadFile(place); err == nil {
				at = string(now[:len(now)-1])
				anyPort(t, filepath.Join(at, "headgate.yaml"))
			}
			ran++
		}
	}
	if ran < 4 {
		t.Errorf("only %d blocks were run", ran)
	}
}

// anyPort lets a file's local run listen at any port, for the one that it
// names may be taken on this machine.
func anyPort(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, regexp.MustCompile(`(?m)^  listen: .*\n`).ReplaceAll(text, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}
