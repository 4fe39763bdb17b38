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
		return lostResult(stage, err)
	case errors.As(err, &refused):
		return refused.result
	case errors.As(err, new(*doubtError)):
		return Result{
			Ending: DeliveredNotFinished, Stage: stage, Reason: err.Error(), Err: err,
			Hint: "the new release has all the traffic; run the same command again, which finds out and finishes",
		}
	case errors.Is(err, ErrLocked):
		return Result{Ending: Locked, Stage: stage, Reason: err.Error(), Err: err, Hint: hintOf(err)}
	case ctx.Err() != nil:
		return x.makeSafe(ctx, stage)
	case errors.As(err, &unfinished):
		return Result{
			Ending: DeliveredNotFinished, Stage: unfinished.stage, Reason: err.Error(), Err: err,
			Hint: "the new release is live; run the same command again to finish",
		}
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
			return x.incomplete(ctx, stage, err, incomplete)
		}
	}
	if rest := x.deliver(ctx); rest.Ending != Delivered {
		return rest
	}
	return Result{
		Ending: FailedRolledBack, Stage: stage, Reason: err.Error(), Err: err,
		Hint: "it was put back; the stages before it stay delivered",
	}
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
		return x.incomplete(ctx, stage, because, incomplete)
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

func lostResult(stage string, err error) Result {
	return Result{
		Ending: Locked, Stage: stage, Reason: ErrLockLost.Error(), Err: err,
		Hint: "this run changed nothing after that; look at what the other run does with headgate status",
	}
}

// incomplete ends a run that could not put back, or record, all that it had
// to. A rollback that was cancelled is made safe like any other run.
func (x *execution) incomplete(ctx context.Context, stage string, because, failed error) Result {
	switch {
	case errors.Is(failed, ErrLockLost) || x.lockLost():
		return lostResult(stage, failed)
	case ctx.Err() != nil:
		return x.makeSafe(ctx, stage)
	}
	return incompleteResult(stage, because, failed)
}

func incompleteResult(stage string, because, failed error) Result {
	return Result{
		Ending: RollbackIncomplete, Stage: stage, Err: errors.Join(because, failed),
		Reason: fmt.Sprintf("%v; and then: %v", because, failed),
		Hint:   "look at it with headgate status, mend the cause, and run headgate rollback",
	}
}

// undoAll puts back every pending thing, of one stage or of all that are not
// committed, and returns what it could not put back or record. It ends with
// ctx: then there are seconds left, or somebody else is in charge.
func (x *execution) undoAll(ctx context.Context, stage, reason string) error {
	x.setClosed(stage == "")
	unrecorded := x.recordAnyway(ctx, Event{Type: RollingBack, Stage: stage, Reason: reason})
	var pending []PendingUndo
	x.look(func(s *State) { pending = s.Pending(stage) })
	var failed []error
	var stuck []string // stages of whose things one could not be put back
	deadline := time.Now().Add(undoTime)
	for i, p := range pending {
		if errors.Is(unrecorded, ErrLockLost) || x.lockLost() {
			return ErrLockLost
		}
		if slices.ContainsFunc(p.Stages, func(s string) bool { return slices.Contains(stuck, s) }) {
			failed = append(failed, fmt.Errorf("%s was left as it is, since users may still depend on it", p.Thing))
			continue
		}
		if err := x.undoWithin(ctx, p, time.Until(deadline)/time.Duration(len(pending)-i)); err != nil {
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
	if ctx.Err() == nil {
		x.setClosed(false)
	}
	return errors.Join(failed...)
}

// undoWithin gives one thing its share of the time that there is, so that one
// that hangs leaves the others theirs.
func (x *execution) undoWithin(ctx context.Context, p PendingUndo, share time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	return x.undo(ctx, p, false)
}

func (x *execution) setClosed(closed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = closed
}

// undoTries is how often a thing is tried to be put back, with pauses that
// double from one second on and add up to a minute. hurriedTries is more than
// there is time for.
const (
	undoTries    = 7
	hurriedTries = 12
)

// undo puts one thing back, trying again what fails: an API server that is
// away for a minute must not leave a release half done.
func (x *execution) undo(ctx context.Context, p PendingUndo, hurry bool) error {
	undoer, ok := x.Undoers[p.Thing.Kind]
	if !ok {
		return fmt.Errorf("nothing knows how to put back a %s", p.Thing.Kind)
	}
	tries, pause, longest := undoTries, time.Second, time.Minute
	if hurry {
		tries, pause, longest = hurriedTries, 200*time.Millisecond, 500*time.Millisecond
	}
	var err error
	for try := range tries {
		if try > 0 {
			x.tell(Event{Type: UndoFailed, Name: p.Thing.String(), Reason: err.Error()})
			if x.Clock.Sleep(ctx, pause) != nil {
				return err
			}
			pause = min(2*pause, longest)
		}
		err = undoOnce(ctx, undoer, p, hurry)
		if err == nil || ctx.Err() != nil || x.lockLost() {
			return err
		}
	}
	return err
}

// undoOnce is one attempt. One that does not hear that its time is up is left
// behind; since an undo sets a value, that is harmless.
func undoOnce(ctx context.Context, undoer Undoer, p PendingUndo, hurry bool) error {
	limit := undoTry
	if p.Urgent {
		limit = urgentTry
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- guarded("undo", func() error { return undoer.Undo(ctx, p.Thing, p.Was, hurry) })
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	patience := time.NewTimer(hearTime)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
}
