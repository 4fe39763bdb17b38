package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Scope is what a [Task] sees of its run: its place in it, time, values, and
// the only way to change the world. It belongs to one stage of one process.
type Scope struct {
	x       *execution
	stage   *Stage
	outputs map[string]string
	finish  bool
	asking  bool // preflight or plan: nothing may be changed
	over    atomic.Bool
}

// ErrNotYetKnown is wrapped by errors of [Scope.Text] in a preflight or plan,
// when a value depends on a stage that has not run.
var ErrNotYetKnown = errors.New("not known before the run")

// Do makes a change: it writes what the thing was to the journal, makes the
// change, and writes that it was made. A change that this run is known to
// have made already is skipped; one in doubt is made again.
//
// It fails with an error that wraps [ErrJournal] when the journal cannot be
// written, with the change not made if it was the first of the two writes.
func (s *Scope) Do(ctx context.Context, ch Change) error {
	if s.asking {
		return fmt.Errorf("change %s: a preflight or plan may not change anything", ch.Thing)
	}
	if ch.Was == nil && !s.finish {
		return fmt.Errorf("change %s: no undo given", ch.Thing)
	}
	if err := s.x.mayGoOn(ctx); err != nil {
		return err
	}
	var made bool
	s.x.look(func(st *State) { made = st.made(s.stage.Name, ch.Thing, ch.Key) })
	if made {
		return nil
	}
	record, err := s.record(ch)
	if err != nil {
		return err
	}
	if err := s.x.recordFor(ctx, s, Event{Type: Changing, Stage: s.stage.Name, Change: record}); err != nil {
		return err
	}
	if ctx.Err() != nil { // it came while that was written
		return context.Cause(ctx)
	}
	if err := ch.Make(ctx); err != nil {
		return err
	}
	done := &Record{Thing: record.Thing, Key: record.Key}
	return s.x.recordFor(ctx, s, Event{Type: Changed, Stage: s.stage.Name, Change: done})
}

func (s *Scope) record(ch Change) (*Record, error) {
	r := &Record{Thing: ch.Thing, Key: ch.Key, Urgent: ch.Urgent}
	var err error
	var first bool
	s.x.look(func(st *State) {
		c := st.change(s.stage.Name, ch.Thing)
		first = c == nil || c.undone
	})
	if first && ch.Was != nil {
		if r.Was, err = json.Marshal(ch.Was); err != nil {
			return nil, fmt.Errorf("record %s: %w", ch.Thing, err)
		}
	}
	if ch.To != nil {
		if r.To, err = json.Marshal(ch.To); err != nil {
			return nil, fmt.Errorf("record %s: %w", ch.Thing, err)
		}
	}
	return r, nil
}

// Step does something that is not to be repeated when the run is resumed,
// such as a pause that has gone by. Its name is unique in the stage.
func (s *Scope) Step(ctx context.Context, name string, do func(ctx context.Context) error) error {
	var passed bool
	s.look(func(st *StageState) { passed = st.steps[name] })
	if passed {
		return nil
	}
	if err := s.x.mayGoOn(ctx); err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return err
	}
	return s.x.recordFor(ctx, s, Event{Type: StepPassed, Stage: s.stage.Name, Name: name})
}

// Mark fixes a moment, such as that of the first traffic: the first call in
// the life of a run writes the present time, every later one, in any process,
// returns that time.
func (s *Scope) Mark(ctx context.Context, name string) (time.Time, error) {
	var at time.Time
	s.look(func(st *StageState) { at = st.marks[name] })
	if !at.IsZero() {
		return at, nil
	}
	now := s.Now()
	return now, s.x.recordFor(ctx, s, Event{Type: Marked, Stage: s.stage.Name, Name: name, Time: now})
}

func (s *Scope) look(read func(st *StageState)) {
	s.x.look(func(state *State) {
		if st := state.Stage(s.stage.Name); st != nil {
			read(st)
		}
	})
}

// Now returns the run's time.
func (s *Scope) Now() time.Time { return s.x.Clock.Now() }

