package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func buildKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "build",
		Doc:  "Builds a container image with docker, podman or buildah, pushes it, and gives out its reference by digest.",
		New:  func() pipeline.Task { return &BuildStage{parts: parts} },
		Outputs: []pipeline.OutputDecl{
			{Name: "ref", Doc: "The image by digest, image@sha256:…; without push, by tag."},
			{Name: "digest", Doc: "The digest, sha256:…; empty without push."},
			{Name: "image", Doc: "The image without tag and digest."},
			{Name: "tag", Doc: "The tag."},
		},
	}
}

// BuildStage builds and pushes an image.
type BuildStage struct {
	Pos        source.Pos
	Image      source.Template             `yaml:"image" required:"true" doc:"The image's name, with registry and without tag." example:"ghcr.io/acme/user-service"`
	Tag        source.Template             `yaml:"tag" doc:"The tag. Default: the run's commit, or latest where there is none." example:"${{ run.commit }}"`
	Context    source.String               `yaml:"context" default:"." doc:"The folder that is sent to the build."`
	Dockerfile source.String               `yaml:"dockerfile" doc:"Path of the Dockerfile. Default: Dockerfile, or Containerfile, in the context."`
	Target     source.String               `yaml:"target" doc:"The stage of the Dockerfile that is built. Default: the last."`
	Args       source.Map[source.Template] `yaml:"args" keys:"^[A-Za-z_][A-Za-z0-9_]*$" words:"a name of letters, digits and _" doc:"Build arguments. They end up in the image's history: never give a secret so."`
	Secrets    source.Map[source.Template] `yaml:"secrets" keys:"^[A-Za-z0-9_.-]+$" words:"an id of letters, digits, dots, - and _" doc:"Build secrets by id, for RUN --mount=type=secret,id=…. They never stand on a command line or in the image." example:"npm: ${{ secrets.npm_token }}"`
	Platforms  []source.String             `yaml:"platforms" doc:"Platforms to build for. Default: that of the machine." example:"[linux/amd64, linux/arm64]"`
	Push       source.Bool                 `yaml:"push" default:"true" doc:"Whether the image is pushed."`
	Tool       source.String               `yaml:"tool" enum:"docker|podman|buildah" doc:"What builds. Default: the first of docker, podman and buildah that is there and works; a docker client without an engine is passed over. As root, buildah runs with chroot isolation unless BUILDAH_ISOLATION says otherwise."`
	Timeout    source.Duration             `yaml:"timeout" min:"1s" doc:"How long build and push may take together. Default: no bound but the stage's."`

	parts *Parts
}

var (
	_ pipeline.Task            = (*BuildStage)(nil)
	_ pipeline.Preflighter     = (*BuildStage)(nil)
	_ pipeline.Planner         = (*BuildStage)(nil)
	_ pipeline.SemanticChecker = (*BuildStage)(nil)
)

