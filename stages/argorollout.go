package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// argoThing is a Rollout of Argo Rollouts.
const argoThing = "argoRollout"

func argoRolloutKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "argoRollout", Changes: true,
		Doc:     "Gives a Rollout of Argo Rollouts a new image, follows its steps, promotes its pauses when a gate has shown that all is well, and aborts and puts the template back when not.",
		New:     func() pipeline.Task { return &ArgoRolloutStage{parts: parts} },
		Outputs: rolloutOutputs,
	}
}

// ArgoRolloutStage steers a Rollout of Argo Rollouts.
type ArgoRolloutStage struct {
	Pos       source.Pos
	Rollout   source.String   `yaml:"rollout" required:"true" doc:"Name of the Rollout that takes the release; rollout/NAME is the same." example:"user-service"`
	Namespace source.String   `yaml:"namespace" doc:"Its namespace. Default: that of the kubernetes section."`
	Image     source.Template `yaml:"image" required:"true" doc:"The image, by digest as the build stage gives it; a tag is resolved in the registry before anything is changed." example:"${{ stages.image.ref }}"`
	Container source.String   `yaml:"container" doc:"The container that gets the image. Default: the only one, or the one that has an image of the same repository now."`
	Gate      source.String   `yaml:"gate" doc:"Name of the gate that judges the new pods from their first traffic on, all the while. Pauses that have no duration are promoted when it has shown that all is well."`
	Preview   source.String   `yaml:"preview" doc:"Name of the gate that judges the new pods at a pause before they have any traffic, as at that of a blue/green without autoPromotionEnabled. Without it, such a pause is promoted as soon as it is reached."`
	Promote   source.String   `yaml:"promote" default:"gate" enum:"gate|person" doc:"Who promotes pauses that have no duration: the gate, or a person, by Argo's own command line or dashboard. The gate judges all the while either way."`
	Bake      source.Duration `yaml:"bake" default:"0s" doc:"How long the gate goes on judging after Argo says that all is done."`
	Ready     source.Duration `yaml:"readyTimeout" default:"10m" min:"1s" doc:"How long nothing may happen while Argo is not at a pause: no step ends, no pod gets ready."`

	parts *Parts
}

var (
	_ rollout                  = (*ArgoRolloutStage)(nil)
	_ pipeline.Preflighter     = (*ArgoRolloutStage)(nil)
	_ pipeline.Planner         = (*ArgoRolloutStage)(nil)
	_ pipeline.SemanticChecker = (*ArgoRolloutStage)(nil)
)

// Check reports gates that are not declared, and another kind of workload.
func (a *ArgoRolloutStage) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	checkGate(p, a.Gate, report)
	checkGate(p, a.Preview, report)
	if name := a.workload().Name; name == "" || strings.Contains(name, "/") {
		report(source.Problem{
			Pos: a.Rollout.Pos, Width: len(a.Rollout.Value), Message: fmt.Sprintf("%q is not the name of a Rollout", a.Rollout.Value),
			Hint: "write NAME or rollout/NAME, and the namespace with its own key; a Deployment is rolled out with canary, blueGreen or rolling",
		})
	}
	if a.Bake.Value > 0 && !a.Gate.IsSet() {
		report(source.Problem{Pos: a.Bake.Pos, Width: 1, Message: "bake: without gate: judges nothing", Hint: "name a gate, or leave bake: out"})
	}
}

func (a *ArgoRolloutStage) workload() Workload {
	w := Workload{Namespace: a.Namespace.Value, Name: strings.TrimPrefix(a.Rollout.Value, "rollout/")}
	if w.Namespace == "" {
		w.Namespace = a.parts.Namespace
	}
	return w
}

func (a *ArgoRolloutStage) taking() taking { return taking{image: a.Image, container: a.Container} }

func (a *ArgoRolloutStage) thing() pipeline.Thing {
	return pipeline.Thing{Kind: argoThing, Name: a.workload().String()}
}

// stable is the one track that a Rollout has for us.
func (a *ArgoRolloutStage) stable() Track { return Track{Workload: a.workload(), Name: Stable} }

func (a *ArgoRolloutStage) present(context.Context) Track { return a.stable() }

// carrier is no track that a platform would guard: Argo looks after its pods.
func (a *ArgoRolloutStage) carrier(map[string]string) Track { return Track{} }

// delivered is the same as before: Argo has finished by itself.
func (a *ArgoRolloutStage) delivered(map[string]string) Track { return a.stable() }

