package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// console is a terminal with headgate on it.
type console struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File
	before *unix.Termios
	done   chan error

	mu  sync.Mutex
	out bytes.Buffer
}

const slowPipeline = `version: 1
name: shop
stages:
  - name: unit
    run: |
      echo begun
      printf '\033[2J\033]0;title\007sly\n'
      sleep 60
`

// onConsole starts headgate on a terminal of 80 columns and 24 lines.
func onConsole(t *testing.T, file string, env ...string) *console {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, master: master, slave: slave, done: make(chan error, 1)}
	c.before = c.termios()
	c.cmd = exec.CommandContext(t.Context(), "headgate", "run", "p.yaml")
	c.cmd.Dir = dir
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TERM=xterm-256color", "GIT_CEILING_DIRECTORIES=" + dir, "GORACE=atexit_sleep_ms=0"}
	c.cmd.Env = append(c.cmd.Env, env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // it has ended by itself, or the test has failed
	go func() {
		_, _ = io.Copy(c, master) // it ends with the terminal
	}()
	go func() { c.done <- c.cmd.Wait() }()
	return c
}

// Write keeps what the terminal is sent.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *console) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

func (c *console) termios() *unix.Termios {
	c.t.Helper()
	state, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return state
}

// await waits until a text was drawn.
func (c *console) await(text string) {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(c.seen(), text) {
			return
		}
	}
	c.t.Fatalf("%q was not drawn:\n%q", text, c.seen())
}

// ends waits for the end with an exit code, and looks whether the terminal is
// as it was.
func (c *console) ends(code int) {
	c.t.Helper()
	select {
	case err := <-c.done:
		got := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			c.t.Fatal(err)
		}
		if got != code {
			c.t.Errorf("got exit code %d, want %d", got, code)
		}
	case <-time.After(30 * time.Second):
		c.t.Fatalf("it does not end:\n%q", c.seen())
	}
	if diff := cmp.Diff(c.before, c.termios()); diff != "" {
		c.t.Errorf("the terminal is not as it was (-before +after):\n%s", diff)
	}
	c.await("\x1b[?25h")
	out := c.seen()
	if hidden, shown := strings.LastIndex(out, "\x1b[?25l"), strings.LastIndex(out, "\x1b[?25h"); shown < hidden {
		c.t.Errorf("the cursor stays hidden: %q", out)
	}
	for _, mode := range []string{"\x1b[?1049h", "\x1b[?47h", "\x1b[?2004h", "\x1b[?1000h", "\x1b[?1003h", "\x1b[>4", "\x1b[?u", "\x1b]", "\x1b[c"} {
		if strings.Contains(out, mode) {
			c.t.Errorf("the terminal was told or asked %q", mode)
		}
	}
}

func TestARunIsDrawnAndLeavesTheTerminalAsItWas(t *testing.T) {
	c := onConsole(t, "version: 1\nname: shop\nstages: [{name: unit, run: 'echo begun; sleep 1'}, {name: pack, run: 'true'}]\n")
	c.await("begun")
	state := c.termios()
	if state.Lflag&unix.ECHO != 0 || state.Cc[unix.VSUSP] != 0 {
		t.Error("what is typed is echoed into the picture, or Ctrl-Z halts the run")
	}
	if state.Lflag&unix.ISIG == 0 {
		t.Error("Ctrl-C is not SIGINT")
	}
	c.ends(0)
	out := c.seen()
	for _, want := range []string{"\x1b[?25l", "shop", "✓", "pack", "delivered in"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q was not drawn:\n%q", want, out)
		}
	}
	if !strings.HasSuffix(out, "\r\n") {
		t.Errorf("the prompt would not begin a line: %q", out)
	}
}

func TestCtrlCReachesTheRun(t *testing.T) {
	for _, tc := range []struct {
		name  string
		press func(c *console) error
		code  int
	}{
		{"key", func(c *console) error { _, err := c.master.Write([]byte{3}); return err }, 130},
		{"SIGINT", func(c *console) error { return c.cmd.Process.Signal(syscall.SIGINT) }, 130},
		{"SIGTERM", func(c *console) error { return c.cmd.Process.Signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := onConsole(t, slowPipeline)
			c.await("sly")
			if err := tc.press(c); err != nil {
				t.Fatal(err)
			}
			c.ends(tc.code)
			for _, want := range []string{"stopping safely", "cancelled and made safe"} {
				if !strings.Contains(c.seen(), want) {
					t.Errorf("%q was not said:\n%q", want, c.seen())
				}
			}
			if strings.Contains(c.seen(), "title") || strings.Contains(c.seen(), "\x1b[2J") {
				t.Error("a command moved the cursor or named the window")
			}
		})
	}
}

func TestASecondCtrlCEndsItAtOnce(t *testing.T) {
	// A command that does not take SIGTERM makes the safe way long.
	c := onConsole(t, "version: 1\nname: shop\nstages: [{name: unit, run: \"trap '' TERM INT; echo begun; sleep 60\"}]\n")
	c.await("begun")
	if _, err := c.master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	c.await("stopping safely")
	// The same key twice in a moment counts once.
	for range 40 {
		if _, err := c.master.Write([]byte{3}); err != nil || len(c.done) > 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.ends(130)
	if strings.Contains(c.seen(), "made safe") {
		t.Errorf("it went the long way: %q", c.seen())
	}
}

func TestLinesWhereNothingCanBeDrawn(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  []string
	}{
		{"dumb terminal", []string{"TERM=dumb"}},
		{"CI", []string{"CI=true"}},
		{"asked for", []string{"HEADGATE_REPORT=plain", "NO_COLOR=1"}},
		{"quiet", []string{"HEADGATE_QUIET=true", "NO_COLOR=1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := onConsole(t, "version: 1\nname: shop\nstages: [{name: unit, run: echo begun}]\n", tc.env...)
			c.await("delivered in")
			if err := <-c.done; err != nil {
				t.Error(err)
			}
			if strings.ContainsAny(strings.ReplaceAll(c.seen(), "\x1b[", ""), "\x1b") || strings.Contains(c.seen(), "\x1b[?25l") {
				t.Errorf("it was drawn: %q", c.seen())
			}
			if said := strings.Contains(c.seen(), "begun"); said == (tc.name == "quiet") {
				t.Errorf("got %q", c.seen())
			}
		})
	}
}

func TestNoColourIsDrawnWithoutColours(t *testing.T) {
	c := onConsole(t, "version: 1\nname: shop\nstages: [{name: unit, run: 'echo begun; exit 3'}]\n", "NO_COLOR=1")
	c.ends(1)
	if out := c.seen(); strings.Contains(out, "\x1b[3") || strings.Contains(out, "\x1b[1m") || strings.Contains(out, "\x1b[1;") {
		t.Errorf("colours: %q", out)
	}
	if !strings.Contains(c.seen(), "failed, nothing was changed: stage unit") {
		t.Errorf("got %q", c.seen())
	}
}
