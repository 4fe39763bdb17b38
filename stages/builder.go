package stages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headgate-dev/headgate/pipeline"
)

// builders are the tools that can build, the preferred one first.
var builders = [...]string{"docker", "podman", "buildah"}

// builder returns the tool to build with: the one named, or the first that is
// there and answers.
func (b *BuildStage) builder(ctx context.Context) (string, error) {
	if tool := b.Tool.Value; tool != "" {
		return tool, b.works(ctx, tool)
	}
	var why []error
	for _, tool := range builders {
		err := b.works(ctx, tool)
		if err == nil {
			return tool, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		why = append(why, err)
	}
	return "", fmt.Errorf("find a tool to build images: %w", errors.Join(why...))
}

// works reports why a tool cannot be used. A docker client is often there
// without an engine to talk to, so it is asked.
func (b *BuildStage) works(ctx context.Context, tool string) error {
	if _, err := b.parts.Commands.Find(tool); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, &TimeoutError{10 * time.Second})
	defer cancel()
	args := []string{tool, "info"}
	if tool == "docker" {
		// With a format, a client that reaches no engine fails for certain.
		args = []string{tool, "version", "--format", "{{.Server.Version}}"}
	}
	var last string
	err := b.parts.Commands.Run(ctx, Command{Args: args, Output: func(line string) {
		if line = oneLine(line, 300); line != "" {
			last = line
		}
	}})
	if err != nil && last != "" {
		return fmt.Errorf("ask %s: %w: %s", tool, err, last)
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", tool, err)
	}
	return nil
}

// buildJob is one build with one tool.
type buildJob struct {
	stage    *BuildStage
	commands Commands
	tool     string
	// image is the name as the file has it, ref the same with the tag.
	image, ref string
	local      bool // the registry is on this machine
	args       []string
	env        []string
	dir        string // holds secrets and what the tool writes for us
	output     func(line string)
}

// job evaluates the stage for one tool. The caller must clean it.
func (b *BuildStage) job(s *pipeline.Scope, ref name.Tag, tool string) (*buildJob, error) {
	env, err := s.Environ()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(privateDir(), "headgate-build-")
	if err != nil {
		return nil, fmt.Errorf("make folder for the build: %w", err)
	}
	j := &buildJob{
		stage: b, commands: b.parts.Commands, tool: tool, dir: dir, env: env,
		image: imageOf(ref), ref: ref.String(), local: loopback(ref.RegistryStr()),
		output: func(line string) { s.Emit(pipeline.Event{Type: pipeline.Output, Message: line}) },
	}
	if err := errors.Join(j.addArgs(s), j.addSecrets(s)); err != nil {
		j.clean()
		return nil, err
	}
	if tool == "buildah" {
		j.env = append(j.env, isolation()...)
	}
	return j, nil
}

// privateDir returns a folder in memory where there is one, so that secrets
// do not reach a disk; "" is the usual place.
func privateDir() string {
	const shm = "/dev/shm"
	if f, err := os.CreateTemp(shm, "headgate-"); err == nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return shm
	}
	return ""
}

func (j *buildJob) clean() { _ = os.RemoveAll(j.dir) }

// isolation chooses how buildah runs the commands of a Dockerfile. As root, in
// CI, it nearly always stands in a container and may not make namespaces, so
// it gets chroot; what BUILDAH_ISOLATION says is left as it is.
func isolation() []string {
	if os.Getenv("BUILDAH_ISOLATION") != "" || os.Geteuid() != 0 {
		return nil
	}
	return []string{"BUILDAH_ISOLATION=chroot"}
}

