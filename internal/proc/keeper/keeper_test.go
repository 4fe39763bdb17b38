package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// modes are what this program does when it is started as an app.
var modes = map[string]func(){
	"env":   func() { os.Stdout.WriteString(strings.Join(os.Environ(), "\n") + "\n") },
	"sleep": func() { time.Sleep(time.Minute) },
}

func TestMain(m *testing.M) {
	if os.Getenv("KEEPER_TEST_NO_MAIN") == "" {
		keeper.Main()
	} else if os.Args[0] == "headgate-keeper" {
		os.Stdout.WriteString("PASS\n") // and not a word that a keeper says
		time.Sleep(time.Minute)
	}
	if mode, ok := modes[os.Getenv("KEEPER_TEST_APP")]; ok {
		mode()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts a program and kills it when the test ends.
func start(t *testing.T, p keeper.Program) *keeper.Process {
	t.Helper()
	process, err := keeper.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		<-process.Ended()
	})
	return process
}

// self is this program as an app.
func self(t *testing.T, mode string) keeper.Program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return keeper.Program{Title: t.Name(), Args: []string{exe}, Env: []string{"KEEPER_TEST_APP=" + mode, "GORACE=atexit_sleep_ms=0"}}
}

func TestAProgramHasItsOwnEnvironmentAndNoOther(t *testing.T) {
	t.Setenv("SURROUNDINGS", "seen")
	var out bytes.Buffer
	p := self(t, "env")
	p.Env = append(p.Env, "A=two words", "B=\xff not text")
	p.Output = &out
	end := start(t, p).End()
	if diff := cmp.Diff(keeper.End{}, end); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
	for _, want := range []string{"A=two words\n", "B=\xff not text\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	for _, name := range []string{"SURROUNDINGS=", "HEADGATE_KEEPER="} {
		if strings.Contains(out.String(), name) {
			t.Errorf("%s in %q", name, out.String())
		}
	}
}

func TestWhatCannotStart(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		p    keeper.Program
		want string
	}{
		{"nothing given", keeper.Program{}, "no program given"},
		{"not in the machine's PATH", keeper.Program{Args: []string{"no-such-program"}}, "program no-such-program: not found in PATH"},
		{"not in its PATH", keeper.Program{Args: []string{"sh"}, Env: []string{"PATH=" + t.TempDir()}}, "program sh: not found in its PATH"},
		{"no such file", keeper.Program{Args: []string{"./no/such"}}, "program ./no/such: "},
		{"no such folder", keeper.Program{Args: []string{"./x"}, Dir: filepath.Join(t.TempDir(), "none")}, "none: "},
		{"no program", keeper.Program{Args: []string{text}}, "program " + text + ": "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := keeper.Start(t.Context(), tt.p)
			failed, ok := errors.AsType[*keeper.StartError](err)
			if !ok || !strings.Contains(failed.Reason, tt.want) {
				t.Errorf("got %v, want a start error with %q", err, tt.want)
			}
		})
	}
}

func TestAStartThatIsGivenUpLeavesNothing(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := keeper.Start(ctx, self(t, "sleep")); err != nil && !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestMainThatWasForgotten(t *testing.T) {
	t.Setenv("KEEPER_TEST_NO_MAIN", "1")
	_, err := keeper.Start(t.Context(), self(t, "sleep"))
	if err == nil || !strings.Contains(err.Error(), "keeper.Main was not called") {
		t.Errorf("got %v", err)
	}
	// What was started that way must not do the same again.
	t.Setenv("HEADGATE_KEEPER", "1")
	_, err = keeper.Start(t.Context(), self(t, "sleep"))
	if err == nil || !strings.Contains(err.Error(), "keeper.Main was not called") {
		t.Errorf("got %v", err)
	}
}
