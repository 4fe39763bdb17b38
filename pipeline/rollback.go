package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// fail ends a run that cannot go on, by what went wrong and how far it came.
func (x *execution) fail(ctx context.Context, stage string, err error) Result {
	var refused *errPreflight
	var unfinished *finishError
	switch {
	case errors.Is(err, ErrLockLost) || errors.Is(context.Cause(ctx), ErrLockLost):
		return Result{Ending: Locked, Stage: stage, Reason: ErrLockLost.Error(), Err: err,
			Hint: "this run changed nothing after that; look at what the other run does with headgate status"}
	case errors.As(err, &refused):
		return refused.result
	case errors.As(err, new(*doubtError)):
		return Result{Ending: DeliveredNotFinished, Stage: stage, Reason: err.Error(), Err: err,
			Hint: "the new release has all the traffic; run the same command again, which finds out and finishes"}
	case errors.Is(err, ErrLocked):
		return Result{Ending: Locked, Stage: stage, Reason: err.Error(), Err: err}
	case ctx.Err() != nil:
		return x.makeSafe(ctx, stage)
	case errors.As(err, &unfinished):
		return Result{Ending: DeliveredNotFinished, Stage: unfinished.stage, Reason: err.Error(), Err: err,
			Hint: "the new release is live; run the same command again to finish"}
	}
	if stage != "" {
		// A journal that fails here is noticed again by the rollback.
		_ = x.record(ctx, Event{Type: StageFailed, Stage: stage, Reason: err.Error()})
	}
	return x.afterFailure(ctx, stage, err)
}

// afterFailure puts back what the failed stage is answerable for.
func (x *execution) afterFailure(ctx context.Context, stage string, err error) Result {
	contained := x.contains(stage) && !errors.Is(err, ErrJournal)
	var committed bool
	x.look(func(s *State) { committed = s.Committed })
	if !contained && !committed {
		return x.putBack(ctx, stage, err)
	}
	stages := []string{stage}
	if !contained {
		stages = x.uncommitted()
	}
	for _, name := range stages {
		if incomplete := x.undoAll(ctx, name, err.Error()); incomplete != nil {
			return incompleteResult(stage, err, incomplete)
		}
	}
	if rest := x.deliver(ctx); rest.Ending != Delivered {
		return rest
	}
	return Result{Ending: FailedRolledBack, Stage: stage, Reason: err.Error(), Err: err,
		Hint: "it was put back; the stages before it stay delivered"}
}

// uncommitted returns the stages that no commit covers, the last one first.
func (x *execution) uncommitted() []string {
	var names []string
	x.look(func(s *State) {
		for _, st := range slices.Backward(s.Stages) {
			if !st.Committed && st.Status != RolledBack {
				names = append(names, st.Name)
			}
		}
	})
	return names
}

func (x *execution) contains(stage string) bool {
	for _, st := range x.Pipeline.Stages {
		if c, ok := st.Task.(Container); ok && st.Name == stage {
			return c.ContainsFailure()
		}
	}
	return false
}

