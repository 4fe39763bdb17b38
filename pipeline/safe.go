package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The bounds on what happens after ctx has ended or a stage has failed.
// GitHub kills 7.5 s and 2.5 s after the first signal; all is to be done 6 s
// after it.
const (
	// stopTime is how long a stage may take to hear that it was cancelled,
	// and hearTime an undo.
	stopTime = 1500 * time.Millisecond
	hearTime = 200 * time.Millisecond
	// urgentBy and recordedBy say when, after the cancellation, users are
	// safe and the journal says so; urgentAtLeast and recordAtLeast are what
	// these get where the stage has used up the time.
	urgentBy      = 4 * time.Second
	urgentAtLeast = 2 * time.Second
	recordedBy    = 5 * time.Second
	recordAtLeast = 700 * time.Millisecond
	// closeTime bounds giving back the lock, closeSoon in a cancelled run.
	closeTime = 5 * time.Second
	closeSoon = 500 * time.Millisecond
	// lingerTime is how long the lock outlives a cancelled run.
	lingerTime = time.Second
	// undoTime bounds a whole rollback; urgentTry and undoTry one attempt at
	// one thing, which for the latter may have a drain to wait for.
	undoTime  = 15 * time.Minute
	urgentTry = time.Minute
	undoTry   = 10 * time.Minute
	// commitTime bounds the commit's write with its repetitions.
	commitTime = 40 * time.Second
)

// beyond returns a context that outlives ctx, by no more than limit in all,
// and ends when the lock is lost.
func (x *execution) beyond(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	ctx, stop := context.WithCancelCause(ctx)
	release := context.AfterFunc(x.held, func() { stop(ErrLockLost) })
	return ctx, func() { release(); stop(nil); cancel() }
}

// until returns how long it is until the given time after the cancellation.
func (x *execution) until(after, atLeast time.Duration) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancelledAt.IsZero() {
		x.cancelledAt = time.Now()
	}
	return max(after-time.Since(x.cancelledAt), atLeast)
}

// makeSafe ends a cancelled run: it puts back, within seconds, what users
// feel, and leaves the rest to recovery.
func (x *execution) makeSafe(cancelled context.Context, stage string) Result {
	x.setClosed(true)
	cause := context.Cause(cancelled)
	var pending []PendingUndo
	var committed bool
	x.look(func(s *State) { pending, committed = s.Pending(""), s.Committed })
	undone, failed := x.undoUrgent(cancelled, pending)
	result := Result{Ending: CancelledInt, Stage: stage, Reason: cause.Error(), Err: cause}

	last := Event{Type: Interrupted, Reason: cause.Error()}
	switch {
	case committed && len(pending) == 0:
		last = Event{} // nothing to write: the journal already says what is left to finish
		result.Hint = "the new release is live but not finished; it is completed by: " + x.Options.Recover
	case committed:
		result.Hint = "the new release is live but not finished; it is completed by: " + x.Options.Recover
	case len(undone) == len(pending):
		last.Type = RolledBack
		if !x.begun && x.found != nil {
			result.Hint = fmt.Sprintf("run %s is still unfinished; what it needs is done by: %s", x.found.Run.ID, x.Options.Recover)
		}
	default:
		result.Hint = "users are on the old version; the rest is cleaned up by: " + x.Options.Recover
	}
	if err := x.recordSafe(cancelled, undone, last); err != nil {
		failed = append(failed, err)
	}
	if x.lockLost() {
		return lostResult(stage, errors.Join(append(failed, cause)...))
	}
	x.close(lingerTime)
	if len(failed) > 0 {
		return incompleteResult(stage, cause, errors.Join(failed...))
	}
	return result
}

// undoUrgent puts back what users feel, and writes nothing meanwhile: a
// journal that hangs must not keep it from being done. Each thing gets its
// share of the time.
func (x *execution) undoUrgent(cancelled context.Context, pending []PendingUndo) (undone []Thing, failed []error) {
	var urgent []PendingUndo
	for _, p := range pending {
		if p.Urgent {
			urgent = append(urgent, p)
		}
	}
	deadline := time.Now().Add(x.until(urgentBy, urgentAtLeast))
	for i, p := range urgent {
		if x.lockLost() {
			return undone, append(failed, ErrLockLost)
		}
		ctx, cancel := x.beyond(cancelled, time.Until(deadline)/time.Duration(len(urgent)-i)-hearTime)
		err := x.undo(ctx, p, true)
		cancel()
		if err != nil {
			failed = append(failed, fmt.Errorf("put back %s: %w", p.Thing, err))
			continue
		}
		undone = append(undone, p.Thing)
	}
	return undone, failed
}

// recordSafe writes how it ended, and then what was put back. In that order:
// a process that dies in between must not leave a journal that has undone
// things and yet invites to go on. RolledBack stands for all of them.
func (x *execution) recordSafe(cancelled context.Context, undone []Thing, last Event) error {
	if !x.begun || x.lockLost() || last.Type == "" {
		return nil
	}
	ctx, cancel := x.beyond(cancelled, x.until(recordedBy, recordAtLeast))
	defer cancel()
	if err := x.recordAnyway(ctx, last); err != nil || last.Type == RolledBack {
		return err
	}
	for _, thing := range undone {
		if err := x.record(ctx, Event{Type: Undone, Change: &Record{Thing: thing}}); err != nil {
			break // it is put back once more, which is harmless
		}
	}
	return nil
}
