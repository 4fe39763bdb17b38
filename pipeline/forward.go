package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
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
	running := x.Options.From == ""
	for _, st := range x.Pipeline.Stages {
		running = running || st.Name == x.Options.From
		if err := x.stageOnce(ctx, st, running); err != nil {
			return x.fail(ctx, st.Name, err)
		}
		if st.Name == x.Options.Until {
			break
		}
	}
	return x.deliver(ctx)
}

// stageOnce runs a stage unless it has passed in an earlier process or is
// left out.
func (x *execution) stageOnce(ctx context.Context, st *Stage, running bool) error {
	var status EventType
	x.look(func(s *State) {
		if done := s.Stage(st.Name); done != nil {
			status = done.Status
		}
	})
	switch {
	case status == StagePassed || status == StageSkipped:
		if _, ok := st.Task.(Committer); ok && status == StagePassed {
			return x.commit(ctx) // the process may have died between the two
		}
		return nil
	case !running:
		return x.record(ctx, Event{Type: StageSkipped, Stage: st.Name, Reason: "before " + x.Options.From})
	}
	if err := x.mayGoOn(ctx); err != nil {
		return err
	}
	if st.If.IsSet() {
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
	if _, ok := st.Task.(Committer); ok {
		return x.commit(ctx)
	}
	return nil
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
	return err
}

func (x *execution) runStage(ctx context.Context, st *Stage) error {
	if err := x.record(ctx, Event{Type: StageStarted, Stage: st.Name}); err != nil {
		return err
	}
	scope := x.scope(st)
	err := x.call(ctx, st, func(ctx context.Context) error { return st.Task.Run(ctx, scope) })
	if err == nil {
		err = x.record(ctx, Event{Type: StagePassed, Stage: st.Name, Outputs: scope.Outputs()})
	}
	return err
}

func (x *execution) scope(st *Stage) *Scope {
	return &Scope{x: x, stage: st, outputs: map[string]string{}}
}

// TimeoutError is the cause of the end of a stage that took too long.
type TimeoutError struct{ After time.Duration }

// Error names the time.
func (e *TimeoutError) Error() string { return "timed out after " + e.After.String() }

// call does a stage's work within its timeout. A stage that does not hear
// that the run was cancelled is left behind: it can change nothing any more.
func (x *execution) call(ctx context.Context, st *Stage, work func(ctx context.Context) error) error {
	stageCtx, cancel := ctx, context.CancelFunc(func() {})
	limit := st.Timeout.Value
	if limit > 0 {
		stageCtx, cancel = x.withTimeout(ctx, limit)
	}
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("stage broke down: %v\n%s", p, debug.Stack())
			}
		}()
		done <- work(stageCtx)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(stopTime):
			err = context.Cause(ctx)
		}
	}
	var timeout *TimeoutError
	if err != nil && ctx.Err() == nil && errors.As(context.Cause(stageCtx), &timeout) && !errors.As(err, new(*TimeoutError)) {
		return fmt.Errorf("%w: %w", timeout, err)
	}
	return err
}

// withTimeout is context.WithTimeoutCause in the run's time.
func (x *execution) withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	cause := &TimeoutError{After: limit}
	if _, real := x.Clock.(RealClock); real {
		return context.WithTimeoutCause(ctx, limit, cause)
	}
	ctx, stop := context.WithCancelCause(ctx)
	deadline := x.Clock.Now().Add(limit)
	return &virtualDeadline{Context: ctx, clock: x.Clock, at: deadline, stop: func() { stop(cause) }}, func() { stop(nil) }
}

// virtualDeadline ends when somebody looks at it after its time. That is
// enough where time passes only in Sleep, which looks.
type virtualDeadline struct {
	context.Context
	clock Clock
	at    time.Time
	stop  func()
}

func (d *virtualDeadline) Err() error {
	if !d.clock.Now().Before(d.at) {
		d.stop()
	}
	return d.Context.Err()
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
func (x *execution) recordCommit(ctx context.Context) error {
	var err error
	for try := range commitTries {
		if err = x.record(ctx, Event{Type: Committed}); err == nil || ctx.Err() != nil || errors.Is(err, ErrLockLost) {
			return err
		}
		if try < commitTries-1 {
			x.mu.Lock()
			x.broken = nil
			x.mu.Unlock()
			if sleepErr := x.Clock.Sleep(ctx, time.Second); sleepErr != nil {
				return &doubtError{sleepErr}
			}
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
		err := x.call(ctx, st, func(ctx context.Context) error { return finisher.Finish(ctx, scope) })
		if err == nil {
			err = x.record(ctx, Event{Type: StepPassed, Stage: st.Name, Name: finishStep})
		}
		if err != nil {
			return &finishError{stage: st.Name, err: err}
		}
	}
	return nil
}
