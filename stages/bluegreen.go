package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func blueGreenKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "blueGreen", Changes: true,
		Doc:     "Brings a release up beside the present one, switches the traffic to it, and back when a gate says so.",
		New:     func() pipeline.Task { return &BlueGreenStage{parts: parts} },
		Outputs: rolloutOutputs,
	}
}

// BlueGreenStage rolls out by two Deployments that take turns.
type BlueGreenStage struct {
	Pos          source.Pos
	Deployment   source.String    `yaml:"deployment" example:"user-service" doc:"Gives the colours their names: NAME-blue and NAME-green, unless blue and green name others."`
	Namespace    source.String    `yaml:"namespace" doc:"The namespace of colours that do not name their own. Default: that of the kubernetes section."`
	Blue         Colour           `yaml:"blue" doc:"One of the two. Either may be missing at first, and is then made from the other."`
	Green        Colour           `yaml:"green" doc:"The other one."`
	Image        source.Template  `yaml:"image" required:"true" doc:"The image, by digest as the build stage gives it; a tag is resolved in the registry before anything is changed." example:"${{ stages.image.ref }}"`
	Container    source.String    `yaml:"container" doc:"The container that gets the image. Default: the only one, or the one that has an image of the same repository now."`
	Manifests    []ManifestSource `yaml:"manifests" doc:"Files, folders, kustomizations and Helm charts with the manifests of the release; of the Deployments in them, only that of the idle colour is applied. Default: the idle Deployment, or else the active one, with the new image. A first deployment needs them."`
	Traffic      Traffic          `yaml:"traffic" required:"true" doc:"What switches the traffic."`
	Preview      *Preview         `yaml:"preview" doc:"What the idle colour must show before it gets any traffic."`
	Steps        []ShiftStep      `yaml:"steps" doc:"Switches in steps. After the last one the new colour gets all traffic. Default: at once."`
	Gate         source.String    `yaml:"gate" doc:"Name of the gate that judges the new colour from its first traffic on, all the while."`
	Bake         source.Duration  `yaml:"bake" doc:"How long the gate goes on after the switch. Default: until every check has once shown that all is well." example:"10m"`
	KeepOld      source.Duration  `yaml:"keepOld" doc:"How long the old colour stays up after the commit. The run waits for it." example:"10m"`
	IdleReplicas source.Int       `yaml:"idleReplicas" default:"0" min:"0" doc:"How many pods the old colour keeps after that."`
	Ready        source.Duration  `yaml:"readyTimeout" default:"10m" min:"1s" doc:"How long the pods of the idle colour may take to get ready."`

	parts *Parts
}

// Colour says where one of the two Deployments is.
type Colour struct {
	Pos        source.Pos
	Deployment source.String `yaml:"deployment" example:"user-service-blue" doc:"Name of its Deployment."`
	Namespace  source.String `yaml:"namespace" example:"ecommerce-blue" doc:"Its namespace. Default: that of the stage."`
	Service    source.String `yaml:"service" doc:"Its own Service. Default: the one that selects its pods and not those of the other colour, else one that is made with the name of its Deployment."`
}

// Preview is what the idle colour must show before it gets traffic.
type Preview struct {
	Pos     source.Pos
	Service source.String   `yaml:"service" doc:"A Service whose selector is pointed at the idle colour, once that is ready, for people and tests to reach it."`
	Probe   source.Template `yaml:"probe" doc:"URL that must answer with a status below 400, several times in a row."`
	Gate    source.String   `yaml:"gate" doc:"Name of the gate that judges it."`
	For     source.Duration `yaml:"for" doc:"How long that gate judges. Default: until every check has once shown that all is well."`
}