// Sleep waits for d of the run's time, or returns the cause of ctx's end.
func (s *Scope) Sleep(ctx context.Context, d time.Duration) error { return s.x.Clock.Sleep(ctx, d) }

// While runs watch beside do; see [Clock.While].
func (s *Scope) While(ctx context.Context, watch, do func(ctx context.Context) error) error {
	return s.x.Clock.While(ctx, watch, do)
}

// Clock returns the run's clock.
func (s *Scope) Clock() Clock { return s.x.Clock }

// Emit tells reporters of a passing event; durable types are refused, since
// those are the engine's to write.
func (s *Scope) Emit(e Event) {
	if e.Type.Durable() {
		panic("pipeline: Emit of the durable event " + string(e.Type))
	}
	if s.over.Load() {
		return
	}
	e.Stage = s.stage.Name
	s.x.tell(e)
}

// Progress reports one line about what is waited for.
func (s *Scope) Progress(format string, args ...any) {
	s.Emit(Event{Type: Progress, Message: fmt.Sprintf(format, args...)})
}

// Waiting is [Scope.Progress] about a wait that is over after d.
func (s *Scope) Waiting(d time.Duration, format string, args ...any) {
	s.Emit(Event{Type: Progress, Message: fmt.Sprintf(format, args...), Until: s.Now().Add(d)})
}

// Awaiting is [Scope.Progress] about something that is given up at deadline.
func (s *Scope) Awaiting(deadline time.Time, format string, args ...any) {
	s.Emit(Event{Type: Progress, Message: fmt.Sprintf(format, args...), Deadline: deadline})
}

// Warn reports something that a person should read.
func (s *Scope) Warn(format string, args ...any) {
	s.Emit(Event{Type: Warned, Message: fmt.Sprintf(format, args...)})
}

// Output sets an output of the stage, which later stages see as
// stages.<stage>.<name> once it has passed.
func (s *Scope) Output(name, value string) { s.outputs[name] = value }

// Outputs returns the outputs of the stage that are set so far; in a finish,
// those that it passed with, in whatever process that was.
func (s *Scope) Outputs() map[string]string { return maps.Clone(s.outputs) }

// Text evaluates the ${{ }} in a template. The names in extra are those that
// the field's declaration allows beside the usual ones.
func (s *Scope) Text(t source.Template, extra map[string]string) (string, error) {
	v := s.x.values()
	v.Extra = extra
	text, err := s.x.Pipeline.Text(t, v)
	if err != nil && s.asking {
		return "", fmt.Errorf("%w: %w", ErrNotYetKnown, err)
	}
	return text, err
}

// Environ returns the stage's env, evaluated, as NAME=value.
func (s *Scope) Environ() ([]string, error) {
	var env []string
	for name, value := range s.stage.Env.All() {
		text, err := s.Text(value, nil)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", name, err)
		}
		env = append(env, name+"="+text)
	}
	return env, nil
}

// Was returns what a thing was before the stage's first change of it, in
// whatever process that was made, and false where the stage did not change it.
func (s *Scope) Was(thing Thing) (was json.RawMessage, ok bool) {
	s.x.look(func(st *State) {
		for _, c := range st.changes {
			if c.stage == s.stage.Name && c.record.Thing == thing && c.was != nil {
				was, ok = c.was, true
				return
			}
		}
	})
	return was, ok
}

// StageOutputs returns the outputs of an earlier stage, nil where it has not
// passed.
func (s *Scope) StageOutputs(name string) map[string]string { return s.x.values().Stages[name] }

// Pipeline returns the pipeline that the run runs.
func (s *Scope) Pipeline() *Pipeline { return s.x.Pipeline }

// Info returns the run's identity.
func (s *Scope) Info() Info { return s.x.Info }

// Stage returns the stage that the scope belongs to.
func (s *Scope) Stage() *Stage { return s.stage }

// Resumed reports whether another process of this run has begun the stage.
func (s *Scope) Resumed() bool { return s.x.resumed }
