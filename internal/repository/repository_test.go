package repository_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"sigs.k8s.io/yaml"
)

var root = filepath.Join("..", "..")

func workflows(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	return files
}

func TestWorkflowsAreRight(t *testing.T) {
	linter, err := actionlint.NewLinter(os.Stderr, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	project, err := actionlint.NewProject(root)
	if err != nil {
		t.Fatal(err)
	}
	mistakes, err := linter.LintFiles(workflows(t), project)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Error(m)
	}
}

func TestWorkflowsAskForLittle(t *testing.T) {
	for _, path := range workflows(t) {
		var w struct {
			Permissions map[string]string `json:"permissions"`
			Jobs        map[string]struct {
				TimeoutMinutes int    `json:"timeout-minutes"`
				Uses           string `json:"uses"`
			} `json:"jobs"`
		}
		decode(t, path, &w)
		for name, value := range w.Permissions {
			if value != "read" && value != "none" {
				t.Errorf("%s: all jobs may %s %s", path, value, name)
			}
		}
		if w.Permissions == nil {
			t.Errorf("%s: permissions are not limited", path)
		}
		for name, job := range w.Jobs {
			if job.TimeoutMinutes == 0 && job.Uses == "" {
				t.Errorf("%s: job %s has no timeout", path, name)
			}
		}
	}
}

// action is action.yml, as far as it is looked at.
type action struct {
	Inputs  map[string]struct{ Description string }
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []step
	}
}

type step struct {
	ID, If, Shell, Run, Uses string
	Env                      map[string]string
}

func TestTheActionPassesInputsAsEnvironment(t *testing.T) {
	var a action
	decode(t, filepath.Join(root, "action.yml"), &a)
	if a.Runs.Using != "composite" {
		t.Errorf("it runs using %q", a.Runs.Using)
	}
	var used strings.Builder
	for _, s := range a.Runs.Steps {
		if strings.Contains(s.Run, "${{") {
			t.Errorf("step %s: an expression in a script becomes part of the script: %s", s.ID, s.Run)
		}
		if s.Run != "" && (s.Shell != "bash" || !strings.HasPrefix(s.Run, "exec ")) {
			t.Errorf("step %s: without bash and exec the runner's signals do not arrive: %s", s.ID, s.Run)
		}
		for _, v := range s.Env {
			used.WriteString(v + "\n")
		}
		used.WriteString(s.If)
	}
	for name, in := range a.Inputs {
		if in.Description == "" {
			t.Errorf("input %s has no description", name)
		}
		if !strings.Contains(used.String(), "inputs."+name) && name != "working-directory" {
			t.Errorf("input %s is not used", name)
		}
	}
	ids := regexp.MustCompile(`steps\.([a-z]+)\.`)
	for name, out := range a.Outputs {
		m := ids.FindStringSubmatch(out.Value)
		known := slices.ContainsFunc(a.Runs.Steps, func(s step) bool { return m != nil && s.ID == m[1] })
		if !known {
			t.Errorf("output %s is of no step: %s", name, out.Value)
		}
	}
}

func TestChangesHaveTheirForm(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "changelog", "unreleased", "*"))
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^((Added|Changed|Fixed|Removed|Security): \S[^\n]+\n)+$`)
	for _, path := range files {
		if !strings.HasSuffix(path, ".md") || !form.MatchString(read(t, path)) {
			t.Errorf("%s: want lines such as \"Added: what it is\"; see changelog/README.md", path)
		}
	}
}

func TestScriptsCanBeRun(t *testing.T) {
	for _, name := range []string{".ci/run", ".github/release-notes", "action/install", "test/with-cluster"} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", name)
		}
		if text := read(t, filepath.Join(root, name)); !strings.Contains(text, "set -euo pipefail") {
			t.Errorf("%s goes on after a failing command", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
