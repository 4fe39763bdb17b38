package repository_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fakeCluster is test/cluster as test/with-cluster sees it: a state folder
// that outlives the parts, which are lines of a file, and a log of what was
// asked of it.
const fakeCluster = `#!/usr/bin/env bash
state=$HOME/state
echo "$*" >>"$HOME/asked"
case $1 in
up) rm -rf "$state"; mkdir "$state"; [ ! -e "$HOME/broken" ] || exit 1
    printf '%s\n' apiserver prometheus >"$state/parts" ;;
down) rm -rf "$state" ;;
env) [ -d "$state" ] || exit 1; echo "export HEADGATE_TEST_CLUSTER=$state" ;;
part) echo "$3" >>"$state/parts" ;;
status)
  [ -d "$state" ] || exit 1
  code=0
  for part in apiserver prometheus; do
    if grep -qx "$part" "$state/parts"; then echo "$part   up"; else echo "$part   down"; code=1; fi
  done
  exit $code ;;
esac
`

// newTown makes a folder with test/with-cluster and the programs it calls.
func newTown(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("a cluster of our own needs Linux")
	}
	dir := t.TempDir()
	for path, text := range map[string]string{
		"test/with-cluster": read(t, filepath.Join(root, "test", "with-cluster")),
		"programs/go":       "#!/bin/sh\ncp \"$HOME/cluster\" \"$3\"\n",
		"programs/id":       "#!/bin/sh\necho 0\n",
		"cluster":           fakeCluster,
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// withCluster prepares a command in a town.
func withCluster(t *testing.T, dir, script string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "test", "with-cluster"), "bash", "-c", script)
	cmd.Env = []string{"HOME=" + dir, "PATH=" + filepath.Join(dir, "programs") + ":" + os.Getenv("PATH"), "HEADGATE_TEST_PARTS=argorollouts"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func TestCommandsGetAClusterThatWorks(t *testing.T) {
	for _, tt := range []struct {
		name, before string
		command      string
		fails        bool
		ups, downs   int
		says         string
	}{
		{"none is there", "", "true", false, 1, 1, ""},
		{"the command fails", "", "exit 3", true, 1, 1, ""},
		{"a person's is used and left", "./cluster up", "true", false, 1, 0, ""},
		{"what a switched-off machine left", "./cluster up; : >state/parts", "true", false, 2, 1, ""},
		{"a person stopped a part", "./cluster up; echo apiserver >state/parts", "true", true, 1, 0, "prometheus   down"},
		{"a command was killed", "./cluster up; touch state/started-for-a-command; echo apiserver >state/parts", "true", false, 2, 1, ""},
		{"it does not start", "touch broken", "true", true, 1, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newTown(t)
			shell(t, dir, tt.before)
			cmd, out := withCluster(t, dir, `grep -qx apiserver "$HEADGATE_TEST_CLUSTER/parts" && grep -qx argorollouts "$HEADGATE_TEST_CLUSTER/parts" && touch "$HOME/ran" && `+tt.command)
			if err := cmd.Run(); (err != nil) != tt.fails {
				t.Errorf("got %v\n%s", err, out)
			}
			if _, err := os.Stat(filepath.Join(dir, "ran")); (err != nil) != (tt.fails && tt.command == "true") {
				t.Errorf("the command ran: %t\n%s", err == nil, out)
			}
			asked := strings.Split(read(t, filepath.Join(dir, "asked")), "\n")
			if ups, downs := count(asked, "up"), count(asked, "down"); ups != tt.ups || downs != tt.downs {
				t.Errorf("started %d and stopped %d times, want %d and %d: %q", ups, downs, tt.ups, tt.downs, asked)
			}
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("got %q, want %q", out, tt.says)
			}
		})
	}
}

// One that comes while another's test has stopped a part must not take the
// cluster from under it, and whoever ends last stops it.
func TestCommandsShareACluster(t *testing.T) {
	dir := newTown(t)
	first, _ := withCluster(t, dir, `echo apiserver >"$HEADGATE_TEST_CLUSTER/parts"; touch "$HOME/one"; for i in {1..3000}; do [ ! -e "$HOME/two" ] || break; sleep 0.01; done`)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	appears(t, filepath.Join(dir, "one"))
	second, out := withCluster(t, dir, `touch "$HOME/two"; for i in {1..3000}; do [ ! -e "$HOME/three" ] || break; sleep 0.01; done; [ -d "$HOME/state" ]`)
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err != nil {
		t.Error("the first took the cluster from the second")
	}
	shell(t, dir, "touch three")
	if err := second.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	asked := strings.Split(read(t, filepath.Join(dir, "asked")), "\n")
	if count(asked, "up") != 1 || count(asked, "down") != 1 {
		t.Errorf("got %q, want one start and one stop", asked)
	}
}

func appears(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not appear", path)
		}
	}
}

func count(lines []string, want string) int {
	n := 0
	for _, line := range lines {
		if line == want {
			n++
		}
	}
	return n
}