var platformName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$`) })

// Check reports names that no registry takes, as far as they are known.
func (b *BuildStage) Check(_ *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	if !b.Image.HasExpressions() {
		if err := checkImage(b.Image.Raw); err != nil {
			report(source.Problem{
				Pos: b.Image.Pos, Width: max(len(b.Image.Raw), 1), Message: err.Error(),
				Hint: "write it as registry/path/name, without tag and digest",
			})
		} else if b.Tag.IsSet() && !b.Tag.HasExpressions() {
			if _, err := name.NewTag(b.Image.Raw+":"+b.Tag.Raw, name.WeakValidation); err != nil {
				report(source.Problem{
					Pos: b.Tag.Pos, Width: max(len(b.Tag.Raw), 1),
					Message: fmt.Sprintf("%q cannot be a tag", b.Tag.Raw), Hint: "use letters, digits, dots, hyphens and underscores, at most 128 of them",
				})
			}
		}
	}
	for _, p := range b.Platforms {
		if !platformName().MatchString(p.Value) {
			report(source.Problem{
				Pos: p.Pos, Width: max(len(p.Value), 1),
				Message: fmt.Sprintf("%q is not a platform", p.Value), Hint: "write it as system/architecture, such as linux/arm64",
			})
		}
	}
	if !b.Push.Value && len(b.Platforms) > 1 {
		report(source.Problem{
			Pos: b.Push.Pos, Width: 1, Message: "an image for several platforms can only be pushed, not kept",
			Hint: "leave push: out, or name one platform",
		})
	}
}

// checkImage reports what is wrong with the name of an image.
func checkImage(image string) error {
	if strings.Contains(image, "@") || strings.Contains(image[strings.LastIndexByte(image, '/')+1:], ":") {
		return fmt.Errorf("image %q has a tag or a digest", image)
	}
	// With a hyphen in front it would be an option of the tool.
	if _, err := name.NewRepository(image, name.WeakValidation); err != nil || strings.HasPrefix(image, "-") {
		return fmt.Errorf("%q cannot be the name of an image", image)
	}
	return nil
}

// Preflight implements [pipeline.Preflighter].
func (b *BuildStage) Preflight(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	if b.parts.Images != nil {
		return b.preflightImages(ctx, s)
	}
	var found []pipeline.Finding
	if _, err := b.builder(ctx); err != nil {
		found = append(found, pipeline.Finding{
			Pos: place(b.Tool.Pos, b.Pos), Message: err.Error(),
			Hint: "install docker, podman or buildah, or start the engine that docker talks to",
		})
	}
	if _, err := os.Stat(b.dockerfile()); err != nil {
		// An earlier stage may still make it.
		found = append(found, pipeline.Finding{
			Pos: place(b.Dockerfile.Pos, b.Context.Pos, b.Pos), Warning: true,
			Message: fmt.Sprintf("%s is not there now", b.dockerfile()),
		})
	}
	if _, err := b.reference(s); err != nil && !errors.Is(err, pipeline.ErrNotYetKnown) {
		found = append(found, pipeline.Finding{Pos: b.Image.Pos, Message: err.Error()})
	}
	return found
}

// Plan implements [pipeline.Planner].
func (b *BuildStage) Plan(_ context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	plan := pipeline.Plan{Longest: b.Timeout.Value, Unknown: []string{"the digest of the image that stage " + s.Stage().Name + " builds"}}
	ref, err := b.reference(s)
	if errors.Is(err, pipeline.ErrNotYetKnown) {
		plan.Unknown = append(plan.Unknown, "the name of the image")
		return plan, nil
	}
	if err != nil {
		return plan, err
	}
	if b.parts.Images != nil {
		plan.Writes = []pipeline.PlannedWrite{{
			Thing: pipeline.Thing{Kind: "image", Name: ref.String()}, Verb: "make",
			Summary: "made of a program of this machine", After: "run",
		}}
		return plan, nil
	}
	if b.Push.Value {
		plan.Writes = []pipeline.PlannedWrite{{
			Thing: pipeline.Thing{Kind: "image", Name: ref.String()}, Verb: "push",
			Summary: "build from " + b.Context.Value + " and push", After: "run",
		}}
	}
	return plan, nil
}

// dockerfile returns the path of the Dockerfile.
func (b *BuildStage) dockerfile() string {
	if b.Dockerfile.Value != "" {
		return b.Dockerfile.Value
	}
	docker, container := filepath.Join(b.Context.Value, "Dockerfile"), filepath.Join(b.Context.Value, "Containerfile")
	if _, err := os.Stat(docker); err != nil {
		if _, err := os.Stat(container); err == nil {
			return container
		}
	}
	return docker
}

// reference evaluates and checks image and tag.
func (b *BuildStage) reference(s *pipeline.Scope) (name.Tag, error) {
	image, err := s.Text(b.Image, nil)
	if err != nil {
		return name.Tag{}, fmt.Errorf("evaluate image: %w", err)
	}
	if err := checkImage(image); err != nil {
		return name.Tag{}, err
	}
	tag := s.Info().Commit
	if b.Tag.IsSet() {
		if tag, err = s.Text(b.Tag, nil); err != nil {
			return name.Tag{}, fmt.Errorf("evaluate tag: %w", err)
		}
		if tag == "" {
			return name.Tag{}, errors.New("the tag is empty")
		}
	}
	if tag == "" {
		tag = "latest"
	}
	ref, err := name.NewTag(image+":"+tag, name.WeakValidation)
	if err != nil {
		return name.Tag{}, fmt.Errorf("%q cannot be the tag of an image", tag)
	}
	return ref, nil
}

// Run builds the image, pushes it, and checks that the registry has it.
func (b *BuildStage) Run(ctx context.Context, s *pipeline.Scope) error {
	ref, err := b.reference(s)
	if err != nil {
		return err
	}
	if b.Timeout.Value > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.Timeout.Value, &TimeoutError{b.Timeout.Value})
		defer cancel()
	}
	if b.parts.Images != nil {
		return b.makeImage(ctx, s, ref)
	}
	tool, err := b.builder(ctx)
	if err != nil {
		return err
	}
	job, err := b.job(s, ref, tool)
	if err != nil {
		return err
	}
	defer job.clean()
	s.Progress("building %s with %s", ref, tool)
	digest, err := job.build(ctx)
	if err != nil {
		return fmt.Errorf("build %s: %w", ref, err)
	}
	s.Output("image", job.image)
	s.Output("tag", ref.TagStr())
	s.Output("digest", digest)
	if !b.Push.Value {
		s.Output("ref", job.image+":"+ref.TagStr())
		return nil
	}
	want := job.image + "@" + digest
	if err := b.verify(ctx, want); err != nil {
		return err
	}
	s.Output("ref", want)
	s.Progress("pushed %s", want)
	return nil
}

// verify asks the registry for what the tool said it pushed.
func (b *BuildStage) verify(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, &TimeoutError{time.Minute})
	defer cancel()
	got, err := b.parts.Registry.Resolve(ctx, want)
	if err != nil {
		return fmt.Errorf("check pushed image: %w", err)
	}
	if got[strings.LastIndexByte(got, '@')+1:] != want[strings.LastIndexByte(want, '@')+1:] {
		return fmt.Errorf("check pushed image: the registry has %s, where %s was pushed", got, want)
	}
	return nil
}
