package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Runner runs a pipeline, or puts back what an earlier process of it left.
// All fields but Values and Options must be set.
type Runner struct {
	Pipeline *Pipeline
	// Values are those that expressions see; Run and Stages are the engine's.
	Values Values
	Info   Info
	Store  Store
	Clock  Clock
	// Sinks are told every event.
	Sinks []Sink
	// Undoers put things back, by [Thing].Kind.
	Undoers map[string]Undoer
	Options Options
}

// Options narrow what a run does. The zero value runs everything.
type Options struct {
	// From and Until name the first and the last stage to run; "" is the
	// first and the last of the file.
	From, Until string
	// OnUnfinished is what to do about an unfinished earlier run: resume
	// (the default), rollback, or stop. A run that cannot be resumed, since
	// the file or the variables have changed, is put back where the policy
	// is resume.
	OnUnfinished string
	// AllowOlder lets a run go on although a run with a higher number came
	// before it.
	AllowOlder bool
	// Recover is the command that a person is told to run after a cancelled
	// run, such as "headgate recover headgate.yaml".
	Recover string
}

// execution is one process of a run.
type execution struct {
	*Runner
	state   *State
	journal Journal
	resumed bool
	// begun says that this run's own RunStarted was recorded.
	begun bool
	// found is the unfinished run that was there before this one, nil if none.
	found  *State
	warned map[string]bool // what a preflight has warned of already

	mu          sync.Mutex // guards what follows, and state
	early       []Event    // durable events from before the journal was opened
	broken      error      // why the journal cannot be written
	closed      bool       // no stage may change anything any more
	shut        bool       // the journal was closed
	cancelledAt time.Time
	stop        context.CancelCauseFunc
	ended       chan struct{} // closed with the journal

	// held ends with [ErrLockLost] when the lock is lost, and never else.
	held context.Context //nolint:containedctx // outlives the contexts of all calls
	lose context.CancelCauseFunc

	writing chan struct{} // one durable event at a time: journal, state and reporters agree on the order
	telling sync.Mutex    // one event at a time
	over    bool          // the reporters have got their last event
}

func (r *Runner) execution() *execution {
	x := &execution{
		Runner: r, state: &State{}, warned: map[string]bool{},
		ended: make(chan struct{}), writing: make(chan struct{}, 1),
	}
	x.held, x.lose = context.WithCancelCause(context.Background())
	return x
}

// under returns ctx so that it also ends when the lock is lost, and notes
// when it ends.
func (x *execution) under(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, x.stop = context.WithCancelCause(ctx)
	forget := context.AfterFunc(ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.cancelledAt = time.Now()
	})
	return ctx, func() { forget(); x.stop(nil) }
}

// Run runs the pipeline to its end, resuming or putting back an unfinished
// earlier run first, as [Options] say. The end of ctx with the cause
// [ErrCancelled] makes users safe within seconds and leaves the rest to
// [Runner.Recover].
func (r *Runner) Run(ctx context.Context) Result {
	x := r.execution()
	result := x.run(ctx)
	x.end(&result)
	return result
}

func (x *execution) run(ctx context.Context) Result {
	ctx, done := x.under(ctx)
	defer done()
	earlier, err := x.peek(ctx)
	if err != nil && ctx.Err() != nil {
		return x.makeSafe(ctx, "")
	}
	if err != nil {
		return x.unread(ctx, err)
	}
	defer x.close(0)
	if result, ended := x.again(earlier); ended {
		return result
	}
	if result, ended := x.outdated(earlier); ended {
		return result
	}
	if earlier.Unfinished() {
		x.found = earlier
		if result, ended := x.takeOver(ctx); ended {
			return result
		}
	}
	if result, ended := x.preflight(ctx, x.Pipeline.Stages); ended {
		return result
	}
	return x.forward(ctx)
}

// unread ends a run whose journal cannot be read. Stages are asked all the
// same, so that somebody who lacks several permissions learns of all at once.
func (x *execution) unread(ctx context.Context, why error) Result {
	result := Result{Ending: FailedUnchanged, Reason: why.Error(), Err: why, Hint: hintOf(why)}
	found, refused := x.preflight(ctx, x.Pipeline.Stages)
	switch {
	case ctx.Err() != nil:
		return x.makeSafe(ctx, "")
	case refused:
		result.Reason += "; " + found.Reason
		result.Findings = found.Findings
	}
	return result
}

// again answers for the very same run, started again after it has ended: it
// changes nothing.
func (x *execution) again(earlier *State) (result Result, ended bool) {
	if earlier.Run.ID != x.Info.ID || earlier.Run.Digest != x.Info.Digest {
		return Result{}, false
	}
	switch earlier.Phase {
	case EndedDelivered:
		for _, st := range earlier.Stages {
			if st.Status == RolledBack {
				return Result{
					Ending: FailedRolledBack, Stage: st.Name, Reason: "this run has already put back stage " + st.Name + ": " + st.Reason,
					Hint: "the stages before it stay delivered; start it as a new run to try again",
				}, true
			}
		}
		return Result{Ending: Delivered, Reason: "this run has already been delivered"}, true
	case EndedRolledBack:
		return Result{
			Ending: FailedRolledBack, Reason: "this run has already been put back: " + earlier.Reason,
			Hint: "start it as a new run to try again",
		}, true
	default: // it has not ended
	}
	return Result{}, false
}

// peek reads the journal of an earlier run without taking the lock.
func (x *execution) peek(ctx context.Context) (*State, error) {
	if !x.changesWorld() {
		return &State{}, nil
	}
	events, err := x.Store.Peek(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for an earlier run: %w", err)
	}
	return Replay(events)
}

func (x *execution) changesWorld() bool {
	for _, st := range x.Pipeline.Stages {
		if st.Changes {
			return true
		}
	}
	return false
}

// mayGoOn is asked before every step forward.
func (x *execution) mayGoOn(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return errors.New("the run is being put back")
	}
	return x.broken
}

// tell hands an event to the reporters, one at a time, and none after the
// last.
func (x *execution) tell(e Event) {
	if e.Time.IsZero() {
		e.Time = x.Clock.Now()
	}
	x.telling.Lock()
	defer x.telling.Unlock()
	if x.over {
		return
	}
	x.over = e.Type == RunEnded
	for _, s := range x.Sinks {
		handle(s, e)
	}
}

// handle keeps a reporter that breaks down from taking the run with it.
func handle(s Sink, e Event) {
	defer func() { _ = recover() }()
	s.Handle(e)
}

// end is the last that reporters hear.
func (x *execution) end(result *Result) {
	x.tell(Event{Type: RunEnded, Result: result, Stage: result.Stage, Reason: result.Reason})
}

// look reads the state while no other goroutine changes it.
func (x *execution) look(read func(s *State)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	read(x.state)
}

// values are what expressions see now.
func (x *execution) values() Values {
	v := x.Values
	v.Run = x.Info
	v.Stages = maps.Clone(v.Stages)
	if v.Stages == nil {
		v.Stages = map[string]map[string]string{}
	}
	x.look(func(s *State) {
		for _, st := range s.Stages {
			if st.Outputs != nil {
				v.Stages[st.Name] = st.Outputs
			}
		}
	})
	return v
}
