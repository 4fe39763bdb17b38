//go:build unix

package stages_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/journal"
	"github.com/headgate-dev/headgate/internal/proc"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// shellRun is a pipeline of commands, run by real shells.
type shellRun struct {
	parts   *stages.Parts
	store   pipeline.Store
	secrets map[string]string
	id      string
}

func newShellRun() *shellRun {
	return &shellRun{
		parts: &stages.Parts{Commands: proc.Runner{}, Registry: images{}},
		store: new(journal.Memory), id: "run-1",
	}
}

// run runs the stages, given in YAML, behind a common head.
func (r *shellRun) run(ctx context.Context, t *testing.T, list string) (pipeline.Result, *recorder) {
	t.Helper()
	file := "version: 1\nname: shop\nsecrets: {token: {env: TOKEN}}\nstages:\n" + list
	p, problems := pipeline.Parse(source.File{Name: "headgate.yaml", Data: []byte(file)}, stages.Grammar(r.parts))
	if problems.HasErrors() {
		t.Fatalf("parse: %v", problems)
	}
	rec := &recorder{}
	runner := &pipeline.Runner{
		Pipeline: p, Info: pipeline.Info{ID: r.id, Pipeline: p.Name, Commit: "abc123", Digest: p.Digest(nil)},
		Store: r.store, Clock: pipeline.RealClock{}, Sinks: []pipeline.Sink{rec}, Undoers: stages.Undoers(r.parts),
		Values: pipeline.Values{Vars: p.VarValues(), Secrets: r.secrets},
	}
	return runner.Run(ctx), rec
}

// lines returns what commands printed.
func (r *recorder) lines() []string {
	var out []string
	for _, e := range r.events {
		if e.Type == pipeline.Output {
			out = append(out, e.Message)
		}
	}
	return out
}

func (r *recorder) outputs(stage string) map[string]string {
	for _, e := range r.events {
		if e.Type == pipeline.StagePassed && e.Stage == stage {
			return e.Outputs
		}
	}
	return nil
}

func TestScriptsRunInTheirShell(t *testing.T) {
	dir := t.TempDir()
	tests := []struct{ name, stage, want, fails string }{
		{"one line", `test: echo hello`, "hello", ""},
		{"stops at the first failure", "test: {run: \"false\\necho on\"}", "", "bash ended with exit code 1"},
		{"stops at a failure in a pipe", `test: {run: "false | cat"}`, "", "bash ended with exit code 1"},
		{"sh knows no pipefail", `test: {run: "false | cat; echo on", shell: sh}`, "on", ""},
		{"sh stops too", `test: {run: "false; echo on", shell: sh}`, "", "sh ended with exit code 1"},
		{"another program", `test: {run: "echo $1", shell: "bash -u"}`, "", "bash ended with exit code"},
		{"folder", `test: {run: pwd, dir: ` + dir + `}`, dir, ""},
		{"environment", `{env: {A: outer, B: "b c"}, test: {run: 'echo "$A $B $HEADGATE_COMMIT"', env: {A: inner}}}`, "inner b c abc123", ""},
		{"signal", `test: {run: kill -9 $$}`, "", "bash was ended by SIGKILL"},
		{"timeout", `test: {run: "echo on; sleep 60", timeout: 1s}`, "on", "timed out after 1s"},
		{"no such shell", `test: {run: x, shell: no-such-shell}`, "", "no-such-shell"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stage := strings.TrimSuffix(strings.TrimPrefix(tt.stage, "{"), "}")
			if !strings.HasPrefix(tt.stage, "{") {
				stage = tt.stage
			}
			result, rec := newShellRun().run(t.Context(), t, "  - {name: unit, "+stage+"}\n")
			if got := strings.Join(rec.lines(), "|"); !strings.HasPrefix(got, tt.want) || (tt.want == "" && tt.fails == "" && got != "") {
				t.Errorf("printed %q, want %q", got, tt.want)
			}
			switch {
			case tt.fails == "" && result.Ending != pipeline.Delivered:
				t.Errorf("got %+v, want delivered", result)
			case tt.fails != "" && (result.Ending != pipeline.FailedUnchanged || !strings.Contains(result.Reason, tt.fails)):
				t.Errorf("got %+v, want failed with %q", result, tt.fails)
			}
		})
	}
}