// ShiftStep is one step of a switch.
type ShiftStep struct {
	Pos       source.Pos
	SetWeight *source.Percent  `yaml:"setWeight" oneof:"step" bare:"true" doc:"Gives the new colour this share of the traffic." example:"50%"`
	Pause     *source.Duration `yaml:"pause" oneof:"step" doc:"Waits this long under the gate." example:"5m"`
	Gate      source.String    `yaml:"gate" oneof:"step" doc:"Judges by another gate as well, for the time of for:."`
	For       source.Duration  `yaml:"for" doc:"How long that gate judges."`
}

var (
	_ pipeline.Finisher        = (*BlueGreenStage)(nil)
	_ pipeline.Preflighter     = (*BlueGreenStage)(nil)
	_ pipeline.Planner         = (*BlueGreenStage)(nil)
	_ pipeline.SemanticChecker = (*BlueGreenStage)(nil)
	_ rollout                  = (*BlueGreenStage)(nil)
)

// colours returns both tracks.
func (b *BlueGreenStage) colours() (blue, green Track) {
	blue, green = b.colour(Blue, b.Blue), b.colour(Green, b.Green)
	blue.Peer, green.Peer = green.Workload, blue.Workload
	return blue, green
}

func (b *BlueGreenStage) colour(name string, c Colour) Track {
	w := Workload{Namespace: c.Namespace.Value, Name: c.Deployment.Value}
	if w.Namespace == "" {
		w.Namespace = b.Namespace.Value
	}
	if w.Namespace == "" {
		w.Namespace = b.parts.Namespace
	}
	if w.Name == "" {
		w.Name = Suffixed(b.Deployment.Value, "-"+name)
	}
	return Track{Workload: w, Name: name, Service: c.Service.Value}
}

func (b *BlueGreenStage) named(name string) Track {
	blue, green := b.colours()
	if name == Green {
		return green
	}
	return blue
}

func (b *BlueGreenStage) taking() taking {
	return taking{b.Image, b.Container, b.Manifests, b.charted()}
}

// charted is what charts are rendered for: the same whichever colour is idle.
func (b *BlueGreenStage) charted() Workload {
	w := b.named(Blue).Workload
	if b.Deployment.IsSet() {
		w.Name = b.Deployment.Value
	}
	return w
}

func (b *BlueGreenStage) carrier(out map[string]string) Track   { return b.named(out["track"]) }
func (b *BlueGreenStage) delivered(out map[string]string) Track { return b.named(out["track"]) }
func (b *BlueGreenStage) selector(t Track) string               { return b.parts.selector(t) }

// present asks which colour is active; blue is a guess where nobody answers.
func (b *BlueGreenStage) present(ctx context.Context) Track {
	if b.parts.Platform != nil {
		if now, err := b.look(ctx); err == nil {
			return now.split.Old
		}
	}
	return b.named(Blue)
}

// thing is the colour as the stage changes it.
func (b *BlueGreenStage) thing(t Track) pipeline.Thing {
	return pipeline.Thing{Kind: colourThing, Name: t.Workload.String()}
}

// colouring is one Run of the stage, or its finish.
type colouring struct {
	*BlueGreenStage
	*shifting
	release Release
	state   colourState
}

// Run brings the idle colour up, proves it and gives it all traffic.
func (b *BlueGreenStage) Run(ctx context.Context, s *pipeline.Scope) error {
	release, err := b.parts.readRelease(ctx, s, b.taking())
	if err != nil {
		return err
	}
	state, begun, err := b.begun(s)
	if err != nil {
		return err
	}
	if !begun {
		now, err := b.look(ctx)
		if err != nil {
			return err
		}
		blue, _ := b.colours()
		_, deploying := s.Was(firstThing(blue))
		switch {
		case deploying || !now.old.Exists:
			return firstDeployment{parts: b.parts, track: blue, release: release, gate: b.Gate.Value, judged: b.pauses(), ready: b.Ready.Value}.run(ctx, s)
		case b.parts.unneeded(ctx, now.split.Old, now.old, release):
			s.Progress("%s already runs %s and has the traffic; nothing is changed", now.split.Old, release.Image)
			b.parts.setOutputs(s, release, now.split.Old, s.Now())
			return nil
		}
		if state, err = b.save(ctx, release, now); err != nil {
			return err
		}
	}
	sh, err := b.parts.shift(ctx, s, b.Traffic, state.Split)
	if err != nil {
		return err
	}
	c := &colouring{BlueGreenStage: b, shifting: sh, release: release, state: state}
	if err := c.run(ctx); err != nil {
		return c.explain(ctx, err)
	}
	return nil
}

