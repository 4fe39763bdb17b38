//go:build unix

package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
	"github.com/headgate-dev/headgate/internal/proc/lines"
)

// script is a program that says its lines to the channel.
func script(text string) (keeper.Program, <-chan string) {
	said := make(chan string, 100)
	out := &lines.Writer{Emit: func(line string) { said <- line }}
	return keeper.Program{Title: "test", Args: []string{"sh", "-c", text}, Env: os.Environ(), Output: out}, said
}

// hear waits for a line.
func hear(t *testing.T, said <-chan string, want string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line := <-said:
			if line == want {
				return
			}
		case <-timeout:
			t.Fatalf("never said %q", want)
		}
	}
}

func TestHowAProgramEnded(t *testing.T) {
	tests := []struct {
		name, script string
		act          func(*keeper.Process)
		want         keeper.End
	}{
		{"well", "echo ready", nil, keeper.End{}},
		{"exit code", "echo ready; exit 7", nil, keeper.End{Code: 7}},
		{"signal of its own", "echo ready; kill -SEGV $$", nil, keeper.End{Code: -1, Signal: "SIGSEGV"}},
		{"asked to", "echo ready; sleep 60", (*keeper.Process).Terminate, keeper.End{Code: -1, Signal: "SIGTERM"}},
		{"asked to, with a trap", "trap 'exit 3' TERM; echo ready; sleep 60 & wait", (*keeper.Process).Terminate, keeper.End{Code: 3}},
		{"killed", "trap '' TERM; echo ready; sleep 60; sleep 60", (*keeper.Process).Kill, keeper.End{Code: -1, Signal: "SIGKILL"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, said := script(tt.script)
			process := start(t, p)
			hear(t, said, "ready")
			if tt.act != nil {
				tt.act(process)
			}
			if diff := cmp.Diff(tt.want, process.End()); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAChildOfAShellMayEndWell: a shell without exec dies of SIGTERM at once,
// the program in it is not killed for that.
func TestAChildOfAShellMayEndWell(t *testing.T) {
	p, said := script(`sh -c 'trap "sleep 0.3; echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done'; true`)
	process := start(t, p)
	hear(t, said, "ready")
	process.Terminate()
	hear(t, said, "bye")
	if got := process.End(); got.Signal != "SIGTERM" {
		t.Errorf("got %+v", got)
	}
}

func TestExec(t *testing.T) {
	p, said := script("echo ready; cd /; sleep 60")
	var err error
	if p.Dir, err = filepath.EvalSymlinks(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	p.Env = append(p.Env, "NAME=value")
	process := start(t, p)
	hear(t, said, "ready")
	tests := []struct {
		name string
		args []string
		want keeper.Result
	}{
		{"same environment and folder", []string{"sh", "-c", "echo $NAME; pwd >&2; exit 3"}, keeper.Result{Code: 3, Output: []byte("value\n" + p.Dir + "\n")}},
		{"a signal", []string{"sh", "-c", "kill -9 $$"}, keeper.Result{Code: -1, Signal: "SIGKILL"}},
		{"no program", []string{"no-such-program"}, keeper.Result{Code: -1, Failed: "program no-such-program: not found in its PATH"}},
		{"much output", []string{"sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"}, keeper.Result{Output: []byte(strings.Repeat("x", 10<<10))}},
		{"a child that holds the output", []string{"sh", "-c", "echo a; sleep 60 &"}, keeper.Result{Output: []byte("a\n")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := process.Exec(t.Context(), tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnExecEndsWithItsContextAndWithTheProgram(t *testing.T) {
	p, said := script("echo ready; sleep 60")
	process := start(t, p)
	hear(t, said, "ready")
	why := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
	defer cancel()
	pids := filepath.Join(t.TempDir(), "pids")
	if _, err := process.Exec(ctx, []string{"sh", "-c", "echo $$ >" + pids + "; sleep 60; true"}); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	gone(t, pids)

	var group sync.WaitGroup
	group.Go(func() {
		if _, err := process.Exec(t.Context(), []string{"sleep", "60"}); !errors.Is(err, keeper.ErrEnded) {
			t.Errorf("got %v, want that it has ended", err)
		}
	})
	process.Kill()
	group.Wait()
	if _, err := process.Exec(t.Context(), []string{"true"}); !errors.Is(err, keeper.ErrEnded) {
		t.Errorf("got %v, want that it has ended", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestOutputThatNobodyTakesHoldsNothingUp(t *testing.T) {
	p, _ := script("head -c 1000000 /dev/zero")
	p.Output = failing{}
	if diff := cmp.Diff(keeper.End{}, start(t, p).End()); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
}

// gone fails unless all processes whose numbers are in the file have ended.
func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		if !ended(pid) {
			t.Errorf("process %d is still there", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// ended waits a while for a process to be gone; one that only waits to be
// noticed by its parent counts.
func ended(pid int) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return true
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil && bytes.Contains(stat, []byte(") Z ")) {
			return true
		}
	}
	return false
}
