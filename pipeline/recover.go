package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Policies for an unfinished earlier run; see [Options].
const (
	PolicyResume   = "resume"
	PolicyRollback = "rollback"
	PolicyStop     = "stop"
)

// Recover does what an unfinished run needs: one that was being put back, or
// was cancelled, or died in the middle, is put back; one that was committed
// is finished. Where nothing is unfinished it changes nothing and the result
// is Delivered with a reason that says so.
func (r *Runner) Recover(ctx context.Context) Result {
	return r.repair(ctx, func(ctx context.Context, x *execution) Result {
		if x.state.Committed {
			return x.completeCommitted(ctx)
		}
		return x.putBack(ctx, x.failedStage(), x.unfinishedReason())
	})
}

// Rollback puts back an unfinished run from its journal alone; Pipeline may
// be empty. A run that is committed is refused, since nothing of it is undone.
func (r *Runner) Rollback(ctx context.Context) Result {
	return r.repair(ctx, func(ctx context.Context, x *execution) Result {
		if x.state.Committed {
			err := fmt.Errorf("run %s is committed: what is delivered is not undone by its journal", x.state.Run.ID)
			return Result{
				Ending: DeliveredNotFinished, Reason: err.Error(), Err: err,
				Hint: "finish it with headgate recover, then release the former version",
			}
		}
		return x.putBack(ctx, x.failedStage(), x.unfinishedReason())
	})
}

// repair takes the lock and hands an unfinished run to what mends it.
func (r *Runner) repair(ctx context.Context, mend func(ctx context.Context, x *execution) Result) Result {
	x := r.execution()
	result := x.repair(ctx, mend)
	x.end(&result)
	return result
}

func (x *execution) repair(ctx context.Context, mend func(ctx context.Context, x *execution) Result) Result {
	ctx, done := x.under(ctx)
	defer done()
	events, err := x.Store.Peek(ctx)
	if err != nil && ctx.Err() != nil {
		return x.makeSafe(ctx, "")
	}
	if err != nil {
		return Result{Ending: RollbackIncomplete, Reason: "look for an unfinished run: " + err.Error(), Err: err, Hint: hintOf(err)}
	}
	state, err := Replay(events)
	if err != nil {
		return Result{Ending: RollbackIncomplete, Reason: err.Error(), Err: err}
	}
	if !state.Unfinished() {
		return Result{Ending: Delivered, Reason: "nothing is unfinished"}
	}
	x.found = state
	defer x.close(0)
	if err := x.adopt(ctx); err != nil {
		result := x.fail(ctx, "", err)
		if result.Ending == FailedUnchanged { // which is not what a person should hear who asked for this
			result.Ending = RollbackIncomplete
		}
		return result
	}
	if !x.state.Unfinished() {
		return Result{Ending: Delivered, Reason: "nothing is unfinished"}
	}
	return mend(ctx, x)
}

// adopt takes the lock and makes the journal's unfinished run this process's.
func (x *execution) adopt(ctx context.Context) error {
	if err := x.open(ctx); err != nil {
		return err
	}
	state, err := Replay(x.journal.Events())
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.state, x.resumed, x.begun = state, state.Unfinished(), state.Unfinished()
	x.mu.Unlock()
	return nil
}

func (x *execution) unfinishedReason() error {
	if x.state.Reason != "" {
		return errors.New(x.state.Reason)
	}
	if st := x.state.Stage(x.failedStage()); st != nil {
		return errors.New(st.Reason)
	}
	return fmt.Errorf("run %s did not end", x.state.Run.ID)
}

// failedStage returns the stage that ended the run's way forward: one that
// failed, whether or not it alone has been put back already.
func (x *execution) failedStage() string {
	for _, status := range []EventType{StageFailed, RolledBack} {
		for _, st := range slices.Backward(x.state.Stages) {
			if st.Status == status {
				return st.Name
			}
		}
	}
	return ""
}

// completeCommitted puts back what is not committed and finishes the rest.
// Stages that the file no longer has cannot be finished.
func (x *execution) completeCommitted(ctx context.Context) Result {
	for _, st := range x.state.Stages {
		if !st.Committed || st.Finished || st.Status != StagePassed {
			continue
		}
		if x.stageNamed(st.Name) == nil {
			err := fmt.Errorf("run %s is committed but not finished, and its stage %q is not in this file", x.state.Run.ID, st.Name)
			return Result{
				Ending: Unfinished, Reason: err.Error(), Err: err,
				Hint: "run headgate recover with the file of that run",
			}
		}
	}
	failed, because := x.failedStage(), x.unfinishedReason()
	var uncommitted bool
	for _, st := range x.state.Stages {
		uncommitted = uncommitted || !st.Committed
	}
	if uncommitted {
		return x.afterFailure(ctx, failed, because)
	}
	return x.deliver(ctx)
}

