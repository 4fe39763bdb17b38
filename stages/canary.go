package stages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func canaryKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "canary", Changes: true,
		Doc:     "Gives a new release a growing share of the traffic, beside the old one, and puts it back when a gate says so.",
		New:     func() pipeline.Task { return &CanaryStage{parts: parts} },
		Outputs: rolloutOutputs,
	}
}

// rolloutOutputs are those of every stage that rolls out.
var rolloutOutputs = []pipeline.OutputDecl{
	{Name: "image", Doc: "The image that was rolled out, by digest."},
	{Name: "track", Doc: "Which track has the release: canary, or stable when it was the first deployment or already live."},
	{Name: "selector", Doc: "PromQL matchers of the pods that have the release."},
	{Name: "manifests", Doc: "SHA-256 of the release's manifests, empty where there are none."},
	{Name: "since", Doc: "When the release began to get traffic, in RFC 3339."},
}

// CanaryStage rolls a workload out step by step.
type CanaryStage struct {
	Pos        source.Pos
	Deployment source.String    `yaml:"deployment" required:"true" doc:"Name of the Deployment that takes the release." example:"user-service"`
	Namespace  source.String    `yaml:"namespace" doc:"Its namespace. Default: that of the kubernetes section."`
	Image      source.Template  `yaml:"image" required:"true" doc:"The image, by digest as the build stage gives it; a tag is resolved in the registry before anything is changed." example:"${{ stages.image.ref }}"`
	Container  source.String    `yaml:"container" doc:"The container that gets the image. Default: the only one, or the one that has an image of the same repository now."`
	Manifests  []ManifestSource `yaml:"manifests" doc:"Files, folders, kustomizations and Helm charts with the manifests of the release. Default: the live Deployment with the new image. A first deployment needs them."`
	Traffic    Traffic          `yaml:"traffic" required:"true" doc:"What splits the traffic."`
	Steps      []CanaryStep     `yaml:"steps" required:"true" min:"1" doc:"What is done, in order. After the last step the canary gets all traffic until the commit."`
	Gate       source.String    `yaml:"gate" doc:"Name of the gate that judges the canary from its first traffic on, all the while."`
	Ready      source.Duration  `yaml:"readyTimeout" default:"10m" min:"1s" doc:"How long pods may take to get ready, each time that some are added."`

	parts *Parts
}

// CanaryStep is one step of a canary.
type CanaryStep struct {
	Pos       source.Pos
	SetWeight *source.Percent  `yaml:"setWeight" oneof:"step" bare:"true" doc:"Gives the canary this share of the traffic, after it has been given the pods for it. The first step may be 0 where match: says which requests it gets." example:"20"`
	SetScale  *CanaryScale     `yaml:"setCanaryScale" oneof:"step" doc:"Gives the canary more pods than its share of the traffic needs; never fewer."`
	Pause     *source.Duration `yaml:"pause" oneof:"step" doc:"Waits this long under the gate." example:"10m"`
	Gate      source.String    `yaml:"gate" oneof:"step" doc:"Judges by another gate as well, for the time of for:."`
	For       source.Duration  `yaml:"for" doc:"How long that gate judges."`
}

// CanaryScale says how many pods a canary has, at least.
type CanaryScale struct {
	Pos      source.Pos
	Replicas *source.Int     `yaml:"replicas" oneof:"scale" min:"1" doc:"So many." example:"3"`
	Weight   *source.Percent `yaml:"weight" oneof:"scale" bare:"true" doc:"This share of stable's, rounded up." example:"50%"`
	Match    *source.Bool    `yaml:"matchTrafficWeight" oneof:"scale" doc:"As many as its share of the traffic needs, which is the default." example:"true"`
}

var (
	_ pipeline.Finisher        = (*CanaryStage)(nil)
	_ pipeline.Preflighter     = (*CanaryStage)(nil)
	_ pipeline.Planner         = (*CanaryStage)(nil)
	_ pipeline.SemanticChecker = (*CanaryStage)(nil)
)

