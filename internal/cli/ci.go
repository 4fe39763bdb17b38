package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// detectRun says which run this is, by what the CI tells, or, on a laptop, by
// the time and what git says of the folder dir.
func (a *app) detectRun(ctx context.Context, dir string) pipeline.Info {
	env := a.Getenv
	var info pipeline.Info
	switch {
	case env("GITHUB_ACTIONS") == "true":
		info = pipeline.Info{
			ID: join(".", env("GITHUB_RUN_ID"), env("GITHUB_RUN_ATTEMPT")), Number: env("GITHUB_RUN_NUMBER"),
			Commit: env("GITHUB_SHA"), Branch: first(env("GITHUB_HEAD_REF"), env("GITHUB_REF_NAME")),
			URL: githubURL(env),
		}
	case env("GITLAB_CI") == "true":
		info = pipeline.Info{
			ID: env("CI_JOB_ID"), Number: env("CI_PIPELINE_IID"),
			Commit: env("CI_COMMIT_SHA"), Branch: env("CI_COMMIT_REF_NAME"), URL: env("CI_JOB_URL"),
		}
	case env("JENKINS_URL") != "" || env("BUILD_TAG") != "" && env("BUILD_URL") != "":
		info = pipeline.Info{
			ID: first(env("BUILD_TAG"), env("BUILD_ID")), Number: env("BUILD_NUMBER"),
			Commit: env("GIT_COMMIT"), Branch: first(env("BRANCH_NAME"), strings.TrimPrefix(env("GIT_BRANCH"), "origin/")), URL: env("BUILD_URL"),
		}
	}
	if info.ID == "" {
		info.ID = "local-" + time.Now().UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:6])
	}
	if info.Commit == "" {
		info.Commit = git(ctx, dir, "rev-parse", "--verify", "HEAD")
	}
	if info.Branch == "" {
		info.Branch = git(ctx, dir, "symbolic-ref", "--short", "-q", "HEAD")
	}
	return info
}

func githubURL(env func(string) string) string {
	if env("GITHUB_SERVER_URL") == "" || env("GITHUB_REPOSITORY") == "" || env("GITHUB_RUN_ID") == "" {
		return ""
	}
	url := env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY") + "/actions/runs/" + env("GITHUB_RUN_ID")
	if attempt := env("GITHUB_RUN_ATTEMPT"); attempt != "" {
		url += "/attempts/" + attempt
	}
	return url
}

// gitTime bounds a question to git, which is asked for convenience only.
const gitTime = 2 * time.Second

// git returns the answer of a git command, "" when there is none.
func git(ctx context.Context, dir string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, gitTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = filepath.Clean(dir)
	cmd.WaitDelay = gitTime
	var out bytes.Buffer
	cmd.Stdout = &out
	if cmd.Run() != nil || out.Len() > 1<<10 {
		return ""
	}
	return strings.TrimSpace(out.String())
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// join joins the values that are not empty.
func join(by string, values ...string) string {
	var there []string
	for _, v := range values {
		if v != "" {
			there = append(there, v)
		}
	}
	return strings.Join(there, by)
}

// fileInRepository returns the path of a file as annotations need it:
// relative to the repository's root where the CI says which that is.
func (a *app) fileInRepository(file string) string {
	root := first(a.Getenv("GITHUB_WORKSPACE"), a.Getenv("CI_PROJECT_DIR"), a.Getenv("WORKSPACE"))
	if root == "" {
		return file
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return file
	}
	return filepath.ToSlash(rel)
}
