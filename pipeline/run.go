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
	// Recover is the command that a person is told to run after a cancelled
	// run, such as "headgate recover headgate.yaml".
	Recover string
}

// The bounds on what happens after ctx has ended or a stage has failed.
const (
	// safeTime is how long a cancelled run may take to make users safe;
	// GitHub kills after 7.5 s and 2.5 s more.
	safeTime = 5 * time.Second
	// stopTime is how long a stage may take to hear that it was cancelled.
	stopTime = 1500 * time.Millisecond
	// undoTime bounds a whole rollback, undoTry one attempt at one thing.
	undoTime = 15 * time.Minute
	undoTry  = 3 * time.Minute
	// lingerTime is how long the lock outlives a cancelled run.
	lingerTime = time.Second
)

// execution is one process of a run.
type execution struct {
	*Runner
	state   *State
	journal Journal
	resumed bool
	// begun says that this run's own RunStarted was recorded.
	begun  bool
	warned map[string]bool // what a preflight has warned of already

	mu     sync.Mutex // guards what follows, and state
	early  []Event    // durable events from before the journal was opened
	broken error      // why the journal cannot be written
	closed bool       // no stage may change anything any more
	stop   context.CancelCauseFunc
	ended  chan struct{} // closed with the journal

	telling sync.Mutex // one event at a time
}

func (r *Runner) execution() *execution {
	return &execution{Runner: r, state: &State{}, ended: make(chan struct{}), warned: map[string]bool{}}
}

// Run runs the pipeline to its end, resuming or putting back an unfinished
// earlier run first, as [Options] say. The end of ctx with the cause
// [ErrCancelled] makes users safe within seconds and leaves the rest to
// [Runner.Recover].
func (r *Runner) Run(ctx context.Context) Result {
	x := r.execution()
	result := x.run(ctx)
	x.tell(Event{Type: RunEnded, Result: &result, Stage: result.Stage, Reason: result.Reason})
	return result
}

func (x *execution) run(ctx context.Context) Result {
	ctx, x.stop = context.WithCancelCause(ctx)
	defer x.stop(nil)
	earlier, err := x.peek(ctx)
	if err != nil {
		return Result{Ending: FailedUnchanged, Reason: err.Error(), Err: err}
	}
	defer x.close(0)
	if result, ended := x.again(earlier); ended {
		return result
	}
	if earlier.Unfinished() {
		if result, ended := x.takeOver(ctx); ended {
			return result
		}
	}
	if result, ended := x.preflight(ctx, x.Pipeline.Stages); ended {
		return result
	}
	return x.forward(ctx)
}

// again answers for the very same run, started again after it has ended: it
// changes nothing.
func (x *execution) again(earlier *State) (result Result, ended bool) {
	if earlier.Run.ID != x.Info.ID || earlier.Run.Digest != x.Info.Digest {
		return Result{}, false
	}
	switch earlier.Phase {
	case EndedDelivered:
		return Result{Ending: Delivered, Reason: "this run has already been delivered"}, true
	case EndedRolledBack:
		return Result{Ending: FailedRolledBack, Reason: "this run has already been put back: " + earlier.Reason,
			Hint: "start it as a new run to try again"}, true
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

// open takes the lock. From then on the run's context ends, with the cause
// [ErrLockLost], when the lock is lost.
func (x *execution) open(ctx context.Context) error {
	if x.journal != nil {
		return nil
	}
	j, err := x.Store.Open(ctx, x.Info)
	if err != nil {
		return err
	}
	x.journal = j
	stop, ended := x.stop, x.ended
	go func() {
		select {
		case <-j.Lost():
			stop(ErrLockLost)
		case <-ended:
		}
	}()
	return nil
}

// begin makes the open journal a new one of this run and writes what
// happened before it was opened.
func (x *execution) begin(ctx context.Context) error {
	if x.begun {
		return nil
	}
	if len(x.journal.Events()) > 0 {
		if err := x.journal.Reset(ctx); err != nil {
			return errors.Join(ErrJournal, err)
		}
	}
	x.mu.Lock()
	early := x.early
	x.early = nil
	x.mu.Unlock()
	for _, e := range early {
		if err := x.journal.Append(ctx, e); err != nil {
			return x.breakJournal(err)
		}
	}
	x.begun = true
	return nil
}

func (x *execution) close(linger time.Duration) {
	if x.journal == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := x.journal.Close(ctx, linger); err != nil {
		x.tell(Event{Type: Warned, Message: "release the lock: " + err.Error()})
	}
	x.journal = nil
	close(x.ended)
}

// record makes a durable event part of the state, of the journal, and known
// to reporters, in that order of importance: what cannot be written is not.
func (x *execution) record(ctx context.Context, e Event) error {
	if e.Time.IsZero() {
		e.Time = x.Clock.Now()
	}
	if err := x.write(ctx, e); err != nil {
		return err
	}
	x.mu.Lock()
	err := x.state.Apply(e)
	x.mu.Unlock()
	if err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	x.tell(e)
	return nil
}

func (x *execution) write(ctx context.Context, e Event) error {
	x.mu.Lock()
	broken := x.broken
	if broken == nil && !x.begun {
		x.early = append(x.early, e)
	}
	begun := x.begun
	x.mu.Unlock()
	if broken != nil {
		return broken
	}
	if !begun {
		return nil
	}
	if err := x.journal.Append(ctx, e); err != nil {
		return x.breakJournal(err)
	}
	return nil
}

// breakJournal remembers that nothing can be recorded any more.
func (x *execution) breakJournal(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.broken == nil {
		x.broken = fmt.Errorf("%w: %w", ErrJournal, err)
	}
	return x.broken
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

// tell hands an event to the reporters, one at a time.
func (x *execution) tell(e Event) {
	if e.Time.IsZero() {
		e.Time = x.Clock.Now()
	}
	x.telling.Lock()
	defer x.telling.Unlock()
	for _, s := range x.Sinks {
		s.Handle(e)
	}
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
