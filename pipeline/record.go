package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

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
	go func() {
		select {
		case <-j.Lost():
			x.lose(ErrLockLost)
			x.stop(ErrLockLost)
		case <-x.ended:
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
			return fmt.Errorf("%w: %w", ErrJournal, err)
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

// close gives the lock back. It does not wait for long: a lock that cannot be
// given back runs out.
func (x *execution) close(linger time.Duration) {
	x.mu.Lock()
	shut := x.shut || x.journal == nil
	x.shut = true
	x.mu.Unlock()
	if shut {
		return
	}
	limit := closeTime
	if linger > 0 {
		limit = closeSoon
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- x.journal.Close(ctx, linger) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = errors.New("no answer in time")
	}
	if err != nil {
		x.tell(Event{Type: Warned, Message: "release the lock: " + err.Error()})
	}
	close(x.ended)
}

// errLeftBehind is what a stage gets that still works after the run has gone
// on without it.
var errLeftBehind = errors.New("the run has gone on without this stage")

// record makes a durable event part of the journal, of the state, and known
// to reporters, in that order of importance: what cannot be written is not.
func (x *execution) record(ctx context.Context, e Event) error { return x.recordFor(ctx, nil, e) }

// recordFor is record for a stage, which is refused when it was left behind.
func (x *execution) recordFor(ctx context.Context, s *Scope, e Event) error {
	select {
	case x.writing <- struct{}{}:
		defer func() { <-x.writing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s != nil && s.over.Load() {
		return errLeftBehind
	}
	if e.Time.IsZero() {
		e.Time = x.Clock.Now()
	}
	// An entry that no reader would accept must not get into the journal:
	// nobody could put the run back any more.
	var err error
	x.look(func(s *State) { err = s.legal(e) })
	if err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	if err := x.write(ctx, e); err != nil {
		return err
	}
	x.look(func(s *State) { err = s.Apply(e) })
	if err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	x.tell(e)
	return nil
}

func (x *execution) write(ctx context.Context, e Event) error {
	x.mu.Lock()
	broken, begun, shut := x.broken, x.begun, x.shut
	if broken == nil && !begun {
		x.early = append(x.early, e)
	}
	x.mu.Unlock()
	switch {
	case broken != nil:
		return broken
	case !begun:
		return nil
	case shut:
		return fmt.Errorf("%w: it is closed", ErrJournal)
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

// mendJournal lets the journal be tried again.
func (x *execution) mendJournal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.broken = nil
}

// recordAnyway is record for putting back: a journal that could not be
// written is tried again, since the last entry of a rollback stands for all
// that are missing before it.
func (x *execution) recordAnyway(ctx context.Context, e Event) error {
	x.mendJournal()
	return x.record(ctx, e)
}

// lockLost reports whether somebody else may be in charge.
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
