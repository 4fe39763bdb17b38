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

// carrying are the tracks that earlier stages have left with all the traffic,
// until a commit finishes them.
func carrying(s *pipeline.Scope) []Track {
	var tracks []Track
	for _, st := range s.Pipeline().Stages {
		if st == s.Stage() {
			break
		}
		if _, ok := st.Task.(pipeline.Committer); ok {
			tracks = nil
		}
		if task, ok := st.Task.(rollout); ok && s.StageOutputs(st.Name) != nil {
			if t := task.carrier(s.StageOutputs(st.Name)); t.Name != "" { // else somebody else looks after it
				tracks = append(tracks, t)
			}
		}
	}
	return tracks
}