// putBack puts back everything that the run meant to change and ends it.
func (x *execution) putBack(ctx context.Context, stage string, because error) Result {
	var pending []PendingUndo
	x.look(func(s *State) { pending = s.Pending("") })
	ending := FailedRolledBack
	if len(pending) == 0 && !x.resumed {
		ending = FailedUnchanged
	}
	if incomplete := x.undoAll(ctx, "", because.Error()); incomplete != nil && x.begun {
		return incompleteResult(stage, because, incomplete)
	}
	return Result{Ending: ending, Stage: stage, Reason: because.Error(), Err: because, Hint: hintOf(because)}
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func incompleteResult(stage string, because, incomplete error) Result {
	if errors.Is(incomplete, ErrLockLost) {
		return Result{Ending: Locked, Stage: stage, Reason: ErrLockLost.Error(), Err: incomplete}
	}
	return Result{Ending: RollbackIncomplete, Stage: stage, Err: errors.Join(because, incomplete),
		Reason: fmt.Sprintf("%v; and then: %v", because, incomplete),
		Hint:   "look at it with headgate status, mend the cause, and run headgate rollback"}
}

// undoAll puts back every pending thing, of one stage or of all that are not
// committed, and returns what it could not put back or record. It goes on
// when ctx has been cancelled: what was begun must end.
func (x *execution) undoAll(ctx context.Context, stage, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	x.mu.Lock()
	x.closed = stage == ""
	x.mu.Unlock()

	unrecorded := x.recordAnyway(ctx, Event{Type: RollingBack, Stage: stage, Reason: reason})
	var pending []PendingUndo
	x.look(func(s *State) { pending = s.Pending(stage) })
	var failed []error
	var stuck []string // stages whose urgent things could not be put back
	for _, p := range pending {
		if errors.Is(unrecorded, ErrLockLost) || x.lockLost() {
			return ErrLockLost
		}
		if slices.ContainsFunc(p.Stages, func(s string) bool { return slices.Contains(stuck, s) }) {
			failed = append(failed, fmt.Errorf("%s was left as it is, since users may still depend on it", p.Thing))
			continue
		}
		if err := x.undo(ctx, p, false); err != nil {
			failed = append(failed, fmt.Errorf("put back %s: %w", p.Thing, err))
			stuck = append(stuck, p.Stages...)
			continue
		}
		unrecorded = x.recordAnyway(ctx, Event{Type: Undone, Stage: stage, Change: &Record{Thing: p.Thing}})
	}
	if len(failed) == 0 {
		unrecorded = x.recordAnyway(ctx, Event{Type: RolledBack, Stage: stage, Reason: reason})
	}
	if unrecorded != nil {
		failed = append(failed, unrecorded)
	}
	x.mu.Lock()
	x.closed = false
	x.mu.Unlock()
	return errors.Join(failed...)
}

// recordAnyway is record for putting back: a journal that could not be
// written is tried again, since the last entry of a rollback stands for all
// that are missing before it.
func (x *execution) recordAnyway(ctx context.Context, e Event) error {
	x.mu.Lock()
	x.broken = nil
	x.mu.Unlock()
	return x.record(ctx, e)
}

func (x *execution) lockLost() bool {
	if x.journal == nil {
		return false
	}
	select {
	case <-x.journal.Lost():
		return true
	default:
		return false
	}
}

// undoTries is how often a thing is tried to be put back, with pauses that
// double from one second on.
const undoTries = 6

// undo puts one thing back, trying again what fails: an API server that is
// away for a minute must not leave a release half done.
func (x *execution) undo(ctx context.Context, p PendingUndo, hurry bool) error {
	undoer, ok := x.Undoers[p.Thing.Kind]
	if !ok {
		return fmt.Errorf("nothing knows how to put back a %s", p.Thing.Kind)
	}
	tries, pause := undoTries, time.Second
	if hurry {
		tries, pause = 4, 200*time.Millisecond
	}
	var err error
	for try := range tries {
		if try > 0 {
			x.tell(Event{Type: UndoFailed, Name: p.Thing.String(), Reason: err.Error()})
			if sleepErr := x.Clock.Sleep(ctx, pause); sleepErr != nil {
				return err
			}
			pause *= 2
		}
		tryCtx, cancel := context.WithTimeout(ctx, undoTry)
		err = undoer.Undo(tryCtx, p.Thing, p.Was, hurry)
		cancel()
		if err == nil || ctx.Err() != nil || x.lockLost() {
			return err
		}
	}
	return err
}

// makeSafe ends a cancelled run: it puts back, within seconds, what users
// feel, and leaves the rest to recovery.
func (x *execution) makeSafe(cancelled context.Context, stage string) Result {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cancelled), safeTime)
	defer cancel()
	reason := context.Cause(cancelled).Error()
	var pending []PendingUndo
	var committed bool
	x.look(func(s *State) { pending, committed = s.Pending(""), s.Committed })
	result := Result{Ending: CancelledInt, Stage: stage, Reason: reason, Err: context.Cause(cancelled)}
	if len(pending) == 0 && !committed {
		_ = x.record(ctx, Event{Type: RolledBack, Reason: reason}) // nothing was changed
		return result
	}
	var failed []error
	left := 0
	for _, p := range pending {
		if !p.Urgent {
			left++
			continue
		}
		if err := x.undo(ctx, p, true); err != nil {
			failed = append(failed, fmt.Errorf("put back %s: %w", p.Thing, err))
			continue
		}
		// Interrupted stands for it where this cannot be written.
		_ = x.recordAnyway(ctx, Event{Type: Undone, Change: &Record{Thing: p.Thing}})
	}
	last := Event{Type: Interrupted, Reason: reason}
	switch {
	case committed && len(pending) == 0:
		last = Event{} // nothing to write: the journal already says what is left to finish
	case left == 0 && len(failed) == 0 && !committed:
		last = Event{Type: RolledBack, Reason: reason}
	}
	if last.Type != "" {
		if err := x.recordAnyway(ctx, last); err != nil {
			failed = append(failed, err)
		}
	}
	x.close(lingerTime)
	if len(failed) > 0 {
		return incompleteResult(stage, context.Cause(cancelled), errors.Join(failed...))
	}
	if last.Type != RolledBack {
		result.Hint = "users are on the old version; the rest is cleaned up by: " + x.Options.Recover
		if committed {
			result.Hint = "the new release is live but not finished; it is completed by: " + x.Options.Recover
		}
	}
	return result
}
