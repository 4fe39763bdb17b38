//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/joshdk/go-junit"
	"sigs.k8s.io/yaml"
)

// checkout is a folder with a pipeline file where the examples expect it, and
// a headgate that scripts find. Every user may go in and run it.
type checkout struct{ dir, bin string }

func newCheckout(t *testing.T) checkout {
	t.Helper()
	dir := t.TempDir()
	c := checkout{dir: filepath.Join(dir, "work"), bin: filepath.Join(dir, "bin")}
	for _, d := range []string{filepath.Dir(dir), dir, c.bin, c.dir, filepath.Join(c.dir, "deploy")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o777); err != nil { // whatever the mask is
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(c.bin, "headgate")
	if os.Link(self, binary) != nil { // on another file system
		text, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(binary, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"headgate.yaml", filepath.Join("deploy", "headgate.yaml")} {
		text := "version: 1\nname: shop\nstages:\n  - name: image\n    run: {run: 'echo ref=r.example/shop@sha256:1 > \"$HEADGATE_OUTPUT\"', outputs: [ref]}\n"
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// run runs a line by a shell, as a user with no place of their own.
func (c checkout) run(t *testing.T, line string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-xe", "-c", line)
	cmd.Dir = c.dir
	cmd.Env = append([]string{"PATH=" + c.bin + ":/usr/local/bin:/usr/bin:/bin", "GORACE=atexit_sleep_ms=0", "CI=true"}, env...)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Errorf("%s: exit code %d\n%s", line, exit.ExitCode(), out)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// read returns a file that a command has written.
func (c checkout) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Error(err)
	}
	return text
}

// reported fails the test where the reports are not what a CI reads.
func (c checkout) reported(t *testing.T) {
	t.Helper()
	suites, err := junit.Ingest(c.read(t, "headgate.xml"))
	if err != nil || len(suites) != 1 || suites[0].Totals.Passed != 1 {
		t.Errorf("JUnit: got %+v, %v", suites, err)
	}
	if text := c.read(t, "headgate.jsonl"); !strings.Contains(string(text), `"type":"run-ended"`) {
		t.Errorf("JSON: got %s", text)
	}
}

func TestGitLabExamplesRun(t *testing.T) {
	for _, file := range []string{".gitlab-ci.yml", "templates/deliver.yml"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			c := newCheckout(t)
			text, err := os.ReadFile(filepath.Join("../../examples/gitlab", file))
			if err != nil {
				t.Fatal(err)
			}
			docs := strings.Split(string(text), "\n---\n")
			var jobs map[string]any
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(docs[len(docs)-1], "$[[", "[[")), &jobs); err != nil {
				t.Fatal(err)
			}
			env := []string{"GITLAB_CI=true", "CI_JOB_ID=991", "CI_COMMIT_SHA=c0ffee", "CI_PROJECT_DIR=" + c.dir}
			var out strings.Builder
			for _, job := range []string{"check", "deliver", "[[ inputs.job ]]"} {
				keys, _ := jobs[job].(map[string]any)
				for _, key := range []string{"script", "after_script"} {
					lines, _ := keys[key].([]any)
					for _, line := range lines {
						out.WriteString(c.run(t, line.(string), env...))
					}
				}
			}
			c.reported(t)
			log := out.String()
			if !regexp.MustCompile(`section_start:\d+:headgate_1_image\r`).MatchString(log) || !strings.Contains(log, "nothing is unfinished") {
				t.Errorf("the log is not as it is for GitLab:\n%s", log)
			}
			if got, want := string(c.read(t, "headgate.env")), "HEADGATE_RESULT=delivered\nHEADGATE_RESULT_EXIT_CODE=0\nHEADGATE_RESULT_RUN_ID=991\nHEADGATE_OUTPUT_IMAGE_REF=r.example/shop@sha256:1\n"; got != want {
				t.Errorf("got variables\n%swant\n%s", got, want)
			}
		})
	}
}

// Jenkins runs a container as a user that nobody has heard of, without a
// home, or with one that is not theirs.
func TestTheJenkinsfileRunsWithoutHome(t *testing.T) {
	text, err := os.ReadFile("../../examples/jenkins/Jenkinsfile")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`\bsh '([^']+)'`).FindAllStringSubmatch(string(text), -1)
	if len(commands) != 4 {
		t.Fatalf("got commands %q, want 4", commands)
	}
	for _, home := range []string{"", "HOME=/", "HOME=/nonexistent"} {
		t.Run(home, func(t *testing.T) {
			t.Parallel()
			c := newCheckout(t)
			env := []string{"JENKINS_URL=https://ci.example/", "BUILD_TAG=jenkins-shop-12", "BUILD_NUMBER=12", "WORKSPACE=" + c.dir}
			if home != "" {
				env = append(env, home)
			}
			var out strings.Builder
			for _, m := range commands {
				out.WriteString(c.run(t, m[1], env...))
			}
			c.reported(t)
			log := out.String()
			if !strings.Contains(log, "run jenkins-shop-12 of shop") || strings.Contains(log, "\x1b") {
				t.Errorf("the log is not as it is for Jenkins:\n%s", log)
			}
		})
	}
}
