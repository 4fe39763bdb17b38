//go:build e2e

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoTime is more than the demo takes on a machine that is very busy.
const demoTime = 3 * time.Minute

// startDemo prepares a demo whose folder for temporary files is its own.
func startDemo(t *testing.T) (cmd *exec.Cmd, temp string) {
	t.Helper()
	temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), demoTime)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, "headgate", "demo")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp, "TMPDIR=" + temp, "GORACE=atexit_sleep_ms=0", "NO_COLOR=1"}
	cmd.Dir = temp
	// One that hangs says where.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd, temp
}

// nothingLeft fails where files or processes of a demo are left.
func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	files, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("%s is left", f.Name())
	}
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(environments) == 0 {
		t.Fatalf("no processes are to be seen: %v", err)
	}
	for _, path := range environments {
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, []byte("TMPDIR="+temp+"\x00")) {
			t.Errorf("the process of %s is left", path)
		}
	}
}

// The whole story, as somebody sees it who has only the program: what it says
// of users is counted, and its exit code says that all came about.
func TestDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	cmd, temp := startDemo(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", &stderr)
	}
	words := strings.Join(strings.Fields(string(out)), " ")
	rest := words
	const some = `[1-9][0-9 ]*`
	for _, want := range []string{
		`users send 200 requests a second`,
		`1\. A good release`,
		`traffic: 20% to canary .*? traffic: 100% to canary .*? delivered in`,
		`Delivered\. Of ` + some + ` requests that users sent meanwhile 0 failed\. v2 serves everybody now\.`,
		`2\. A bad release`,
		`gate slo failed: errorRate: .*? more than 5%`,
		`put back route httpRoute ecommerce/user-service`,
		`put back track ecommerce/user-service canary`,
		`Stopped by the gate and put back\. Of ` + some + ` requests that users sent meanwhile ` + some + ` failed, all of them v3's, within [0-9.]+ s\. Since then 0 of ` + some + ` have failed: v2 serves everybody\.`,
		`3\. A bad feature`,
		`flag new_profile_format is on for 5% of the users .*? is on for 50% of the users`,
		`put back flag new_profile_format`,
		`Stopped by the gate\. Of ` + some + ` requests that users sent meanwhile ` + some + ` failed, within [0-9.]+ s\. The flag is off, as it was, v2 stays, and since then 0 of ` + some + ` have failed\.`,
		some + ` requests in [0-9.]+ s`,
	} {
		at := regexp.MustCompile(want).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("the story does not go on with %q:\n%s", want, out)
		}
		rest = rest[at[1]:]
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, " ") && len(line) > 81 {
			t.Errorf("this line of the story is longer than 80 characters: %s", line)
		}
		if strings.Contains(line, "\x1b") {
			t.Errorf("this line has an escape sequence, and nobody's terminal: %q", line)
		}
	}
	nothingLeft(t, temp)
}

// Somebody who has seen enough presses Ctrl-C in the middle of a release.
func TestDemoEndsWithNothingLeft(t *testing.T) {
	t.Parallel()
	cmd, temp := startDemo(t)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "traffic: 20% to canary") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("got %v, want exit code 130\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "users are safe") {
		t.Errorf("the run does not say that users are safe:\n%s", &out)
	}
	nothingLeft(t, temp)
}
