package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// deafTime is how long a stage may take to hear that its time is up; it may
// have evidence to collect.
const deafTime = 15 * time.Second

func (x *execution) runStage(ctx context.Context, st *Stage) error {
	if err := x.record(ctx, Event{Type: StageStarted, Stage: st.Name}); err != nil {
		return err
	}
	scope := x.scope(st)
	err := x.call(ctx, scope, func(ctx context.Context) error { return st.Task.Run(ctx, scope) })
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
// that it was cancelled is left behind: it can change nothing any more.
func (x *execution) call(ctx context.Context, s *Scope, work func(ctx context.Context) error) error {
	stageCtx, cancel := context.WithCancel(ctx)
	if limit := s.stage.Timeout.Value; limit > 0 {
		stageCtx, cancel = x.withTimeout(ctx, limit)
	}
	defer cancel()
	defer s.over.Store(true)
	done := make(chan error, 1)
	go func() { done <- guarded("stage", func() error { return work(stageCtx) }) }()
	err := x.outcome(ctx, stageCtx, done)
	if errors.Is(err, errLeftBehind) {
		x.tell(Event{Type: Warned, Stage: s.stage.Name, Message: "the stage did not stop when it was told to; it can change nothing any more"})
		err = context.Cause(stageCtx)
	}
	var timeout *TimeoutError
	if err != nil && ctx.Err() == nil && errors.As(context.Cause(stageCtx), &timeout) && !errors.As(err, new(*TimeoutError)) {
		return fmt.Errorf("%w: %w", timeout, err)
	}
	return err
}

// outcome waits for a stage's work, and for a while longer once its context
// has ended.
func (x *execution) outcome(ctx, stageCtx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-stageCtx.Done():
	}
	patience := time.NewTimer(deafTime)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return errLeftBehind
	case <-ctx.Done():
	}
	patience.Reset(stopTime)
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return errLeftBehind
	}
}

// guarded makes a breakdown an error.
func guarded(what string, work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s broke down: %v\n%s", what, p, debug.Stack())
		}
	}()
	return work()
}

// withTimeout is context.WithTimeoutCause in the run's time.
func (x *execution) withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	cause := &TimeoutError{After: limit}
	if own, ok := x.Clock.(interface {
		WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
	}); ok {
		return own.WithTimeout(ctx, limit, cause)
	}
	return context.WithTimeoutCause(ctx, limit, cause)
}
