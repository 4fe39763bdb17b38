package cli_test

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/headgate-dev/headgate/internal/cli"
	"github.com/headgate-dev/headgate/pipeline"
)

func TestTheCITellsWhichRunItIs(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want pipeline.Info
	}{
		{"GitHub", map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "8412", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_RUN_NUMBER": "231", "GITHUB_SHA": "c0ffee",
			"GITHUB_REF_NAME": "main", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/shop",
		}, pipeline.Info{ID: "8412.2", Number: "231", Commit: "c0ffee", Branch: "main", URL: "https://github.com/acme/shop/actions/runs/8412/attempts/2"}},
		{"GitHub, pull request", map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "8412", "GITHUB_SHA": "c0ffee", "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "fix",
		}, pipeline.Info{ID: "8412", Commit: "c0ffee", Branch: "fix"}},
		{"GitLab", map[string]string{
			"GITLAB_CI": "true", "CI_JOB_ID": "991", "CI_PIPELINE_IID": "17", "CI_COMMIT_SHA": "c0ffee", "CI_COMMIT_REF_NAME": "main", "CI_JOB_URL": "https://gitlab.example/-/jobs/991",
		}, pipeline.Info{ID: "991", Number: "17", Commit: "c0ffee", Branch: "main", URL: "https://gitlab.example/-/jobs/991"}},
		{"Jenkins", map[string]string{
			"JENKINS_URL": "https://ci.example", "BUILD_TAG": "jenkins-shop-12", "BUILD_NUMBER": "12", "GIT_COMMIT": "c0ffee", "GIT_BRANCH": "origin/main", "BUILD_URL": "https://ci.example/job/shop/12/",
		}, pipeline.Info{ID: "jenkins-shop-12", Number: "12", Commit: "c0ffee", Branch: "main", URL: "https://ci.example/job/shop/12/"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, cli.DetectRun(tc.env, t.TempDir())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOnALaptopGitTellsTheCommit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	info := cli.DetectRun(nil, dir)
	if !strings.HasPrefix(info.ID, "local-") || info.Commit != "" {
		t.Errorf("without a repository: got %+v", info)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "trunk"},
		{"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "x"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	again := cli.DetectRun(nil, dir)
	if len(again.Commit) != 40 || again.Branch != "trunk" || again.ID == info.ID {
		t.Errorf("in a repository: got %+v", again)
	}
}

func TestFileInRepository(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"GITHUB_WORKSPACE": dir}
	for _, tc := range []struct{ file, want string }{
		{filepath.Join(dir, "deploy", "headgate.yaml"), "deploy/headgate.yaml"},
		{"/elsewhere/headgate.yaml", "/elsewhere/headgate.yaml"},
	} {
		if got := cli.FileInRepository(env, tc.file); got != tc.want {
			t.Errorf("FileInRepository(%q) = %q, want %q", tc.file, got, tc.want)
		}
	}
}

func TestErrorsBecomeExitCodesInOnePlace(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want pipeline.Ending
	}{
		{nil, pipeline.Delivered},
		{errors.New("x"), pipeline.FailedUnchanged},
		{fmt.Errorf("open journal: %w", pipeline.ErrLocked), pipeline.Locked},
		{fmt.Errorf("append: %w", pipeline.ErrLockLost), pipeline.Locked},
		{pipeline.ErrCancelled, pipeline.CancelledInt},
	} {
		if got := cli.EndingOf(tc.err); got != tc.want {
			t.Errorf("EndingOf(%v) = %v, want %v", tc.err, got, tc.want)
		}
	}
}
