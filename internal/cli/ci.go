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
// the time and what git says of the folder dir. HEADGATE_COMMIT and the like
// are stronger than both: they are for a CI that is not known here.
func (a *app) detectRun(ctx context.Context, dir string) pipeline.Info {
	env := a.Getenv
	var found pipeline.Info
	if c := a.ci(); c.run != nil {
		found = c.run(env)
	}
	info := pipeline.Info{
		ID: found.ID, Number: first(env("HEADGATE_RUN_NUMBER"), found.Number), Commit: first(env("HEADGATE_COMMIT"), found.Commit),
		Branch: first(env("HEADGATE_BRANCH"), found.Branch), URL: first(env("HEADGATE_RUN_URL"), found.URL),
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

// ci returns the CI that this process runs in; the zero value is none that is
// known.
func (a *app) ci() ci {
	for _, c := range knownCI() {
		if c.here(a.Getenv) {
			return c
		}
	}
	return ci{}
}

// checkout returns the folder that the CI checked the repository out to, "" where
// it does not say.
func (a *app) checkout() string {
	if c := a.ci(); c.folder != "" {
		return a.Getenv(c.folder)
	}
	return ""
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
	root := a.checkout()
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