func TestTestStageRetries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "count")
	stage := "  - name: unit\n    test: {run: 'echo x >>" + file + "; test $(wc -l <" + file + ") = 3', retries: %d}\n"
	result, _ := newShellRun().run(t.Context(), t, fmt.Sprintf(stage, 1))
	if result.Ending != pipeline.FailedUnchanged {
		t.Errorf("one retry: got %+v, want failed", result)
	}
	result, rec := newShellRun().run(t.Context(), t, fmt.Sprintf(stage, 1))
	if result.Ending != pipeline.Delivered || len(rec.lines()) != 0 {
		t.Errorf("third attempt: got %+v, want delivered", result)
	}
	if b, _ := os.ReadFile(file); strings.Count(string(b), "x") != 3 {
		t.Errorf("got %q, want three attempts in all", b)
	}
}

const junitFile = `<?xml version="1.0"?>
<testsuites><testsuite name="pkg" tests="4">
<testcase classname="pkg" name="TestA" time="0.1"/>
<testcase classname="pkg" name="TestB"><failure message="Failed">want 1&#10;got 2</failure></testcase>
<testcase classname="pkg" name="TestC"><error message="boom"/></testcase>
<testcase classname="pkg" name="TestD"><skipped/></testcase>
</testsuite></testsuites>
`

func TestTestStageReadsJUnitFiles(t *testing.T) {
	good := strings.NewReplacer("<failure message=\"Failed\">want 1&#10;got 2</failure>", "", `<error message="boom"/>`, "").Replace(junitFile)
	tests := []struct{ name, before, run, junit, want string }{
		{
			"failing tests are named", "", "cp bad.xml r.xml; exit 1", "r.xml",
			"2 of 4 tests failed: pkg.TestB (want 1), pkg.TestC (boom)",
		},
		{"also when the command says all is well", "", "cp bad.xml r.xml", "r.xml", "; the command exited with 0 all the same"},
		{"in folders below", "", "mkdir -p a/b; cp bad.xml a/b/r.xml; exit 1", "'a/**/*.xml'", "2 of 4 tests failed"},
		{"passing", "", "cp good.xml r.xml", "r.xml", ""},
		{"passing tests and a failing command", "", "cp good.xml r.xml; exit 3", "r.xml", "bash ended with exit code 3"},
		{"no file", "", ":", "'r*.xml'", "no JUnit file matches r*.xml"},
		{"no file of a failing command", "", "exit 3", "r.xml", "bash ended with exit code 3; no JUnit file matches r.xml"},
		{"a file of an earlier run", "bad.xml", ":", "bad.xml", "(1 older ones were left aside)"},
		{"several patterns", "", "cp good.xml r.xml", "[r.xml, s.xml]", "no JUnit file matches s.xml"},
		{"no XML", "", "echo hello >r.xml", "r.xml", "r.xml: "},
		{"cut off", "", "head -c 200 good.xml >r.xml", "r.xml", "read JUnit file r.xml"},
		{"empty", "", ": >r.xml", "r.xml", "r.xml: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range map[string]string{"bad.xml": junitFile, "good.xml": good} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			result, rec := newShellRun().run(t.Context(), t,
				"  - name: unit\n    test: {run: '"+tt.run+"', junit: "+tt.junit+"}\n")
			if tt.want == "" {
				want := map[string]string{"tests": "4", "failed": "0", "skipped": "1"}
				if d := cmp.Diff(want, rec.outputs("unit")); d != "" || result.Ending != pipeline.Delivered {
					t.Errorf("got %+v, outputs (-want +got):\n%s", result, d)
				}
				return
			}
			if result.Ending != pipeline.FailedUnchanged || !strings.Contains(result.Reason, tt.want) {
				t.Errorf("got %+v, want failed with %q", result, tt.want)
			}
		})
	}
}

