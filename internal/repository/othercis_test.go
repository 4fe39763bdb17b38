package repository_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// gitlabJob is what matters of a job that delivers.
type gitlabJob struct {
	Image struct {
		Name       string
		Entrypoint []string
	}
	Script      []string
	AfterScript []string `json:"after_script"`
	Environment struct{ Name string }
	Resource    string `json:"resource_group"`
	// Interruptible is a pointer, since the default is what must not be.
	Interruptible *bool
	Timeout       string
	Variables     map[string]string
	Artifacts     struct {
		When    string
		Reports map[string]string
	}
}

func TestGitLabExamplesAreSafe(t *testing.T) {
	component := read(t, filepath.Join(root, "examples", "gitlab", "templates", "deliver.yml"))
	head, body, ok := strings.Cut(component, "\n---\n")
	if !ok {
		t.Fatal("a component has two documents")
	}
	var plain map[string]any
	decode(t, filepath.Join(root, "examples", "gitlab", ".gitlab-ci.yml"), &plain)
	for name, job := range map[string]any{"component": oneJob(t, head, body), "plain": plain["deliver"]} {
		t.Run(name, func(t *testing.T) {
			text, err := yaml.Marshal(job)
			if err != nil {
				t.Fatal(err)
			}
			var j gitlabJob
			if err := yaml.Unmarshal(text, &j); err != nil {
				t.Fatal(err)
			}
			if j.Interruptible == nil || *j.Interruptible || j.Resource == "" || j.Environment.Name == "" || j.Timeout == "" {
				t.Errorf("one at a time, with an end, and cancelled by nobody: got %+v", j)
			}
			if len(j.Script) != 1 || !strings.HasPrefix(j.Script[0], "exec headgate run ") {
				t.Errorf("without exec the signal of a cancelled job does not arrive: %q", j.Script)
			}
			if len(j.AfterScript) != 1 || !strings.HasPrefix(j.AfterScript[0], "headgate recover") {
				t.Errorf("it does not recover: %q", j.AfterScript)
			}
			if j.Variables["RUNNER_SCRIPT_TIMEOUT"] == "" || j.Variables["RUNNER_AFTER_SCRIPT_TIMEOUT"] == "" {
				t.Errorf("a job that takes too long leaves no time to recover: %q", j.Variables)
			}
			if j.Artifacts.When != "always" {
				t.Errorf("reports of a failed job are lost: %+v", j.Artifacts)
			}
			for _, kind := range []string{"junit", "dotenv"} {
				if !strings.Contains(j.Script[0], "--report "+kind+"="+j.Artifacts.Reports[kind]+" ") {
					t.Errorf("%s: GitLab takes %q, and the command is %q", kind, j.Artifacts.Reports[kind], j.Script[0])
				}
			}
		})
	}
}

var input = regexp.MustCompile(`\$\[\[ inputs\.([a-z-]+) \]\]`)

// oneJob is the job of a component with the defaults of its inputs.
func oneJob(t *testing.T, head, body string) any {
	t.Helper()
	var spec struct {
		Spec struct {
			Inputs map[string]struct {
				Description string
				Default     *string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(head), &spec); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	body = input.ReplaceAllStringFunc(body, func(s string) string {
		name := input.FindStringSubmatch(s)[1]
		used[name] = true
		in, ok := spec.Spec.Inputs[name]
		if !ok || in.Default == nil || in.Description == "" {
			t.Errorf("input %s has no default or no description", name)
			return ""
		}
		return *in.Default
	})
	for name := range spec.Spec.Inputs {
		if !used[name] {
			t.Errorf("input %s is not used", name)
		}
	}
	for line := range strings.Lines(component(body)) {
		if strings.Contains(line, "$[[") {
			t.Errorf("an input in a script becomes part of the script: %s", line)
		}
	}
	var jobs map[string]any
	if err := yaml.Unmarshal([]byte(body), &jobs); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 1 {
		t.Fatalf("got jobs %q, want one", slices.Sorted(maps.Keys(jobs)))
	}
	return slices.Collect(maps.Values(jobs))[0]
}

// component returns the lines that shells run.
func component(body string) string {
	_, scripts, _ := strings.Cut(body, "\n  script:\n")
	scripts, _, _ = strings.Cut(scripts, "\n  artifacts:")
	return scripts
}

func TestTheJenkinsfileIsSafe(t *testing.T) {
	text := read(t, filepath.Join(root, "examples", "jenkins", "Jenkinsfile"))
	var open []rune
	pairs := map[rune]rune{'}': '{', ')': '(', ']': '['}
	quoted := false
	for i, line := range strings.Split(text, "\n") {
		code, _, _ := strings.Cut(line, " // ")
		if strings.HasPrefix(strings.TrimSpace(code), "//") {
			continue
		}
		for _, r := range code {
			switch {
			case r == '\'':
				quoted = !quoted
			case quoted:
			case strings.ContainsRune("{([", r):
				open = append(open, r)
			case pairs[r] != 0:
				if len(open) == 0 || open[len(open)-1] != pairs[r] {
					t.Fatalf("line %d: %q closes nothing", i+1, r)
				}
				open = open[:len(open)-1]
			}
		}
		if quoted {
			t.Fatalf("line %d: a string does not end", i+1)
		}
	}
	if len(open) > 0 {
		t.Errorf("%q is not closed", open)
	}
	if strings.Contains(text, `"`) {
		t.Error("strings in double quotes are filled in by Groovy, secrets too")
	}
	last := 0
	for _, want := range []string{
		"pipeline {", "agent {", "disableConcurrentBuilds()", "timeout(", "credentials('kubeconfig')", "stage('deliver')",
		"sh 'exec headgate run ", "post {", "always {", "sh 'headgate recover ", "junit testResults: 'headgate.xml', allowEmptyResults: true",
	} {
		at := strings.Index(text[last:], want)
		if at < 0 {
			t.Fatalf("there is no %q behind what must come before it", want)
		}
		last += at
	}
}
