package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trivial writes a pipeline file with one stage and returns its path.
func trivial(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "headgate.yaml")
	text := "version: 1\nname: trivial\nstages:\n  - name: unit\n    test: {run: \"" + script + "\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTwoReportsAreNotWrittenToOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.out")
	_, stderr, code := run(t, nil, "run", trivial(t, "true"), "--journal", "memory", "--report", "junit="+path, "--report", "json="+filepath.Dir(path)+"/./run.out")
	if code != 2 || !strings.Contains(stderr, "more than one report goes to") {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

// Later steps depend on the outputs, however the log is to look.
func TestTheOutputsOfAStepAreSetWithEveryLog(t *testing.T) {
	for _, flags := range [][]string{nil, {"--quiet"}, {"--json"}, {"--report", "plain"}, {"--report", "json"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			dir := t.TempDir()
			env := map[string]string{
				"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7",
				"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"),
			}
			if _, stderr, code := run(t, env, append([]string{"run", trivial(t, "exit 3"), "--journal", "memory"}, flags...)...); code != 1 {
				t.Fatalf("ended with %d: %s", code, stderr)
			}
			outputs, err := os.ReadFile(env["GITHUB_OUTPUT"])
			if err != nil || strings.Count(string(outputs), "result<<") != 1 || !strings.Contains(string(outputs), "\nfailed\n") {
				t.Errorf("outputs: %v\n%s", err, outputs)
			}
			summary, err := os.ReadFile(env["GITHUB_STEP_SUMMARY"])
			if err != nil || strings.Count(string(summary), "\n## ")+1 != 1 || !strings.Contains(string(summary), "trivial") {
				t.Errorf("summary: %v\n%s", err, summary)
			}
		})
	}
}

func TestEveryReportThatIsNotCompleteIsNamed(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7",
		"GITHUB_OUTPUT": filepath.Join(dir, "none", "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "none", "summary"),
	}
	_, stderr, code := run(t, env, "run", trivial(t, "true"), "--journal", "memory")
	if code != 0 || !strings.Contains(stderr, "output: ") || !strings.Contains(stderr, "summary: ") {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

// What an error quotes of others neither commands a runner nor a terminal.
func TestErrorsAreHarmless(t *testing.T) {
	_, stderr, code := run(t, map[string]string{"GITHUB_ACTIONS": "true"}, "validate", "none\n ::set-output name=result::delivered\x1b[2J\n##[error]x")
	if code != 2 || strings.ContainsAny(stderr, "\x1b") || strings.Contains(stderr, "##[") {
		t.Errorf("ended with %d: %q", code, stderr)
	}
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			t.Errorf("a command: %q", line)
		}
	}
}
