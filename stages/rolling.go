package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func rollingKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "rolling", Changes: true,
		Doc:     "Updates a Deployment in place, pod by pod, under a gate, and puts the former release back when the gate says so.",
		New:     func() pipeline.Task { return &RollingStage{parts: parts} },
		Outputs: rolloutOutputs,
	}
}

// RollingStage updates a workload in place.
type RollingStage struct {
	Pos        source.Pos
	Deployment source.String    `yaml:"deployment" required:"true" doc:"Name of the Deployment that takes the release." example:"user-service"`
	Namespace  source.String    `yaml:"namespace" doc:"Its namespace. Default: that of the kubernetes section."`
	Image      source.Template  `yaml:"image" required:"true" doc:"The image, by digest as the build stage gives it; a tag is resolved in the registry before anything is changed." example:"${{ stages.image.ref }}"`
	Container  source.String    `yaml:"container" doc:"The container that gets the image. Default: the only one, or the one that has an image of the same repository now."`
	Manifests  []ManifestSource `yaml:"manifests" doc:"Files, folders, kustomizations and Helm charts with the manifests of the release. Default: the live Deployment with the new image. A first deployment needs them."`
	Gate       source.String    `yaml:"gate" doc:"Name of the gate that judges the new pods from the first one on, all the while."`
	Bake       source.Duration  `yaml:"bake" doc:"How long the gate goes on once all pods have the release. Default: until every check has once shown that all is well." example:"5m"`
	Drain      source.Duration  `yaml:"drain" doc:"Makes pods that have no preStop hook go on serving for so long after they were told to end, so that no request finds them gone. It takes effect from the next release on, for those that run now have no hook yet. In whole seconds." example:"5s"`
	Ready      source.Duration  `yaml:"readyTimeout" default:"10m" min:"1s" doc:"How long the update of all pods may take."`

	parts *Parts
}

var (
	_ pipeline.Finisher        = (*RollingStage)(nil)
	_ pipeline.Preflighter     = (*RollingStage)(nil)
	_ pipeline.Planner         = (*RollingStage)(nil)
	_ pipeline.SemanticChecker = (*RollingStage)(nil)
	_ rollout                  = (*RollingStage)(nil)
)

// Check reports a gate that is not declared and times that make no sense.
func (r *RollingStage) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	checkGate(p, r.Gate, report)
	if r.Bake.IsSet() && !r.Gate.IsSet() {
		report(source.Problem{Pos: r.Bake.Pos, Width: 1, Message: "bake: needs a gate that judges meanwhile", Hint: "name one with gate:, or leave bake: out"})
	}
	checkDrain(r.Drain, report)
}

// checkDrain reports a drain that a pod cannot sleep.
func checkDrain(d source.Duration, report func(source.Problem)) {
	if d.Value%time.Second != 0 {
		report(source.Problem{Pos: d.Pos, Width: 1, Message: "the drain of pods is in whole seconds", Hint: "write it such as 5s"})
	}
}

func (r *RollingStage) workload() Workload {
	w := Workload{Namespace: r.Namespace.Value, Name: r.Deployment.Value}
	if w.Namespace == "" {
		w.Namespace = r.parts.Namespace
	}
	return w
}

func (r *RollingStage) taking() taking {
	return taking{r.Image, r.Container, r.Manifests, r.workload()}
}
func (r *RollingStage) stable() Track                     { return Track{Workload: r.workload(), Name: Stable} }
func (r *RollingStage) present(context.Context) Track     { return r.stable() }
func (r *RollingStage) carrier(map[string]string) Track   { return r.stable() }
func (r *RollingStage) delivered(map[string]string) Track { return r.stable() }
func (r *RollingStage) selector(t Track) string           { return r.parts.selector(t) }

// thing is the workload as the stage changes it.
func (r *RollingStage) thing() pipeline.Thing {
	return pipeline.Thing{Kind: updatedThing, Name: r.workload().String()}
}

// readRelease evaluates the release, with its drain.
func (r *RollingStage) readRelease(ctx context.Context, s *pipeline.Scope) (Release, error) {
	release, err := r.parts.readRelease(ctx, s, r.taking())
	return r.draining(release), err
}

// draining gives the release the stage's drain.
func (r *RollingStage) draining(release Release) Release {
	release.Drain = int(r.Drain.Value / time.Second)
	return release
}