func percent(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + "%" }

func (c *CanaryStage) workload() Workload {
	w := Workload{Namespace: c.Namespace.Value, Name: c.Deployment.Value}
	if w.Namespace == "" {
		w.Namespace = c.parts.Namespace
	}
	return w
}

func (c *CanaryStage) canary() Track { return Track{Workload: c.workload(), Name: Canary} }
func (c *CanaryStage) stable() Track { return Track{Workload: c.workload(), Name: Stable} }
func (c *CanaryStage) split() Split  { return Split{Old: c.stable(), New: c.canary()} }

// canaryRun is one Run of the stage.
type canaryRun struct {
	*CanaryStage
	*shifting
	release  Release
	size     int    // replicas of the stable track when the rollout began
	version  string // of the stable track then
	replicas int    // of the canary, as far as this process has seen to it
	scale    *CanaryScale
}

// Run takes the canary from nothing to all traffic.
func (c *CanaryStage) Run(ctx context.Context, s *pipeline.Scope) error {
	release, err := c.readRelease(ctx, s)
	if err != nil {
		return err
	}
	live, err := c.parts.Platform.Live(ctx, c.workload())
	if err != nil {
		return err
	}
	_, deploying := s.Was(c.workloadThing())
	basis, begun, err := c.basis(s, live)
	switch {
	case err != nil:
		return err
	case begun: // Whatever has become of the workload meanwhile.
	case !live.Exists || deploying:
		return firstDeployment{
			parts: c.parts, track: c.stable(), release: release, gate: c.Gate.Value, judged: c.pauses(), ready: c.Ready.Value,
		}.run(ctx, s)
	case c.parts.unneeded(ctx, c.stable(), live, release):
		s.Progress("%s already runs %s; nothing is changed", c.workload(), release.Image)
		c.parts.setOutputs(s, release, c.stable(), s.Now())
		return nil
	}
	sh, err := c.parts.shift(ctx, s, c.Traffic, c.split())
	if err != nil {
		return err
	}
	run := &canaryRun{CanaryStage: c, shifting: sh, release: release, size: basis.Size, version: basis.Version}
	if err := run.up(ctx); err != nil {
		return run.explain(ctx, err)
	}
	return nil
}

func (c *CanaryStage) workloadThing() pipeline.Thing { return firstThing(c.stable()) }

func (c *CanaryStage) trackThing() pipeline.Thing {
	return pipeline.Thing{Kind: trackThing, Name: c.canary().String()}
}

// taking is the release that the stage's keys name.
func (c *CanaryStage) taking() taking { return taking{c.Image, c.Container, c.Manifests, c.workload()} }

// readRelease evaluates the release as the traffic needs it.
func (c *CanaryStage) readRelease(ctx context.Context, s *pipeline.Scope) (Release, error) {
	release, err := c.parts.readRelease(ctx, s, c.taking())
	return c.placed(release), err
}

// placed says how the release's pods are reached. Where nothing but the number
// of pods splits the traffic, these must see to their own drain.
func (c *CanaryStage) placed(release Release) Release {
	if c.Traffic.Replicas.Value {
		release.Shared = true
		if c.Traffic.Drain.Pos.IsValid() { // written, and not the default
			release.Drain = int(c.Traffic.Drain.Value / time.Second)
		}
	}
	return release
}

func (c *CanaryStage) present(context.Context) Track { return c.stable() }

func (c *CanaryStage) carrier(out map[string]string) Track {
	if out["track"] == Canary {
		return c.canary()
	}
	return c.stable()
}

func (c *CanaryStage) delivered(map[string]string) Track { return c.stable() }

func (c *CanaryStage) selector(t Track) string { return c.parts.selector(t) }

