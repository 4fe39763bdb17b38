package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Container can be implemented by a [Task] whose failure need not put back
// the stages before it: with ContainsFailure true only its own changes are
// put back, and what passed before is delivered.
type Container interface{ ContainsFailure() bool }

// Committer is implemented by the task of the stage that places the commit by
// hand.
type Committer interface{ Commits() }

// forward runs the stages that have not passed yet, commits and finishes.
func (x *execution) forward(ctx context.Context) Result {
	if !x.resumed {
		if err := x.record(ctx, Event{Type: RunStarted, Run: &x.Info}); err != nil {
			return x.fail(ctx, "", err)
		}
	}
	running, past := x.Options.From == "", false
	for _, st := range x.Pipeline.Stages {
		running = running || st.Name == x.Options.From
		// What an earlier process began is not left half done, whatever this
		// one was asked to run.
		begun := x.status(st.Name) != ""
		if past && !begun {
			break
		}
		if err := x.stageOnce(ctx, st, running || begun); err != nil {
			return x.fail(ctx, st.Name, err)
		}
		past = past || st.Name == x.Options.Until
	}
	return x.deliver(ctx)
}

// status returns how far a stage has come, "" where it has not begun.
func (x *execution) status(stage string) (status EventType) {
	x.look(func(s *State) {
		if st := s.Stage(stage); st != nil {
			status = st.Status
		}
	})
	return status
}

// stageOnce runs a stage unless it has passed in an earlier process or is
// left out.
func (x *execution) stageOnce(ctx context.Context, st *Stage, running bool) error {
	status := x.status(st.Name)
	_, commits := st.Task.(Committer)
	switch {
	case status == StagePassed && commits:
		return x.commitAgain(ctx, st)
	case status == StagePassed || status == StageSkipped:
		return nil
	case !running:
		return x.record(ctx, Event{Type: StageSkipped, Stage: st.Name, Reason: "before " + x.Options.From})
	}
	if err := x.mayGoOn(ctx); err != nil {
		return err
	}
	if st.If.IsSet() && status == "" { // it is decided once
		ok, err := x.Pipeline.Condition(st.If, x.values())
		if err != nil {
			return fmt.Errorf("evaluate if: %w", err)
		}
		if !ok {
			return x.record(ctx, Event{Type: StageSkipped, Stage: st.Name, Reason: "its condition is false"})
		}
	}
	if err := x.ready(ctx, st); err != nil {
		return err
	}
	if err := x.runStage(ctx, st); err != nil {
		return err
	}
	if commits {
		return x.commit(ctx)
	}
	return nil
}

// commitAgain is for a stage that passed in an earlier process, which may
// have died before its commit, or before the finish. A commit that stands is
// not written again: it would cover what has passed since.
func (x *execution) commitAgain(ctx context.Context, st *Stage) error {
	var committed bool
	x.look(func(s *State) { committed = s.Stage(st.Name).Committed })
	if committed {
		return x.finish(ctx)
	}
	return x.commit(ctx)
}

// errPreflight is a preflight's refusal just before the first change.
type errPreflight struct{ result Result }

func (e *errPreflight) Error() string { return e.result.Reason }

// ready opens the journal before the first stage that changes the world, and
// asks once more whether the rest could do its work.
func (x *execution) ready(ctx context.Context, st *Stage) error {
	if !st.Changes || x.begun {
		return nil
	}
	if result, ended := x.preflight(ctx, x.Pipeline.Stages); ended {
		return &errPreflight{result}
	}
	if x.journal == nil {
		if err := x.openEnded(ctx); err != nil {
			return err
		}
	}
	return x.begin(ctx)
}

// openEnded takes the lock and refuses a journal that has become unfinished
// since this run looked.
func (x *execution) openEnded(ctx context.Context) error {
	if err := x.open(ctx); err != nil {
		return err
	}
	found, err := Replay(x.journal.Events())
	if err == nil && found.Unfinished() {
		err = fmt.Errorf("%w: run %s began meanwhile and is unfinished", ErrLocked, found.Run.ID)
	}
	if err != nil {
		return err
	}
	if result, ended := x.outdated(found); ended {
		return &errPreflight{result}
	}
	return nil
}

// deliver commits what is not committed and ends the run.
func (x *execution) deliver(ctx context.Context) Result {
	if err := x.commit(ctx); err != nil {
		return x.fail(ctx, "", x.afterCommit(err))
	}
	if err := x.record(ctx, Event{Type: Finished}); err != nil {
		return x.fail(ctx, "", &finishError{err: err})
	}
	return Result{Ending: Delivered}
}

// afterCommit marks an error as one that nothing is put back for, where an
// earlier commit stands.
func (x *execution) afterCommit(err error) error {
	var committed bool
	x.look(func(s *State) { committed = s.Committed })
	if committed && !errors.As(err, new(*finishError)) {
		return &finishError{err: err}
	}
	return err
}

// commitTries is how often the one write that decides is tried.
const commitTries = 3

// commit makes all that has passed final and finishes it.
func (x *execution) commit(ctx context.Context) error {
	if err := x.mayGoOn(ctx); err != nil {
		return err
	}
	var needed bool
	x.look(func(s *State) {
		needed = !s.Committed
		for _, st := range s.Stages {
			needed = needed || (st.Status == StagePassed && !st.Committed)
		}
	})
	if needed {
		if err := x.recordCommit(ctx); err != nil {
			return err
		}
	}
	return x.finish(ctx)
}

// recordCommit tries again where an ordinary event would not: when the answer
// to this write is lost, nobody knows whether the run is committed.
// A cancellation does not cut it off at once, for the same reason.
func (x *execution) recordCommit(ctx context.Context) error {
	writing, cancel := x.beyond(ctx, commitTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })()
	var err error
	for try := range commitTries {
		x.mendJournal()
		if err = x.record(writing, Event{Type: Committed}); err == nil || errors.Is(err, ErrLockLost) {
			return err
		}
		if try == commitTries-1 || x.Clock.Sleep(ctx, time.Second) != nil {
			break
		}
	}
	return &doubtError{err}
}

// doubtError says that nobody knows whether the commit was written. Putting
// back would be wrong if it was, going on if it was not; what is there is
// healthy, has passed all its gates, and is left to whoever reads the journal
// next.
type doubtError struct{ err error }

func (e *doubtError) Error() string {
	return "it is not known whether the commit was recorded: " + e.err.Error()
}
func (e *doubtError) Unwrap() error { return e.err }

// finishError marks what went wrong after the commit.
type finishError struct {
	stage string
	err   error
}

func (e *finishError) Error() string { return e.err.Error() }
func (e *finishError) Unwrap() error { return e.err }

// finish does what committed stages have left to do.
func (x *execution) finish(ctx context.Context) error {
	for _, st := range x.Pipeline.Stages {
		finisher, ok := st.Task.(Finisher)
		if !ok {
			continue
		}
		scope := x.scope(st)
		var due bool
		x.look(func(s *State) {
			if done := s.Stage(st.Name); done != nil {
				due = done.Committed && !done.Finished && done.Status == StagePassed
				scope.outputs = maps.Clone(done.Outputs)
			}
		})
		if !due {
			continue
		}
		scope.finish = true
		if scope.outputs == nil {
			scope.outputs = map[string]string{}
		}
		err := x.call(ctx, scope, func(ctx context.Context) error { return finisher.Finish(ctx, scope) })
		if err == nil {
			err = x.record(ctx, Event{Type: StepPassed, Stage: st.Name, Name: finishStep})
		}
		if err != nil {
			return &finishError{stage: st.Name, err: err}
		}
	}
	return nil
}
