package stages

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// runThing is the kind of thing that a command with an undo changes.
const runThing = "run"

func runKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "run", Changes: true,
		Doc: "Runs commands that change the world, such as a migration. Interrupted ones are run again when the run is resumed, so they must bear to be run twice.",
		New: func() pipeline.Task { return &RunStage{parts: parts} },
	}
}

// RunStage runs commands that change something.
type RunStage struct {
	Pos source.Pos
	script
	Outputs []source.String `yaml:"outputs" pattern:"^[A-Za-z_][A-Za-z0-9_]*$" words:"letters, digits and _, not beginning with a digit" doc:"Names of the values that the commands give to later stages. They write name=value, or name<<END, lines and END, to the file that $HEADGATE_OUTPUT names." example:"[revision]"`
	Undo    source.Script   `yaml:"undo" doc:"Commands that make it as it was, run when the pipeline is rolled back, also when the commands above failed or were interrupted. They get the same environment, but nothing in whose expression a secret stands: that comes from the environment of headgate itself." example:"./migrate down"`

	parts *Parts
}

var (
	_ pipeline.Task            = (*RunStage)(nil)
	_ pipeline.Preflighter     = (*RunStage)(nil)
	_ pipeline.Planner         = (*RunStage)(nil)
	_ pipeline.SemanticChecker = (*RunStage)(nil)
)

// OutputNames returns the outputs that the file declares for the stage.
func (r *RunStage) OutputNames() []string {
	var names []string
	for _, o := range r.Outputs {
		if o.Value != "" { // which it is where the file has a mistake
			names = append(names, o.Value)
		}
	}
	return names
}

// Check reports output names that are no names, or doubled.
func (r *RunStage) Check(_ *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	seen := map[string]bool{}
	for _, o := range r.Outputs {
		p := source.Problem{Pos: o.Pos, Width: max(len(o.Value), 1)}
		switch {
		case !outputName(o.Value):
			p.Message = fmt.Sprintf("%q cannot be the name of an output", o.Value)
			p.Hint = "use letters, digits and underscores, not beginning with a digit"
			report(p)
		case seen[o.Value]:
			p.Message = fmt.Sprintf("output %q is named twice", o.Value)
			report(p)
		}
		seen[o.Value] = true
	}
}

// Preflight implements [pipeline.Preflighter].
func (r *RunStage) Preflight(context.Context, *pipeline.Scope) []pipeline.Finding {
	return r.preflight(r.parts)
}

// Plan implements [pipeline.Planner].
func (r *RunStage) Plan(_ context.Context, s *pipeline.Scope) (pipeline.Plan, error) {
	summary := "run " + oneLine(r.script.Run.Value, 80)
	if !r.Undo.IsSet() {
		summary += " (has no undo)"
	}
	return pipeline.Plan{
		Longest: r.Timeout.Value,
		Writes: []pipeline.PlannedWrite{{
			Thing: pipeline.Thing{Kind: runThing, Name: s.Stage().Name}, Verb: "run", Summary: summary, After: "run",
		}},
		Unknown: []string{"what the commands of stage " + s.Stage().Name + " change"},
	}, nil
}

// Run runs the commands.
func (r *RunStage) Run(ctx context.Context, s *pipeline.Scope) error {
	ready, err := r.ready(s, r.parts.Commands)
	if err != nil {
		return err
	}
	ran := false
	once := func(ctx context.Context) error {
		ran = true
		return r.once(ctx, s, ready)
	}
	if r.Undo.IsSet() {
		err = s.Do(ctx, pipeline.Change{
			Thing: pipeline.Thing{Kind: runThing, Name: s.Stage().Name}, Key: "run",
			Was: r.undo(s, ready), To: oneLine(r.script.Run.Value, 200), Make: once,
		})
	} else {
		err = s.Step(ctx, "run", once)
	}
	if err == nil && !ran && len(r.Outputs) > 0 {
		// They ran in a process that died before the stage had passed, and
		// what they gave out died with it.
		err = once(ctx)
	}
	return err
}

// once runs the commands and takes what they give out.
func (r *RunStage) once(ctx context.Context, s *pipeline.Scope, ready *scriptRun) error {
	if len(r.Outputs) == 0 {
		return ready.run(ctx)
	}
	dir, err := os.MkdirTemp("", "headgate-output-")
	if err != nil {
		return fmt.Errorf("make output file: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "output")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("make output file: %w", err)
	}
	with := *ready
	with.command.Env = append(with.command.Env[:len(with.command.Env):len(with.command.Env)], "HEADGATE_OUTPUT="+path)
	if err := with.run(ctx); err != nil {
		return err
	}
	values, err := readOutputs(path)
	if err != nil {
		return err
	}
	for _, name := range r.OutputNames() {
		value, ok := values[name]
		if !ok {
			return fmt.Errorf("read outputs: the commands did not give out %q, which the file declares", name)
		}
		s.Output(name, value)
		delete(values, name)
	}
	for name := range values {
		s.Warn("output %q is not declared under outputs:, and is dropped", name)
	}
	return nil
}

// runUndo is how to undo a command, as the journal keeps it.
type runUndo struct {
	Args []string `json:"args"`
	Dir  string   `json:"dir,omitempty"`
	Env  []string `json:"env,omitempty"`
}

// undo returns the undo's data. Values with secrets are not written down.
func (r *RunStage) undo(s *pipeline.Scope, ready *scriptRun) runUndo {
	secret := map[string]bool{}
	for name, value := range s.Stage().Env.All() {
		secret[name] = mentionsSecret(value)
	}
	for name, value := range r.Env.All() {
		secret[name] = mentionsSecret(value)
	}
	args := ready.command.Args
	u := runUndo{Args: append(args[:len(args)-1:len(args)-1], r.Undo.Value), Dir: r.Dir.Value}
	for _, pair := range ready.command.Env {
		if name, _, _ := strings.Cut(pair, "="); !secret[name] {
			u.Env = append(u.Env, pair)
		}
	}
	return u
}

// mentionsSecret reports whether an expression of a text could hold a secret.
func mentionsSecret(t source.Template) bool {
	return t.HasExpressions() && strings.Contains(t.Raw, "secrets")
}

// runUndoer puts back what commands changed, by the undo that stands in the
// journal.
type runUndoer struct{ parts *Parts }

var _ pipeline.Undoer = runUndoer{}

// Undo implements [pipeline.Undoer].
func (u runUndoer) Undo(ctx context.Context, thing pipeline.Thing, was json.RawMessage, _ bool) error {
	var undo runUndo
	if err := json.Unmarshal(was, &undo); err != nil {
		return fmt.Errorf("undo %s: %w", thing, err)
	}
	if len(undo.Args) == 0 {
		return fmt.Errorf("undo %s: the journal names no command", thing)
	}
	// What it prints goes into the error, as there is no stage to print to.
	var last []string
	err := u.parts.Commands.Run(ctx, Command{
		Args: undo.Args, Dir: undo.Dir, Env: undo.Env,
		Output: func(line string) {
			if line = oneLine(line, 500); line != "" {
				last = append(last[max(len(last)-4, 0):], line)
			}
		},
	})
	if err != nil && len(last) > 0 {
		return fmt.Errorf("undo %s: %w: %s", thing, err, strings.Join(last, "; "))
	}
	if err != nil {
		return fmt.Errorf("undo %s: %w", thing, err)
	}
	return nil
}
