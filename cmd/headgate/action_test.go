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
	// path is the action's folder, dir where the job works, output and summary
	// are the files for the step's outputs and its part of the job summary.
	path, dir, output, summary string
	inputs                     map[string]string
	binary                     string
}

func newRunner(t *testing.T, pipeline string) *runner {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the action's steps are for bash")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{path: root, dir: t.TempDir(), inputs: map[string]string{}}
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
	r.output, r.summary = filepath.Join(r.dir, "output"), filepath.Join(r.dir, "summary")
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
	temp := filepath.Join(r.dir, "temp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(temp, id+".sh")
	if err := os.WriteFile(script, []byte(step.Run), 0o600); err != nil {
		t.Fatal(err)
	}
	// The runner makes the files of each step, and reads them after it.
	for _, file := range []string{r.output, r.summary, filepath.Join(r.dir, "env"), filepath.Join(r.dir, "path"), filepath.Join(r.dir, "state")} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script)
	cmd.Dir = r.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "CI=true", "GITHUB_ACTIONS=true", "GITHUB_WORKSPACE=" + r.dir,
		"GITHUB_OUTPUT=" + r.output, "GITHUB_STEP_SUMMARY=" + r.summary, "GITHUB_ENV=" + filepath.Join(r.dir, "env"),
		"GITHUB_PATH=" + filepath.Join(r.dir, "path"), "GITHUB_STATE=" + filepath.Join(r.dir, "state"),
		"GITHUB_RUN_ID=8412", "GITHUB_RUN_ATTEMPT=1", "GITHUB_ACTION_PATH=" + r.path,
		"RUNNER_TEMP=" + filepath.Join(r.dir, "temp"), "RUNNER_TOOL_CACHE=" + filepath.Join(r.dir, "tools"), "RUNNER_OS=Linux", "RUNNER_ARCH=X64",
		"GORACE=atexit_sleep_ms=0",
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

// outputs reads what the last step has set, as the runner does.
func (r *runner) outputs(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(r.output)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		if name, delimiter, ok := strings.Cut(lines[i], "<<"); ok {
			end := slices.Index(lines[i+1:], delimiter)
			if end < 0 {
				t.Fatalf("output %s has no end", name)
			}
			found[name] = strings.Join(lines[i+1:i+1+end], "\n")
			i += end + 1
		} else if name, value, ok := strings.Cut(lines[i], "="); ok {
			found[name] = value
		} else if lines[i] != "" {
			t.Fatalf("line %d of the outputs is none: %q", i+1, lines[i])
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
	if text, err := os.ReadFile(r.summary); err != nil || !strings.Contains(string(text), "✅ shop: delivered") {
		t.Errorf("got summary %q, %v", text, err)
	}
	for _, name := range []string{"env", "path", "state"} {
		if text, err := os.ReadFile(filepath.Join(r.dir, name)); err != nil || len(text) > 0 {
			t.Errorf("the step wrote to the file %s what nobody asked for: %q, %v", name, text, err)
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
		if !slices.Contains([]string{"binary", "command", "version", "mirror"}, name) {
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
