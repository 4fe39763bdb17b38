package stages

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headgate-dev/headgate/pipeline"
)

// preflightImages asks [Parts.Images] whether it can make the image.
func (b *BuildStage) preflightImages(ctx context.Context, s *pipeline.Scope) []pipeline.Finding {
	ref, err := b.reference(s)
	if errors.Is(err, pipeline.ErrNotYetKnown) {
		return nil
	}
	if err == nil {
		err = b.parts.Images.CheckImage(ctx, imageOf(ref))
	}
	if err != nil {
		return []pipeline.Finding{finding(b.Image.Pos, err)}
	}
	return nil
}

// makeImage makes the image without a tool. Its reference is by digest in any
// case, for there is no registry that it would have to be pushed to first.
func (b *BuildStage) makeImage(ctx context.Context, s *pipeline.Scope, ref name.Tag) error {
	image := imageOf(ref)
	digest, err := b.parts.Images.BuildImage(ctx, image, ref.TagStr())
	if err != nil {
		return fmt.Errorf("build %s: %w", ref, err)
	}
	s.Output("image", image)
	s.Output("tag", ref.TagStr())
	s.Output("digest", digest)
	s.Output("ref", image+"@"+digest)
	s.Progress("made %s@%s", image, digest)
	return nil
}

// imageOf is a reference as the file has it, without the tag.
func imageOf(ref name.Tag) string { return strings.TrimSuffix(ref.String(), ":"+ref.TagStr()) }
