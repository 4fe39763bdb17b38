//go:build unix

package proc_test

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

	"github.com/headgate-dev/headgate/internal/proc"
	"github.com/headgate-dev/headgate/stages"
)

// sh runs a script and returns its lines.
func sh(ctx context.Context, c stages.Command, script string) ([]string, error) {
	var mu sync.Mutex
	var got []string
	c.Args = []string{"sh", "-c", script}
	c.Output = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, line)
	}
	err := proc.Runner{}.Run(ctx, c)
	mu.Lock()
	defer mu.Unlock()
	return got, err
}

func TestRunGivesLines(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	tests := []struct {
		name, script string
		want         []string
	}{
		{"both streams in order", "echo a; echo b >&2; echo c", []string{"a", "b", "c"}},
		{"nothing", ":", nil},
		{"no line end", "printf 'a\\nb'", []string{"a", "b"}},
		{"empty lines", "echo; echo", []string{"", ""}},
		{"carriage returns", `printf '10%%\r50%%\r100%%\nwindows\r\n'`, []string{"100%", "windows"}},
		{"not text", `printf 'a\377b\n'`, []string{"a\uFFFDb"}},
		{"long line", "head -c 70000 /dev/zero | tr '\\0' x; echo; echo end", []string{long + " … (4464 more bytes)", "end"}},
		{"late child", "(sleep 0.2; echo late) & echo early", []string{"early", "late"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := sh(t.Context(), stages.Command{}, tt.script)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunReportsHowItEnded(t *testing.T) {
	_, err := sh(t.Context(), stages.Command{}, "exit 7")
	if diff := cmp.Diff(&stages.ExitError{Program: "sh", Code: 7}, err); diff != "" {
		t.Errorf("exit code (-want +got):\n%s", diff)
	}
	_, err = sh(t.Context(), stages.Command{}, "kill -9 $$")
	if diff := cmp.Diff(&stages.ExitError{Program: "sh", Code: -1, Signal: "SIGKILL"}, err); diff != "" {
		t.Errorf("signal (-want +got):\n%s", diff)
	}
}

func TestRunErrors(t *testing.T) {
	tests := []struct {
		name string
		c    stages.Command
		want string
	}{
		{"no program", stages.Command{}, "run program: no program given"},
		{"unknown program", stages.Command{Args: []string{"no-such-program"}}, "run no-such-program: executable file not found in $PATH"},
		{"unknown folder", stages.Command{Args: []string{"true"}, Dir: "/no/such"}, "run true: stat /no/such: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := proc.Runner{}.Run(t.Context(), tt.c)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := (proc.Runner{}).Find("no-such-program"); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("find: got %v, want an error that names it", err)
	}
}

func TestRunStreamsAndEnvironment(t *testing.T) {
	var out bytes.Buffer
	got, err := sh(t.Context(), stages.Command{
		Stdin: strings.NewReader("in"), Stdout: &out, Dir: "/", Env: []string{"A=1", "B=two words"},
	}, `cat; echo " $PWD $A $B"; echo err >&2`)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != "in / 1 two words\n" || len(got) != 1 || got[0] != "err" {
		t.Errorf("got stdout %q and lines %q", out.String(), got)
	}
	// Input that is not read is no error, and neither is much of it.
	if _, err := sh(t.Context(), stages.Command{Stdin: strings.NewReader(strings.Repeat("x", 1<<20))}, ":"); err != nil {
		t.Errorf("program that does not read its input: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRunReportsASinkThatFails(t *testing.T) {
	_, err := sh(t.Context(), stages.Command{Stdout: failing{}}, "head -c 1000000 /dev/zero")
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v, want the sink's error", err)
	}
}

// TestRunEndsTheWholeGroup: on cancel, children and their children end too,
// whether they listen to SIGTERM or not.
func TestRunEndsTheWholeGroup(t *testing.T) {
	for name, trap := range map[string]string{"polite": "", "deaf": "trap '' TERM; "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			var once sync.Once
			c := stages.Command{
				Grace: 200 * time.Millisecond, Env: []string{"PIDS=" + pids},
				Args: []string{"sh", "-c", trap + `sh -c '` + strings.ReplaceAll(trap, "'", `'"'"'`) + `echo $$ >>$PIDS; sleep 60 & echo $! >>$PIDS; echo ready; wait; sleep 60' & wait; sleep 60`},
			}
			c.Output = func(string) { once.Do(func() { cancel(why) }) }
			start := time.Now()
			err := proc.Runner{}.Run(ctx, c)
			if !errors.Is(err, why) {
				t.Errorf("got %v, want the cause", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %s to end them", took)
			}
			gone(t, pids, 2)
		})
	}
}

// TestRunEndsWhatAProgramLeavesBehind: a child in the background does not
// outlive the program, and does not hold it up.
func TestRunEndsWhatAProgramLeavesBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	start := time.Now()
	got, err := sh(t.Context(), stages.Command{Env: []string{"PIDS=" + pids}}, "sleep 60 & echo $! >>$PIDS; echo done")
	if err != nil || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("a child in the background held the program up for %s", took)
	}
	gone(t, pids, 1)
}

func TestRunWithAnEndedContextStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	file := filepath.Join(t.TempDir(), "file")
	if _, err := sh(ctx, stages.Command{}, "echo >"+file); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the program was started")
	}
}

func TestRunTellsATimeoutByItsCause(t *testing.T) {
	why := errors.New("timed out after 50ms")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	// That it exits 0 on SIGTERM does not make it a success.
	if _, err := sh(ctx, stages.Command{}, "trap 'exit 0' TERM; sleep 60 & wait"); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
}

// gone fails unless all n processes whose numbers are in the file have ended.
func gone(t *testing.T, file string, n int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pids := strings.Fields(string(b))
	if len(pids) != n {
		t.Errorf("got %d processes, want %d", len(pids), n)
	}
	for _, pid := range pids {
		number, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if !ended(number) {
			t.Errorf("process %d is still there", number)
		}
	}
}

// ended waits a moment for a process to be gone; one that only waits to be
// noticed counts.
func ended(pid int) bool {
	for range 100 {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return true
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil && bytes.Contains(stat, []byte(") Z ")) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
