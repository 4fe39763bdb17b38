package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// rollout is a stage that brings a release to a workload.
type rollout interface {
	pipeline.Task
	// present is the track that users have before the stage has run.
	present(ctx context.Context) Track
	// carrier is the track that has the release and its traffic once the stage
	// has passed with these outputs, and delivered the one that has it after
	// the commit.
	carrier(out map[string]string) Track
	delivered(out map[string]string) Track
	// selector returns PromQL matchers of a track.
	selector(t Track) string
}

// rollouts are the stages of a pipeline before the given one that roll out,
// since the last commit.
func rolloutsBefore(p *pipeline.Pipeline, until *pipeline.Stage) []*pipeline.Stage {
	var all []*pipeline.Stage
	for _, st := range p.Stages {
		if st == until {
			break
		}
		if _, ok := st.Task.(rollout); ok {
			all = append(all, st)
		}
	}
	return all
}

// taking is what the keys of a stage say of the release that is taken.
type taking struct {
	image     source.Template
	container source.String
	manifests []ManifestSource
	// workload is what charts among the manifests are rendered for.
	workload Workload
}

// readRelease evaluates what shall be deployed; the image is by digest from
// here on.
func (p *Parts) readRelease(ctx context.Context, s *pipeline.Scope, t taking) (Release, error) {
	image, err := s.Text(t.image, nil)
	if err != nil {
		return Release{}, fmt.Errorf("image: %w", err)
	}
	if image, err = p.Registry.Resolve(ctx, image); err != nil {
		return Release{}, err
	}
	release, err := p.readManifests(ctx, s, t)
	release.Image = image
	return release, err
}

// readManifests evaluates all of the release but its image.
func (p *Parts) readManifests(ctx context.Context, s *pipeline.Scope, t taking) (Release, error) {
	release := Release{Container: t.container.Value, Run: s.Info()}
	if len(t.manifests) == 0 {
		return release, nil
	}
	from, err := manifestsOf(s, t)
	if err != nil {
		return Release{}, err
	}
	release.Manifests, err = p.Manifests(ctx, from)
	return release, err
}

// passedRelease is the release that passed the gates, for a finish: whatever
// the file and the folder of another commit say now.
func (p *Parts) passedRelease(ctx context.Context, s *pipeline.Scope, t taking) (Release, error) {
	out := s.Outputs()
	release, err := p.readManifests(ctx, s, t)
	if err != nil {
		return Release{}, err
	}
	release.Image = out["image"]
	if release.checksum() != out["manifests"] {
		return Release{}, &changedManifestsError{workload: t.workload}
	}
	return release, nil
}

// selector returns PromQL matchers of a track, "" where no platform was asked.
func (p *Parts) selector(t Track) string {
	if p.Platform == nil {
		return ""
	}
	return p.Platform.Selector(t)
}

// setOutputs sets those of a stage that rolled out.
func (p *Parts) setOutputs(s *pipeline.Scope, release Release, t Track, since time.Time) {
	s.Output("image", release.Image)
	s.Output("track", t.Name)
	s.Output("manifests", release.checksum())
	s.Output("selector", p.Platform.Selector(t))
	s.Output("since", since.UTC().Format(time.RFC3339Nano))
}

// firstDeployment applies the manifests where there is no track yet: nothing
// to compare with and nothing to split.
type firstDeployment struct {
	parts   *Parts
	track   Track
	release Release
	gate    string
	judged  time.Duration
	ready   time.Duration
}

// run creates the workload. It is proved ready, judged, and taken away on
// failure.
func (f firstDeployment) run(ctx context.Context, s *pipeline.Scope) error {
	if len(f.release.Manifests) == 0 {
		return fmt.Errorf("%s does not exist, and there are no manifests to create it from", f.track.Workload)
	}
	s.Progress("%s does not exist yet: this is its first deployment", f.track.Workload)
	err := s.Do(ctx, pipeline.Change{
		Thing: firstThing(f.track), Key: "create",
		Was: trackState{Track: f.track}, To: f.release.Image,
		Make: func(ctx context.Context) error { return f.parts.Platform.SetTrack(ctx, f.track, f.release, -1) },
	})
	if err != nil {
		return err
	}
	if err := f.prove(ctx, s); err != nil {
		if !errors.Is(err, pipeline.ErrCancelled) {
			f.parts.evidence(ctx, s, f.track, 5*time.Second)
		}
		return err
	}
	return nil
}

// firstThing is a workload that a first deployment makes.
func firstThing(t Track) pipeline.Thing {
	return pipeline.Thing{Kind: workloadThing, Name: t.Workload.String()}
}

func (f firstDeployment) prove(ctx context.Context, s *pipeline.Scope) error {
	live, err := f.parts.Platform.Live(ctx, f.track.Workload)
	if err != nil {
		return err
	}
	if err := f.parts.awaitReady(ctx, s, f.track, awaiting{live.Replicas, f.ready}); err != nil {
		return err
	}
	since, err := s.Mark(ctx, "first traffic")
	if err != nil {
		return err
	}
	watch, err := f.parts.startWatch(s, f.gate, gates.Target{Track: f.track.Name, Selector: f.parts.Platform.Selector(f.track), Since: since})
	if err != nil {
		return err
	}
	err = watch.beside(ctx, func(ctx context.Context) error {
		if left := f.judged - s.Now().Sub(since); left > 0 {
			s.Waiting(left, "first deployment is judged for %s", source.FormatDuration(left.Round(100*time.Millisecond)))
			if err := s.Sleep(ctx, left); err != nil {
				return err
			}
		}
		return watch.ready(ctx)
	})
	if err == nil {
		f.parts.setOutputs(s, f.release, f.track, since)
	}
	return err
}