// selector returns matchers of all pods of the Rollout.
func (a *ArgoRolloutStage) selector(Track) string {
	rollouts, err := a.parts.argo()
	if err != nil {
		return ""
	}
	return rollouts.Selector(a.workload())
}

var errNoArgo = errors.New("a Rollout of Argo Rollouts needs a Kubernetes cluster")

func (p *Parts) argo() (ArgoRollouts, error) {
	if platform, ok := p.Platform.(ArgoPlatform); ok {
		return platform.Rollouts(), nil
	}
	return nil, errNoArgo
}

// argoState is what a Rollout was before a run, and what the run made of it.
type argoState struct {
	Workload Workload `json:"workload"`
	// Former is the template that it had, Hash what Argo calls it, and Ours the
	// template that the run gave it.
	Former json.RawMessage `json:"former"`
	Hash   string          `json:"hash"`
	Ours   json.RawMessage `json:"ours"`
}

// argoTo is what a change makes of it.
type argoTo struct {
	Workload Workload        `json:"workload"`
	Template json.RawMessage `json:"template"`
	// Image and Promoted are for people.
	Image    string `json:"image,omitempty"`
	Promoted *int   `json:"promoted,omitempty"`
}

// argoRun is one Run of the stage.
type argoRun struct {
	*ArgoRolloutStage
	scope    *pipeline.Scope
	rollouts ArgoRollouts
	release  Release
	state    argoState

	last   ArgoRollout // as it was seen last
	said   string
	weight float64 // as it was reported last
	moved  time.Time
	lost   time.Time
	deaf   time.Time // since when the controller has not heard, or of the last nudge
}

// Run takes the Rollout from one image to the other.
func (a *ArgoRolloutStage) Run(ctx context.Context, s *pipeline.Scope) error {
	rollouts, err := a.parts.argo()
	if err != nil {
		return err
	}
	release, err := a.parts.readRelease(ctx, s, a.taking())
	if err != nil {
		return err
	}
	r := &argoRun{ArgoRolloutStage: a, scope: s, rollouts: rollouts, release: release, weight: -1}
	begun, err := r.begin(ctx)
	switch {
	case err != nil:
		return err
	case !begun:
		s.Progress("rollout %s already runs %s; nothing is changed", a.workload(), release.Image)
		r.setOutputs(s.Now())
		return nil
	}
	if err := r.up(ctx); err != nil {
		return r.explain(ctx, err)
	}
	return nil
}

// begin reads what there is to put back, from the journal where another
// process has begun; it returns false where there is nothing to do.
func (r *argoRun) begin(ctx context.Context) (bool, error) {
	now, err := r.rollouts.Read(ctx, r.workload())
	if err != nil {
		return false, err
	}
	r.last = now
	if was, ok := r.scope.Was(r.thing()); ok {
		if err := json.Unmarshal(was, &r.state); err != nil {
			return false, fmt.Errorf("read the journal's Rollout: %w", err)
		}
		return true, nil
	}
	if found := unfit(now); found.Message != "" {
		return false, &unfitError{found.Message, found.Hint}
	}
	ours, err := withImage(now.Template, r.release)
	if err != nil {
		return false, err
	}
	r.state = argoState{Workload: r.workload(), Former: now.Template, Hash: now.Stable, Ours: ours}
	return !SameTemplate(now.Template, ours), nil
}

func (r *argoRun) setOutputs(since time.Time) {
	r.scope.Output("image", r.release.Image)
	r.scope.Output("track", Stable)
	r.scope.Output("manifests", "")
	r.scope.Output("selector", r.last.NewPods)
	r.scope.Output("since", since.UTC().Format(time.RFC3339Nano))
}

// explain collects evidence before anything is put back.
func (r *argoRun) explain(ctx context.Context, err error) error {
	d, ok := r.rollouts.(ArgoDiagnoser)
	if !ok || ctx.Err() != nil && errors.Is(context.Cause(ctx), pipeline.ErrCancelled) {
		return err
	}
	budget := 5 * time.Second
	if r.weight > 0 {
		budget = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	text, failed := d.DiagnoseRollout(ctx, r.workload())
	if failed != nil {
		text += fmt.Sprintf("\n(evidence is incomplete: %v)", failed)
	}
	if text != "" {
		r.scope.Emit(pipeline.Event{Type: pipeline.EvidenceFound, Name: "rollout " + r.workload().String(), Message: text})
	}
	return err
}
