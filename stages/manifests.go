package stages

import (
	"context"
	"errors"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// ManifestSource is an entry of a stage's manifests.
type ManifestSource struct {
	Pos     source.Pos
	Path    source.Template             `yaml:"path" required:"true" short:"true" doc:"A file, a folder of files, a kustomization, or the folder of a Helm chart, which helm template renders." example:"deploy/"`
	Release source.Template             `yaml:"release" doc:"The release name that a chart is rendered for. Default: the name of the Deployment." example:"user-service"`
	Values  []source.Template           `yaml:"values" doc:"Files with values for a chart, later ones over earlier ones." example:"[deploy/production.yaml]"`
	Set     source.Map[source.Template] `yaml:"set" doc:"Single values for a chart, over those of the files. true and false are booleans, all else is text." example:"{image.tag: \"${{ run.commit }}\"}"`
}

// Manifests say where the objects of a release are, and what charts among them
// are rendered for.
type Manifests struct {
	Workload Workload
	Sources  []ManifestsAt
}

// ManifestsAt is one of them, evaluated. All but Path is for Helm charts.
type ManifestsAt struct {
	Path, Release string
	Values        []string
	Set           map[string]string
}

// manifestsOf evaluates what the keys of a stage say.
func manifestsOf(s *pipeline.Scope, t taking) (Manifests, error) {
	m := Manifests{Workload: t.workload}
	for _, from := range t.manifests {
		var at ManifestsAt
		var err error
		if at.Path, err = s.Text(from.Path, nil); err != nil {
			return m, fmt.Errorf("manifests: %w", err)
		}
		if at.Release, err = s.Text(from.Release, nil); err != nil {
			return m, fmt.Errorf("manifests: release: %w", err)
		}
		for _, v := range from.Values {
			file, err := s.Text(v, nil)
			if err != nil {
				return m, fmt.Errorf("manifests: values: %w", err)
			}
			at.Values = append(at.Values, file)
		}
		for key, v := range from.Set.All() {
			text, err := s.Text(v, nil)
			if err != nil {
				return m, fmt.Errorf("manifests: set %s: %w", key, err)
			}
			if at.Set == nil {
				at.Set = map[string]string{}
			}
			at.Set[key] = text
		}
		m.Sources = append(m.Sources, at)
	}
	return m, nil
}

// preflightManifests reads the manifests of a release whose image is not known
// yet, so that what is wrong with them is not found only after the build.
func (p *Parts) preflightManifests(ctx context.Context, s *pipeline.Scope, t taking) (Release, []pipeline.Finding) {
	release, err := p.readManifests(ctx, s, t)
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		return Release{}, nil
	case err != nil:
		return Release{}, []pipeline.Finding{finding(t.manifests[0].Pos, err)}
	}
	return release, nil
}