func (x *execution) stageNamed(name string) *Stage {
	for _, st := range x.Pipeline.Stages {
		if st.Name == name {
			return st
		}
	}
	return nil
}

// takeOver deals with an unfinished earlier run before this one begins. It
// reports ended when the process is to end with the result.
func (x *execution) takeOver(ctx context.Context) (result Result, ended bool) {
	if err := x.adopt(ctx); err != nil {
		return x.fail(ctx, "", err), true
	}
	if !x.state.Unfinished() {
		// It ended while this process took the lock.
		result, ended = x.again(x.state)
		x.startOver()
		return result, ended
	}
	same := x.state.Run.Digest == x.Info.Digest && x.state.Run.Commit == x.Info.Commit
	policy := x.Options.OnUnfinished
	switch {
	case policy == PolicyStop:
		err := fmt.Errorf("run %s (%s) is unfinished", x.state.Run.ID, x.state.Phase)
		return Result{
			Ending: Unfinished, Reason: err.Error(), Err: err,
			Hint: "headgate status shows it; headgate recover does what it needs",
		}, true
	case same && policy != PolicyRollback && x.resumable():
		return x.resume(ctx)
	}
	return x.clearAway(ctx, same)
}

// resumable reports whether the run was neither being put back nor cancelled.
func (x *execution) resumable() bool {
	return x.state.Phase == Running
}

func (x *execution) resume(ctx context.Context) (result Result, ended bool) {
	if err := x.record(ctx, Event{Type: RunResumed, Run: &x.Info}); err != nil {
		return x.fail(ctx, "", err), true
	}
	if err := x.sameWorld(ctx); err != nil {
		return x.fail(ctx, "", err), true
	}
	if failed := x.failedStage(); failed != "" {
		return x.afterFailure(ctx, failed, x.unfinishedReason()), true
	}
	return x.forward(ctx), true
}

// sameWorld checks that what the journal says was made is still there.
// Changes in doubt are made again and need no check.
func (x *execution) sameWorld(ctx context.Context) error {
	var made []*changeState
	x.look(func(s *State) {
		for _, c := range s.standing() {
			if s.revocable(c) && c.keys[c.record.Key] {
				made = append(made, c)
			}
		}
	})
	for _, c := range made {
		matcher, ok := x.Undoers[c.record.Thing.Kind].(Matcher)
		if !ok {
			continue
		}
		same, err := x.matches(ctx, matcher, c)
		if err != nil {
			return fmt.Errorf("resume: look at %s: %w", c.record.Thing, err)
		}
		if !same {
			return fmt.Errorf("resume: %s is not what run %s left; it is put back", c.record.Thing, x.state.Run.ID)
		}
	}
	return nil
}

// lookTries is how often a thing is looked at before a resumed run is given up
// over it: one lost answer must not put a release back.
const lookTries = 3

func (x *execution) matches(ctx context.Context, m Matcher, c *changeState) (same bool, err error) {
	for try := range lookTries {
		if try > 0 {
			if x.Clock.Sleep(ctx, time.Second) != nil {
				break
			}
		}
		if same, err = m.Matches(ctx, c.record.Thing, c.record.To); err == nil {
			return same, nil
		}
	}
	return false, err
}

// clearAway ends another run's remains, so that this run can begin. A
// rollback of this same release that was cut short is this run's own end.
func (x *execution) clearAway(ctx context.Context, same bool) (result Result, ended bool) {
	own := same && (x.state.Phase == PuttingBack || x.failedStage() != "")
	var done Result
	if x.state.Committed {
		done = x.completeCommitted(ctx)
	} else {
		done = x.putBack(ctx, x.failedStage(), x.unfinishedReason())
	}
	clean := done.Ending == Delivered || done.Ending == FailedRolledBack
	if own || !clean {
		return done, true
	}
	id := x.state.Run.ID
	x.startOver()
	x.tell(Event{Type: Warned, Message: fmt.Sprintf("run %s was unfinished and has been ended (%s); this run begins anew", id, done.Ending)})
	return Result{}, false
}

// startOver forgets the earlier run, whose journal has ended.
func (x *execution) startOver() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.state, x.resumed, x.begun, x.found = &State{}, false, false, nil
}
