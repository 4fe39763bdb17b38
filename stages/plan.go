package stages

import (
	"context"
	"errors"

	"github.com/headgate-dev/headgate/pipeline"
)

// planPermissions names what platform and router need.
func (p *Parts) planPermissions(plan *pipeline.Plan, check RolloutCheck) {
	if permitter, ok := p.Platform.(Permitter); ok {
		plan.Permissions = append(plan.Permissions, permitter.Permissions(check.Workload)...)
		if w := check.Split.New.Workload; w.Name != "" && w != check.Workload {
			plan.Permissions = append(plan.Permissions, permitter.Permissions(w)...) // It may be elsewhere.
		}
	}
	if check.Traffic == nil {
		return
	}
	if router, err := p.Router(*check.Traffic, check.Split); err == nil {
		if permitter, ok := router.(Permitter); ok {
			plan.Permissions = append(plan.Permissions, permitter.Permissions(check.Workload)...)
		}
	}
}

// planning is a release, and what it is for.
type planning struct {
	taking taking
	live   Live
	// track is the one that takes the release, active the one that live is of.
	track, active Track
	// dressed says how the release's pods are to be; nil leaves them.
	dressed func(Release) Release
}

// planRelease reads the release as far as it is known before the run, and
// names the permissions for its manifests. It is done where the release is
// live already.
func (p *Parts) planRelease(ctx context.Context, s *pipeline.Scope, plan *pipeline.Plan, what planning) (release Release, done bool, err error) {
	release, err = p.readRelease(ctx, s, what.taking)
	if what.dressed != nil {
		release = what.dressed(release)
	}
	switch {
	case errors.Is(err, pipeline.ErrNotYetKnown):
		plan.Unknown = append(plan.Unknown, "the image: "+what.taking.image.Raw+" is known once that stage has run; the diffs show the present one")
		if release, err = p.readManifests(ctx, s, what.taking); err != nil {
			return release, false, err
		}
		if what.dressed != nil {
			release = what.dressed(release)
		}
		release.Image = presentImage(what.live, what.taking.container.Value)
	case err != nil:
		return release, false, err
	case p.unneeded(ctx, what.active, what.live, release):
		plan.Unknown = append(plan.Unknown, "nothing would be written: the release is live already")
		return release, true, nil
	}
	if permitter, ok := p.Platform.(ReleasePermitter); ok && len(release.Manifests) > 0 {
		more, err := permitter.ReleasePermissions(ctx, what.track, release)
		if err != nil {
			return release, false, err
		}
		plan.Permissions = append(plan.Permissions, more...)
	}
	return release, false, nil
}

// unneeded reports whether the release is live already: the image, and all
// that its manifests say. Where the platform cannot tell, it is not.
func (p *Parts) unneeded(ctx context.Context, t Track, live Live, release Release) bool {
	if !live.Exists || live.ImageFor(release) != release.Image {
		return false
	}
	if len(release.Manifests) == 0 {
		return true
	}
	comparer, ok := p.Platform.(Comparer)
	if !ok {
		return false
	}
	same, err := comparer.Unchanged(ctx, t, release)
	return err == nil && same // A rollout too many does no harm; it is judged.
}

// presentImage stands for an image that is not known yet.
func presentImage(live Live, container string) string {
	if image := live.ImageFor(Release{Container: container}); image != "" {
		return image
	}
	for _, image := range live.Images {
		return image
	}
	return "image-that-the-build-makes:latest"
}

// planned is a track as a plan makes it.
type planned struct {
	track    Track
	release  Release
	replicas int
	after    string // the phase, "" for the run
}

func (p *Parts) planTrack(ctx context.Context, plan *pipeline.Plan, what planned) error {
	planner, ok := p.Platform.(Planner)
	if !ok {
		return nil
	}
	writes, err := planner.PlanTrack(ctx, what.track, what.release, what.replicas)
	for i := range writes {
		if what.after != "" {
			writes[i].After = what.after
		}
	}
	plan.Writes = append(plan.Writes, writes...)
	return err
}
