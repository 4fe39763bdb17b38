package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// composite is action.yml, as far as its steps are run here.
type composite struct {
	Inputs map[string]struct{ Default string }
	Runs   struct {
		Steps []compositeStep
	}
}

type compositeStep struct {
	ID, If, Run string
	Env         map[string]string
}

// runner runs steps of the action as the runner of GitHub does.
type runner struct {
	action composite
	// dir is where the job works, output the file for the step's outputs.
	dir, output string
	inputs      map[string]string
	binary      string
}

func newRunner(t *testing.T, pipeline string) *runner {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the action's steps are for bash")
	}
	r := &runner{dir: t.TempDir(), inputs: map[string]string{}}
	text, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &r.action); err != nil {
		t.Fatal(err)
	}
	for name, in := range r.action.Inputs {
		r.inputs[name] = in.Default
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.binary = filepath.Join(r.dir, "headgate") // by this name it is the program
	if err := os.Symlink(self, r.binary); err != nil {
		t.Fatal(err)
	}
	r.output = filepath.Join(r.dir, "output")
	if err := os.WriteFile(filepath.Join(r.dir, "headgate.yaml"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

var expression = regexp.MustCompile(`\$\{\{ (\S+) \}\}`)

// command prepares a step: its script in a file, run by the line that the
// runner uses for shell: bash.
func (r *runner) command(ctx context.Context, t *testing.T, id string) *exec.Cmd {
	t.Helper()
	at := slices.IndexFunc(r.action.Runs.Steps, func(s compositeStep) bool { return s.ID == id })
	if at < 0 {
		t.Fatalf("the action has no step %s", id)
	}
	step := r.action.Runs.Steps[at]
	script := filepath.Join(r.dir, id+".sh")
	if err := os.WriteFile(script, []byte(step.Run), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.output, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script)
	cmd.Dir = r.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + r.output,
		"GITHUB_ACTION_PATH=" + root, "RUNNER_TEMP=" + r.dir, "GORACE=atexit_sleep_ms=0",
	}
	for name, value := range step.Env {
		cmd.Env = append(cmd.Env, name+"="+expression.ReplaceAllStringFunc(value, func(e string) string {
			name := expression.FindStringSubmatch(e)[1]
			if input, ok := strings.CutPrefix(name, "inputs."); ok {
				return r.inputs[input]
			}
			return r.binary
		}))
	}
	return cmd
}

// step runs a step to its end.
func (r *runner) step(t *testing.T, id string) (out string, code int) {
	t.Helper()
	text, err := r.command(t.Context(), t, id).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(text), exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return string(text), 0
}

// outputs reads what the last step has set, of one line each.
func (r *runner) outputs(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(r.output)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if name, _, ok := strings.Cut(line, "<<"); ok && i+1 < len(lines) {
			found[name] = lines[i+1]
		} else if name, value, ok := strings.Cut(line, "="); ok {
			found[name] = value
		}
	}
	return found
}

const delivered = "version: 1\nname: shop\nstages:\n  - name: unit\n    test: \"true\"\n"

func TestTheActionRunsAndSaysHowItEnded(t *testing.T) {
	r := newRunner(t, delivered)
	r.inputs["report"] = "json=run.jsonl\nmarkdown=run.md\n"
	out, code := r.step(t, "run")
	if got := r.outputs(t); code != 0 || got["result"] != "delivered" || got["exit-code"] != "0" {
		t.Errorf("got exit code %d, outputs %q\n%s", code, got, out)
	}
	for _, name := range []string{"run.jsonl", "run.md"} {
		if _, err := os.Stat(filepath.Join(r.dir, name)); err != nil {
			t.Error(err)
		}
	}
	if out, code := r.step(t, "recover"); code != 0 || !strings.Contains(out, "nothing is unfinished") {
		t.Errorf("recover: got exit code %d\n%s", code, out)
	}
}

func TestTheActionTakesTheBinaryThatIsNamed(t *testing.T) {
	r := newRunner(t, delivered)
	r.inputs["binary"] = "headgate"
	out, code := r.step(t, "install")
	if got := r.outputs(t)["binary"]; code != 0 || got != r.binary {
		t.Errorf("got exit code %d, binary %q, want %q\n%s", code, got, r.binary, out)
	}
}

func TestInputsOfTheActionAreNoCommands(t *testing.T) {
	const hostile = "x\"; touch pwned; $(touch pwned) `touch pwned` ' && touch pwned #\ntouch pwned"
	r := newRunner(t, delivered)
	for name := range r.inputs {
		if name != "binary" && name != "command" {
			r.inputs[name] = hostile
		}
	}
	for _, command := range []string{"run", hostile} {
		r.inputs["command"] = command
		for _, id := range []string{"run", "recover"} {
			if out, code := r.step(t, id); code != 2 {
				t.Errorf("%s: got exit code %d, want 2\n%s", id, code, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, "pwned")); err == nil {
		t.Error("an input became a command")
	}
}

func TestSignalsReachTheBinaryOfTheAction(t *testing.T) {
	for _, c := range []struct {
		sig  syscall.Signal
		code int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		t.Run(c.sig.String(), func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, "version: 1\nname: shop\nstages:\n  - name: unit\n    test: echo yes > begun; sleep 60\n")
			cmd := r.command(t.Context(), t, "run")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(20 * time.Second)
			for {
				if _, err := os.Stat(filepath.Join(r.dir, "begun")); err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the stage has not begun")
				}
				time.Sleep(10 * time.Millisecond)
			}
			// The runner signals the process that it started, the shell.
			if err := cmd.Process.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			err := cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.code || time.Since(sent) > 6*time.Second {
				t.Errorf("got %v after %s, want exit code %d", err, time.Since(sent), c.code)
			}
			if got := r.outputs(t)["result"]; got != "cancelled" {
				t.Errorf("got result %q", got)
			}
		})
	}
}

// The last step does what is left when the run could not, and nothing when
// somebody else is in charge or there is nothing to do.
func TestTheActionRecoversWhatItMust(t *testing.T) {
	r := newRunner(t, delivered)
	at := slices.IndexFunc(r.action.Runs.Steps, func(s compositeStep) bool { return s.ID == "recover" })
	condition := strings.Join(strings.Fields(r.action.Runs.Steps[at].If), " ")
	list := regexp.MustCompile(`fromJSON\('([^']*)'\), steps\.run\.outputs\.result`).FindStringSubmatch(condition)
	if list == nil || !strings.HasPrefix(condition, "always() && ") || !strings.Contains(condition, "steps.run.outcome != 'success'") {
		t.Fatalf("what is the condition %q?", condition)
	}
	var results []string
	if err := json.Unmarshal([]byte(list[1]), &results); err != nil {
		t.Fatal(err)
	}
	// "" is a binary that was killed before it could say anything.
	if want := []string{"", "cancelled", "rollback-incomplete", "not-finished"}; !slices.Equal(results, want) {
		t.Errorf("it recovers after %q, want %q", results, want)
	}
}
