package stages

import (
	"context"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func flagKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "flag", Changes: true,
		Doc: "Switches a feature flag on for a growing share of the users, and puts it back when a gate says so.",
		New: func() pipeline.Task { return &FlagStage{parts: parts} },
		Outputs: []pipeline.OutputDecl{
			{Name: "percentage", Doc: "The percentage that the flag has now."},
			{Name: "version", Doc: "The version of the flag's record."},
		},
	}
}

// FlagStage ramps a feature flag.
type FlagStage struct {
	Pos      source.Pos
	Name     source.String `yaml:"name" required:"true" doc:"The flag. Its record must exist." example:"new_profile_format"`
	Steps    []FlagStep    `yaml:"steps" required:"true" min:"1" doc:"What is done, in order."`
	Gate     source.String `yaml:"gate" doc:"Name of the gate that judges from the first step on, all the while."`
	Rollback source.String `yaml:"rollback" default:"run" enum:"run|stage" doc:"What a failure puts back: the whole run, or this stage alone, in which case what passed before is delivered."`

	parts *Parts
}

// FlagStep is one step of a ramp.
type FlagStep struct {
	Pos           source.Pos
	SetPercentage *source.Percent  `yaml:"setPercentage" oneof:"step" bare:"true" doc:"Switches the flag on for this share of the users." example:"5%"`
	Pause         *source.Duration `yaml:"pause" oneof:"step" doc:"Waits this long under the gate." example:"10m"`
}

var (
	_ pipeline.Container       = (*FlagStage)(nil)
	_ pipeline.Preflighter     = (*FlagStage)(nil)
	_ pipeline.Planner         = (*FlagStage)(nil)
	_ pipeline.SemanticChecker = (*FlagStage)(nil)
)

// ContainsFailure implements [pipeline.Container].
func (f *FlagStage) ContainsFailure() bool { return f.Rollback.Value == "stage" }

// Check reports steps that make no sense.
func (f *FlagStage) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	checkGate(p, f.Gate, report)
	if f.Name.Value != "" && !flagName(f.Name.Value) {
		report(source.Problem{
			Pos: f.Name.Pos, Width: len(f.Name.Value),
			Message: fmt.Sprintf("%q cannot be the name of a flag", f.Name.Value),
			Hint:    "use letters, digits, dots, hyphens and underscores, at most 128 of them",
		})
	}
	last := -1.0
	for _, step := range f.Steps {
		w := step.SetPercentage
		if w == nil {
			continue
		}
		if w.Value <= last {
			report(source.Problem{
				Pos: w.Pos, Width: 1, Hint: "percentages only go up; a rollback goes back by itself",
				Message: fmt.Sprintf("setPercentage %s is not more than the %s before it", percent(w.Value), percent(last)),
			})
		}
		last = w.Value
	}
	if len(f.Steps) > 0 && f.Steps[0].SetPercentage == nil {
		report(source.Problem{
			Pos: f.Steps[0].Pos, Width: 1, Message: "the first step must be setPercentage",
			Hint: "before it there is nothing to wait for",
		})
	}
}

func flagName(name string) bool {
	if len(name) > 128 {
		return false
	}
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
		default:
			return false
		}
	}
	return name != ""
}

// flagRun is one Run of the stage.
type flagRun struct {
	*FlagStage
	scope *pipeline.Scope
	now   Flag
	was   Flag
	since time.Time
}

// Run ramps the flag.
func (f *FlagStage) Run(ctx context.Context, s *pipeline.Scope) error {
	now, err := f.parts.Flags.Get(ctx, f.Name.Value)
	if err != nil {
		return err
	}
	if !now.Exists {
		return fmt.Errorf("flag %q does not exist", f.Name.Value)
	}
	r := &flagRun{FlagStage: f, scope: s, now: now, was: now}
	if err := r.set(ctx, f.Steps[0].SetPercentage.Value); err != nil {
		return err
	}
	if r.since, err = s.Mark(ctx, "first users"); err != nil {
		return err
	}
	target := releaseTarget(ctx, s, "")
	target.Since = r.since // what was before the flag says nothing about it
	watch, err := f.parts.startWatch(s, f.Gate.Value, target)
	if err != nil {
		return err
	}
	err = f.parts.guarded(ctx, s, carrying(s), func(ctx context.Context) error {
		return watch.beside(ctx, func(ctx context.Context) error { return r.walk(ctx, watch) })
	})
	if err != nil {
		return err
	}
	s.Output("percentage", percent(r.now.Percentage))
	s.Output("version", fmt.Sprint(r.now.Version))
	return nil
}

func (r *flagRun) walk(ctx context.Context, watch *watching) error {
	for i, step := range r.Steps {
		if i == 0 {
			continue
		}
		var err error
		if step.SetPercentage != nil {
			err = r.raise(ctx, watch, step.SetPercentage.Value)
		} else {
			err = r.pause(ctx, i, step.Pause.Value)
		}
		if err != nil {
			return err
		}
	}
	return watch.ready(ctx)
}

func (r *flagRun) raise(ctx context.Context, watch *watching, to float64) error {
	if err := watch.ready(ctx); err != nil {
		return err
	}
	defer watch.changed()
	return r.set(ctx, to)
}

func (r *flagRun) pause(ctx context.Context, step int, d time.Duration) error {
	name := fmt.Sprintf("pause %d", step)
	began, err := r.scope.Mark(ctx, name)
	if err != nil {
		return err
	}
	return r.scope.Step(ctx, name, func(ctx context.Context) error {
		if left := d - r.scope.Now().Sub(began); left > 0 {
			r.scope.Waiting(left, "pause of %s at %s", source.FormatDuration(d), percent(r.now.Percentage))
			return r.scope.Sleep(ctx, left)
		}
		return nil
	})
}

func (r *flagRun) set(ctx context.Context, to float64) error {
	thing := pipeline.Thing{Kind: flagThing, Name: r.Name.Value}
	return r.scope.Do(ctx, pipeline.Change{
		Thing: thing, Key: percent(to), Urgent: true,
		Was: r.was, To: Flag{Name: r.Name.Value, Exists: true, Enabled: true, Percentage: to},
		Make: func(ctx context.Context) error {
			now, err := r.parts.Flags.Set(ctx, FlagWrite{
				Name: r.Name.Value, Percentage: to, Enabled: true, Expect: r.now.Version,
				Reason: fmt.Sprintf("headgate run %s of %s", r.scope.Info().ID, r.scope.Info().Pipeline), Run: r.scope.Info(),
			})
			if err != nil {
				return err
			}
			r.now = now
			r.scope.Progress("flag %s is on for %s of the users", r.Name.Value, percent(to))
			return nil
		},
	})
}