// Run updates the workload and judges it.
func (r *RollingStage) Run(ctx context.Context, s *pipeline.Scope) error {
	release, err := r.readRelease(ctx, s)
	if err != nil {
		return err
	}
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return err
	}
	t := r.stable()
	_, deploying := s.Was(firstThing(t))
	was, begun := s.Was(r.thing())
	switch {
	case begun:
	case !live.Exists || deploying:
		return firstDeployment{parts: r.parts, track: t, release: release, gate: r.Gate.Value, judged: r.Bake.Value, ready: r.Ready.Value}.run(ctx, s)
	case r.parts.unneeded(ctx, t, live, release):
		s.Progress("%s already runs %s; nothing is changed", r.workload(), release.Image)
		r.parts.setOutputs(s, release, t, s.Now())
		return nil
	default:
		if was, err = r.save(ctx, release); err != nil {
			return err
		}
	}
	if err := r.update(ctx, s, release, was); err != nil {
		if !errors.Is(context.Cause(ctx), pipeline.ErrCancelled) {
			r.parts.evidence(ctx, s, t, 500*time.Millisecond)
		}
		return err
	}
	return nil
}

// save reads what the workload is to be put back to.
func (r *RollingStage) save(ctx context.Context, release Release) (json.RawMessage, error) {
	restorer, ok := r.parts.Platform.(Restorer)
	if !ok {
		return nil, errNotRestorable
	}
	return restorer.SaveTrack(ctx, r.stable(), release)
}

// update gives the workload the release. Its new pods get traffic as they come
// up, so that the gate judges from then on.
func (r *RollingStage) update(ctx context.Context, s *pipeline.Scope, release Release, was json.RawMessage) error {
	t := r.stable()
	since, err := s.Mark(ctx, "first traffic")
	if err != nil {
		return err
	}
	err = s.Do(ctx, pipeline.Change{
		Thing: r.thing(), Key: "take the release", Was: was, To: updatedState{Track: t, Image: release.Image, Container: release.Container},
		Urgent: true,
		Make:   func(ctx context.Context) error { return r.parts.Platform.SetTrack(ctx, t, release, -1) },
	})
	if err != nil {
		return err
	}
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return err
	}
	target := gates.Target{Track: Stable, Selector: r.parts.Platform.Selector(t), Since: since}
	if now, ok := r.parts.Platform.(Revisioner); ok {
		if target.Selector, err = now.SelectorNow(ctx, t); err != nil {
			return err
		}
	}
	watch, err := r.parts.startWatch(s, r.Gate.Value, target)
	if err != nil {
		return err
	}
	guarded := []Track{t}
	if live.Replicas == 0 { // there are no pods to lose
		guarded = nil
	}
	err = r.parts.guarded(ctx, s, guarded, func(ctx context.Context) error {
		return watch.beside(ctx, func(ctx context.Context) error { return r.bake(ctx, s, watch, live) })
	})
	if err == nil {
		r.parts.setOutputs(s, release, t, since)
		s.Output("selector", target.Selector)
	}
	return err
}

// bake waits for all pods and then lets the gate judge for its time.
func (r *RollingStage) bake(ctx context.Context, s *pipeline.Scope, watch *watching, updated Live) error {
	if err := r.parts.awaitReady(ctx, s, r.stable(), awaiting{updated.Replicas, r.Ready.Value}); err != nil {
		return err
	}
	if err := r.unchanged(ctx, updated); err != nil {
		return err
	}
	watch.changed()
	updatedAt, err := s.Mark(ctx, "all pods updated")
	if err != nil {
		return err
	}
	if left := r.Bake.Value - s.Now().Sub(updatedAt); left > 0 {
		s.Waiting(left, "%s is judged for %s", r.workload(), source.FormatDuration(left.Round(100*time.Millisecond)))
		if err := s.Sleep(ctx, left); err != nil {
			return err
		}
	}
	if err := watch.ready(ctx); err != nil {
		return err
	}
	return r.unchanged(ctx, updated)
}

// unchanged fails when somebody else has changed the workload since.
func (r *RollingStage) unchanged(ctx context.Context, updated Live) error {
	live, err := r.parts.Platform.Live(ctx, r.workload())
	if err != nil {
		return err
	}
	if live.Version != updated.Version {
		return &DriftError{Thing: "deployment " + r.workload().String(), By: live.By, Found: "another specification", Want: "the release"}
	}
	return nil
}

// Finish removes what former releases have left.
func (r *RollingStage) Finish(ctx context.Context, _ *pipeline.Scope) error {
	return r.parts.tidy(ctx, r.stable())
}

// tidy lets a platform that can remove what former releases have left.
func (p *Parts) tidy(ctx context.Context, t Track) error {
	if tidier, ok := p.Platform.(Tidier); ok {
		return tidier.Tidy(ctx, t)
	}
	return nil
}

var errNotRestorable = fmt.Errorf("this platform cannot put a workload back that was changed in place: %w", errors.ErrUnsupported)