// loopback reports whether a registry is on this machine, where it is usual
// that it speaks plain HTTP.
func loopback(registry string) bool {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		host = registry
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// addArgs puts the stage's settings together, but for the secrets.
func (j *buildJob) addArgs(s *pipeline.Scope) error {
	b := j.stage
	j.args = []string{"--file", b.dockerfile()}
	if b.Target.Value != "" {
		j.args = append(j.args, "--target", b.Target.Value)
	}
	for key, value := range b.Args.All() {
		text, err := s.Text(value, nil)
		if err != nil {
			return fmt.Errorf("evaluate args %s: %w", key, err)
		}
		j.args = append(j.args, "--build-arg", key+"="+text)
	}
	if len(b.Platforms) > 0 {
		var all []string
		for _, p := range b.Platforms {
			all = append(all, p.Value)
		}
		j.args = append(j.args, "--platform", strings.Join(all, ","))
	}
	return nil
}

// addSecrets writes each secret to a file that only this user can read.
func (j *buildJob) addSecrets(s *pipeline.Scope) error {
	n := 0
	for id, value := range j.stage.Secrets.All() {
		text, err := s.Text(value, nil)
		if err != nil {
			return fmt.Errorf("evaluate secrets %s: %w", id, err)
		}
		n++
		path := filepath.Join(j.dir, fmt.Sprintf("secret-%d", n))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write build secret %s: %w", id, err)
		}
		j.args = append(j.args, "--secret", "id="+id+",src="+path)
	}
	return nil
}

// run runs the tool; lines are shown and given to also, if that is set.
func (j *buildJob) run(ctx context.Context, also func(line string), args ...string) error {
	return j.commands.Run(ctx, Command{
		Args: append([]string{j.tool}, args...), Env: j.env, Grace: 10 * time.Second,
		Output: func(line string) {
			j.output(line)
			if also != nil {
				also(line)
			}
		},
	})
}

// build builds and pushes, and returns the digest of what was pushed.
func (j *buildJob) build(ctx context.Context) (string, error) {
	if j.tool == "docker" {
		return j.docker(ctx)
	}
	return j.podman(ctx)
}

var (
	pushedDigest = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bdigest: (sha256:[0-9a-f]{64})\b`) })
	wholeDigest  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^sha256:[0-9a-f]{64}$`) })
)

// docker builds with BuildKit. An image for several platforms cannot be kept
// in the engine's own store, so it is pushed by the build.
func (j *buildJob) docker(ctx context.Context) (string, error) {
	j.env = append(j.env, "DOCKER_BUILDKIT=1", "BUILDKIT_PROGRESS=plain")
	if len(j.stage.Platforms) > 1 {
		return j.buildx(ctx)
	}
	args := append([]string{"build", "--tag", j.ref}, j.args...)
	if err := j.run(ctx, nil, append(args, j.stage.Context.Value)...); err != nil {
		return "", err
	}
	if !j.stage.Push.Value {
		return "", nil
	}
	var digest string
	err := j.run(ctx, func(line string) {
		if m := pushedDigest().FindStringSubmatch(line); m != nil {
			digest = m[1]
		}
	}, "push", j.ref)
	if err == nil && digest == "" {
		err = errors.New("docker push named no digest")
	}
	return digest, err
}

func (j *buildJob) buildx(ctx context.Context) (string, error) {
	file := filepath.Join(j.dir, "metadata.json")
	args := append([]string{"buildx", "build", "--tag", j.ref, "--push", "--metadata-file", file}, j.args...)
	if err := j.run(ctx, nil, append(args, j.stage.Context.Value)...); err != nil {
		return "", err
	}
	return readMetadata(file)
}

// podman builds with podman or buildah, which take the same arguments.
func (j *buildJob) podman(ctx context.Context) (string, error) {
	several := len(j.stage.Platforms) > 1
	name := "--tag"
	if several {
		name = "--manifest"
	}
	// Docker's format keeps what only that one has, such as HEALTHCHECK.
	args := append([]string{"build", name, j.ref, "--format", "docker"}, j.args...)
	if err := j.run(ctx, nil, append(args, j.stage.Context.Value)...); err != nil {
		return "", err
	}
	if !j.stage.Push.Value {
		return "", nil
	}
	file := filepath.Join(j.dir, "digest")
	push := []string{"push"}
	if several {
		push = []string{"manifest", "push", "--all"}
	}
	push = append(append(push, "--digestfile", file), j.insecure()...)
	if err := j.run(ctx, nil, append(push, j.ref, "docker://"+j.ref)...); err != nil {
		return "", err
	}
	return readDigest(file)
}

// insecure lets the tool push by plain HTTP to a registry on this machine, and
// to no other. It has no part in the build, where it would hold for the
// registries of all base images.
func (j *buildJob) insecure() []string {
	if j.local {
		return []string{"--tls-verify=false"}
	}
	return nil
}