func TestRunStageGivesOutputsToLaterStages(t *testing.T) {
	result, rec := newShellRun().run(t.Context(), t, `
  - name: migrate
    run:
      run: |
        echo "revision=42=x" >>$HEADGATE_OUTPUT
        printf 'notes<<EOF\na\nb=c\nEOF\n' >>$HEADGATE_OUTPUT
      outputs: [revision, notes]
  - name: after
    env: {R: "${{ stages.migrate.revision }}", N: "${{ stages.migrate.notes }}"}
    test: echo "$R $N"
`)
	if result.Ending != pipeline.Delivered {
		t.Fatalf("got %+v", result)
	}
	if d := cmp.Diff([]string{"42=x a", "b=c"}, rec.lines()); d != "" {
		t.Errorf("printed (-want +got):\n%s", d)
	}
}

func TestRunStageMissesAnOutput(t *testing.T) {
	result, _ := newShellRun().run(t.Context(), t, "  - {name: m, run: {run: ':', outputs: [revision]}}\n")
	if !strings.Contains(result.Reason, `did not give out "revision"`) {
		t.Errorf("got %+v", result)
	}
}

func TestRunStageIsUndoneFromTheJournal(t *testing.T) {
	dir := t.TempDir()
	r := newShellRun()
	r.secrets = map[string]string{"token": "hunter2"}
	result, _ := r.run(t.Context(), t, `
  - name: migrate
    env: {SECRET: "${{ secrets.token }}", PLAIN: "p q"}
    run: {run: 'test $SECRET = hunter2; touch up', undo: 'rm up; echo "$PLAIN ${SECRET-none}" >down', dir: `+dir+`}
  - name: broken
    test: "false"
`)
	if result.Ending != pipeline.FailedRolledBack {
		t.Errorf("got %+v, want rolled back", result)
	}
	if _, err := os.Stat(filepath.Join(dir, "up")); err == nil {
		t.Error("the command was not undone")
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "down")); string(b) != "p q none\n" {
		t.Errorf("the undo's environment: got %q, want it without the secret", b)
	}
	events, err := r.store.Peek(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fmt.Sprintf("%+v", events), "hunter2") {
		t.Error("the journal holds a secret")
	}
}

func TestRunStageWhoseUndoFailsNeedsAPerson(t *testing.T) {
	u := stages.Undoers(newShellRun().parts)["run"]
	err := u.Undo(t.Context(), pipeline.Thing{Kind: "run", Name: "m"}, []byte(`{"args":["sh","-c","echo why; exit 4"]}`), false)
	exit, ok := errors.AsType[*stages.ExitError](err)
	if !ok || exit.Code != 4 || !strings.HasSuffix(err.Error(), ": why") {
		t.Errorf("got %v, want the exit code and the last lines", err)
	}
	for _, was := range []string{"", "null", "{}", `{"args":3}`} {
		if err := u.Undo(t.Context(), pipeline.Thing{Kind: "run", Name: "m"}, []byte(was), false); err == nil {
			t.Errorf("undo by %q worked", was)
		}
	}
}

func TestCommitKeepsWhatWasBeforeIt(t *testing.T) {
	dir := t.TempDir()
	result, _ := newShellRun().run(t.Context(), t, `
  - {name: migrate, run: {run: touch up, undo: rm up, dir: `+dir+`}}
  - {name: done, commit: {}}
  - {name: broken, test: "false"}
`)
	if _, err := os.Stat(filepath.Join(dir, "up")); err != nil || result.Ending == pipeline.Delivered {
		t.Errorf("got %+v, %v, want it to stay", result, err)
	}
}