// begun returns what an earlier process of the run has written of the rollout.
func (b *BlueGreenStage) begun(s *pipeline.Scope) (state colourState, begun bool, err error) {
	blue, green := b.colours()
	for _, t := range []Track{blue, green} {
		if was, ok := s.Was(b.thing(t)); ok {
			if err := json.Unmarshal(was, &state); err != nil {
				return state, true, fmt.Errorf("read the journal's colour: %w", err)
			}
			return state, true, nil
		}
	}
	return state, false, nil
}

// present is what a blue/green rollout finds.
type presentColours struct {
	split Split
	// old is the live workload of the active colour, idle that of the other.
	old, idle Live
}

// look finds out which colour is active: the only one there is, or the one
// that has the traffic. Nothing is inferred from names.
func (b *BlueGreenStage) look(ctx context.Context) (presentColours, error) {
	blue, green := b.colours()
	p := presentColours{split: Split{Old: blue, New: green}}
	var err error
	if p.old, err = b.parts.Platform.Live(ctx, blue.Workload); err != nil {
		return p, err
	}
	if p.idle, err = b.parts.Platform.Live(ctx, green.Workload); err != nil {
		return p, err
	}
	greenActive := !p.old.Exists && p.idle.Exists
	if p.old.Exists && p.idle.Exists {
		router, err := b.parts.Router(b.Traffic, p.split)
		if err != nil {
			return p, err
		}
		weight, err := router.Weight(ctx)
		if err != nil {
			return p, fmt.Errorf("find the active colour: %w", err)
		}
		if weight != 0 && weight != 100 {
			return p, &splitColoursError{route: router.Name(), green: weight}
		}
		greenActive = weight == 100
	}
	if greenActive {
		p.split.Old, p.split.New = green, blue
		p.old, p.idle = p.idle, p.old
	}
	return p, nil
}

// splitColoursError reports traffic on both colours before a rollout.
type splitColoursError struct {
	route string
	green float64
}

// Error names the route and the share.
func (e *splitColoursError) Error() string {
	return fmt.Sprintf("%s gives %s of its traffic to green and the rest to blue; it is not clear which one is active", e.route, percent(e.green))
}

// Hint says what to do about it.
func (e *splitColoursError) Hint() string {
	return "an earlier run may be unfinished: headgate status; else give all traffic to one colour"
}

// save reads what the idle colour is to be put back to.
func (b *BlueGreenStage) save(ctx context.Context, release Release, now presentColours) (colourState, error) {
	restorer, ok := b.parts.Platform.(Restorer)
	if !ok {
		return colourState{}, errNotRestorable
	}
	saved, err := restorer.SaveTrack(ctx, now.split.New, release)
	return colourState{Split: now.split, Saved: saved, Drain: b.Traffic.Drain.Value, Size: max(1, now.old.Replicas)}, err
}

// pauses is the sum of the times that the steps and the bake ask for.
func (b *BlueGreenStage) pauses() time.Duration {
	sum := b.Bake.Value
	for _, step := range b.Steps {
		if step.Pause != nil {
			sum += step.Pause.Value
		}
		sum += step.For.Value
	}
	return sum
}

// explain collects evidence before anything is put back. Where users may be
// suffering it takes little time for that.
func (c *colouring) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), pipeline.ErrCancelled) {
		return err
	}
	budget := 5 * time.Second
	if c.weight > 0 {
		budget = 500 * time.Millisecond
	}
	c.parts.evidence(ctx, c.scope, c.split.New, budget)
	return err
}
