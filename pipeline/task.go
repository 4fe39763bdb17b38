package pipeline

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Task is the work of a stage.
//
// Run may be called again in another process after the first one died, on a
// journal that says how far it came: all it changes goes through [Scope.Do],
// all that must not be repeated through [Scope.Step]. It returns nil when the
// stage passed. What it leaves must be kept healthy by the world alone.
type Task interface {
	Run(ctx context.Context, s *Scope) error
}

// Finisher can be implemented by a [Task] that leaves something to be done
// after the commit, such as promotion and removal of the old track. Finish is
// bound by the same rules as Run; nothing of it is undone. An error leaves
// the run "delivered, not finished".
type Finisher interface {
	Finish(ctx context.Context, s *Scope) error
}

// Preflighter can be implemented by a [Task] to be asked, before anything is
// changed, whether it could do its work: permissions, objects it needs,
// metrics that answer. It changes nothing and returns every problem at once.
type Preflighter interface {
	Preflight(ctx context.Context, s *Scope) []Finding
}

// Planner can be implemented by a [Task] to say what its Run would do.
type Planner interface {
	Plan(ctx context.Context, s *Scope) (Plan, error)
}

// Finding is one result of a preflight.
type Finding struct {
	// Pos is the place in the pipeline file it concerns.
	Pos source.Pos `json:"pos"`
	// Message says what is wrong, Hint what to do about it.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Warning findings do not stop a run.
	Warning bool `json:"warning,omitempty"`
}

// Plan is what a stage would do, in order.
type Plan struct {
	// Writes are the changes of the world, finish included.
	Writes []PlannedWrite `json:"writes,omitempty"`
	// Peak is the largest number of pods there will be at once, by workload.
	Peak map[string]int `json:"peak,omitempty"`
	// Shortest and Longest bound the time of the stage; Longest 0 = unbounded.
	Shortest time.Duration `json:"shortest"`
	Longest  time.Duration `json:"longest"`
	// Queries are what gates would ask, with the value of now.
	Queries []Measurement `json:"queries,omitempty"`
	// Permissions are what the stage needs of the platform, such as
	// "patch httproutes in shop".
	Permissions []string `json:"permissions,omitempty"`
	// Unknown names what cannot be known yet, and why.
	Unknown []string `json:"unknown,omitempty"`
}

// PlannedWrite is one change that a run would make.
type PlannedWrite struct {
	Thing Thing `json:"thing"`
	// Verb is create, update, delete or a word of the thing's own.
	Verb string `json:"verb"`
	// Summary is one line, Diff a unified diff (empty where there is none).
	Summary string `json:"summary"`
	Diff    string `json:"diff,omitempty"`
	// After says in which phase: "run" or "finish".
	After string `json:"after,omitempty"`
}

// Undoer makes things of one kind what they were. It works from the journal
// alone, perhaps in another process and on another machine, sets values and
// never adds to them, so that doing it twice is harmless, and depends on
// nothing but the old track's health.
type Undoer interface {
	// Undo puts thing back to was (as [Change].Was gave it) and returns nil
	// only when that has been verified. With hurry set there are seconds
	// left: make users safe, and do not wait for anything else.
	Undo(ctx context.Context, thing Thing, was json.RawMessage, hurry bool) error
}

// Matcher can be implemented by an [Undoer] that can tell whether a thing
// still is what a change made of it. A run is resumed only on things that
// are: a rollback may have happened that could not be recorded, or somebody
// else may have been at work.
type Matcher interface {
	Matches(ctx context.Context, thing Thing, to json.RawMessage) (bool, error)
}

// Change is one write to the world.
type Change struct {
	Thing Thing
	// Key tells the changes of a stage apart; see [Record].
	Key string
	// Was is the thing before the stage's first change of it, marshalled to
	// JSON; it is what the [Undoer] of its kind gets. What later changes of
	// the same thing give is not looked at. Nil means that there is no undo,
	// which is legal only in a finish.
	Was any
	// To is what it shall become, marshalled to JSON.
	To any
	// Urgent: see [Record].
	Urgent bool
	// Make makes the change: it sets a value, so that it can be made again.
	Make func(ctx context.Context) error
}
