package cli_test

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
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
		{"Jenkins, pull request, no URL of the controller", map[string]string{
			"BUILD_TAG": "jenkins-shop-PR-7-3", "BUILD_NUMBER": "3", "GIT_COMMIT": "c0ffee", "BRANCH_NAME": "PR-7", "CHANGE_BRANCH": "fix",
		}, pipeline.Info{ID: "jenkins-shop-PR-7-3", Number: "3", Commit: "c0ffee", Branch: "fix"}},
		{"Buildkite", map[string]string{
			"BUILDKITE": "true", "BUILDKITE_JOB_ID": "01-ab", "BUILDKITE_BUILD_NUMBER": "5", "BUILDKITE_COMMIT": "c0ffee", "BUILDKITE_BRANCH": "main", "BUILDKITE_BUILD_URL": "https://b.example/5",
		}, pipeline.Info{ID: "01-ab", Number: "5", Commit: "c0ffee", Branch: "main", URL: "https://b.example/5"}},
		{"CircleCI", map[string]string{
			"CIRCLECI": "true", "CIRCLE_WORKFLOW_JOB_ID": "77-cd", "CIRCLE_BUILD_NUM": "6", "CIRCLE_SHA1": "c0ffee", "CIRCLE_BRANCH": "main", "CIRCLE_BUILD_URL": "https://c.example/6",
		}, pipeline.Info{ID: "77-cd", Number: "6", Commit: "c0ffee", Branch: "main", URL: "https://c.example/6"}},
		{"Azure Pipelines", map[string]string{
			"TF_BUILD": "True", "BUILD_BUILDID": "900", "SYSTEM_JOBATTEMPT": "2", "BUILD_SOURCEVERSION": "c0ffee", "BUILD_SOURCEBRANCH": "refs/heads/main",
			"SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://a.example/acme/", "SYSTEM_TEAMPROJECT": "shop",
		}, pipeline.Info{ID: "900.2", Number: "900", Commit: "c0ffee", Branch: "main", URL: "https://a.example/acme/shop/_build/results?buildId=900"}},
		{"Woodpecker", map[string]string{
			"CI": "woodpecker", "CI_REPO": "acme/shop", "CI_PIPELINE_NUMBER": "8", "CI_WORKFLOW_NAME": "deploy", "CI_COMMIT_SHA": "c0ffee", "CI_COMMIT_BRANCH": "main", "CI_PIPELINE_URL": "https://w.example/8",
		}, pipeline.Info{ID: "acme/shop-8-deploy", Number: "8", Commit: "c0ffee", Branch: "main", URL: "https://w.example/8"}},
		{"Bitbucket", map[string]string{
			"BITBUCKET_BUILD_NUMBER": "9", "BITBUCKET_STEP_UUID": "{ab}", "BITBUCKET_COMMIT": "c0ffee", "BITBUCKET_BRANCH": "main", "BITBUCKET_GIT_HTTP_ORIGIN": "https://b.example/acme/shop",
		}, pipeline.Info{ID: "9-{ab}", Number: "9", Commit: "c0ffee", Branch: "main", URL: "https://b.example/acme/shop/pipelines/results/9"}},
		{"what is said is stronger than what is found", map[string]string{
			"GITLAB_CI": "true", "CI_JOB_ID": "991", "CI_COMMIT_SHA": "c0ffee",
			"HEADGATE_COMMIT": "decaf0", "HEADGATE_BRANCH": "main", "HEADGATE_RUN_NUMBER": "3", "HEADGATE_RUN_URL": "https://x.example/3",
		}, pipeline.Info{ID: "991", Number: "3", Commit: "decaf0", Branch: "main", URL: "https://x.example/3"}},
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
	inside := filepath.Join(dir, "deploy", "headgate.yaml")
	for _, tc := range []struct{ here, folder, file, want string }{
		{"GITHUB_ACTIONS", "GITHUB_WORKSPACE", inside, "deploy/headgate.yaml"},
		{"GITHUB_ACTIONS", "GITHUB_WORKSPACE", "/elsewhere/headgate.yaml", "/elsewhere/headgate.yaml"},
		{"GITLAB_CI", "CI_PROJECT_DIR", inside, "deploy/headgate.yaml"},
		{"JENKINS_URL", "WORKSPACE", inside, "deploy/headgate.yaml"},
		{"NONE", "WORKSPACE", inside, inside}, // on a laptop it is somebody's own variable
	} {
		env := map[string]string{tc.here: "true", tc.folder: dir}
		if got := cli.FileInRepository(env, tc.file); got != tc.want {
			t.Errorf("FileInRepository(%q, %q) = %q, want %q", env, tc.file, got, tc.want)
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

// What a run hands to later jobs must not be taken for flags there.
func TestVariablesForLaterJobsAreNoFlags(t *testing.T) {
	for _, name := range commands {
		out, _, _ := run(t, nil, append(strings.Fields(name), "--help")...)
		for _, twin := range regexp.MustCompile(`HEADGATE_[A-Z_]+`).FindAllString(out, -1) {
			if strings.HasPrefix(twin, "HEADGATE_RESULT") || strings.HasPrefix(twin, "HEADGATE_OUTPUT") {
				t.Errorf("%s stands for a flag of %q, and for what a run gave out", twin, name)
			}
		}
	}
}
