package stages

import (
	"context"

	"github.com/headgate-dev/headgate/pipeline"
)

// guarded does work while the platform looks whether tracks that have traffic
// keep their pods.
func (p *Parts) guarded(ctx context.Context, s *pipeline.Scope, tracks []Track, work func(ctx context.Context) error) error {
	guard, ok := p.Platform.(Guard)
	if !ok {
		return work(ctx)
	}
	for _, t := range tracks {
		inner := work
		work = func(ctx context.Context) error {
			return s.While(ctx, func(ctx context.Context) error { return guard.Guard(ctx, t) }, inner)
		}
	}
	return work(ctx)
}

// carrying are the canaries that earlier stages have left with all the
// traffic, until a commit finishes them.
func carrying(s *pipeline.Scope) []Track {
	var tracks []Track
	for _, st := range s.Pipeline().Stages {
		if st == s.Stage() {
			break
		}
		switch task := st.Task.(type) {
		case pipeline.Committer:
			tracks = nil
		case *CanaryStage:
			if s.StageOutputs(st.Name)["track"] == Canary {
				tracks = append(tracks, task.canary())
			}
		}
	}
	return tracks
}