// up walks the steps; the gate judges from the first traffic on.
func (r *canaryRun) up(ctx context.Context) error {
	first := r.Steps[0].SetWeight.Value
	if err := r.hold(ctx); err != nil {
		return err
	}
	if err := r.give(ctx, 0, first); err != nil {
		return err
	}
	since, err := r.scope.Mark(ctx, "first traffic")
	if err != nil {
		return err
	}
	watch, err := r.parts.startWatch(r.scope, r.Gate.Value, gates.Target{
		Track: Canary, Selector: r.parts.Platform.Selector(r.canary()), Since: since,
	})
	if err != nil {
		return err
	}
	err = r.parts.guarded(ctx, r.scope, []Track{r.canary()}, func(ctx context.Context) error {
		return watch.beside(ctx, func(ctx context.Context) error { return r.walk(ctx, watch) })
	})
	if err == nil {
		r.parts.setOutputs(r.scope, r.release, r.canary(), since)
	}
	return err
}

// walk does the steps after the first, and gives all traffic at the end.
func (r *canaryRun) walk(ctx context.Context, watch *watching) error {
	for i, step := range r.Steps {
		var err error
		switch {
		case i == 0:
		case step.SetWeight != nil:
			err = r.raise(ctx, watch, i, step.SetWeight.Value)
		case step.SetScale != nil:
			err = r.rescale(ctx, i, step.SetScale)
		case step.Pause != nil:
			err = r.pause(ctx, fmt.Sprintf("pause %d", i), step.Pause.Value)
		default:
			err = r.judge(ctx, i, step)
		}
		if err != nil {
			return err
		}
	}
	if r.weight < 100 {
		if err := r.raise(ctx, watch, len(r.Steps), 100); err != nil {
			return err
		}
	}
	if err := watch.ready(ctx); err != nil {
		return err
	}
	return r.unchanged(ctx)
}

// raise gives the canary more traffic, once the gate has shown that what it
// has is well served.
func (r *canaryRun) raise(ctx context.Context, watch *watching, step int, weight float64) error {
	err := r.scope.Step(ctx, "raise to "+percent(weight), func(ctx context.Context) error {
		if err := watch.ready(ctx); err != nil {
			return err
		}
		if err := r.unchanged(ctx); err != nil {
			return err
		}
		defer watch.changed()
		return r.give(ctx, step, weight)
	})
	if err == nil {
		r.weight = weight // also where an earlier process did it
	}
	return err
}

func (r *canaryRun) judge(ctx context.Context, step int, s CanaryStep) error {
	since, err := r.scope.Mark(ctx, fmt.Sprintf("gate %d", step))
	if err != nil {
		return err
	}
	return r.scope.Step(ctx, fmt.Sprintf("gate %d", step), func(ctx context.Context) error {
		return r.parts.judgeFor(ctx, r.scope, s.Gate.Value, s.For.Value, gates.Target{
			Track: Canary, Selector: r.parts.Platform.Selector(r.canary()), Since: since,
		})
	})
}

// give sees to the pods that a weight needs and then sets it: capacity comes
// before traffic. Every part is skipped where the journal says it is done.
func (r *canaryRun) give(ctx context.Context, step int, weight float64) error {
	n, err := r.atLeast(ctx, r.podsFor(r.capacity(step, weight)))
	if err != nil {
		return err
	}
	if n > r.replicas {
		if err := r.resize(ctx, n, fmt.Sprintf("%d pods", n)); err != nil {
			return err
		}
	}
	if r.weight == 0 {
		if err := r.settle(ctx, Canary); err != nil {
			return err
		}
	}
	return r.set(ctx, weight)
}

// explain collects evidence before anything is put back. Where users may be
// suffering it takes little time for that.
func (r *canaryRun) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), pipeline.ErrCancelled) {
		return err
	}
	budget := 5 * time.Second
	if r.weight > 0 {
		budget = 500 * time.Millisecond
	}
	r.parts.evidence(ctx, r.scope, r.canary(), budget)
	return err
}
