package pipeline

import (
	"context"
	"errors"
	"time"
)

// Store is where journals outlive a process: one journal for each pipeline,
// guarded by a lock.
type Store interface {
	// Peek reads the newest journal without taking the lock; nil if none.
	Peek(ctx context.Context) ([]Event, error)
	// Open takes the lock for info and returns the journal, with the entries
	// that are in it. It returns an error that wraps [ErrLocked] when another
	// run holds the lock.
	Open(ctx context.Context, info Info) (Journal, error)
}

// Journal is an open journal. All its writes are fenced by the lock: when it
// was lost, they fail with an error that wraps [ErrLockLost].
type Journal interface {
	// Append makes one event durable before it returns.
	Append(ctx context.Context, e Event) error
	// Events returns the entries that were there when it was opened or reset.
	Events() []Event
	// Reset begins a new journal in the place of one that has ended; what was
	// there is kept as history where the store can.
	Reset(ctx context.Context) error
	// Lost is closed when the lock is no longer held.
	Lost() <-chan struct{}
	// Close gives the lock back; with linger > 0 it is left to expire after
	// that time, so that a recovery started at once is preferred to others.
	Close(ctx context.Context, linger time.Duration) error
}

// ErrLocked is wrapped by errors of [Store.Open] when another run holds the lock.
var ErrLocked = errors.New("locked by another run")

// ErrLockLost is wrapped by errors of a journal whose lock was lost.
var ErrLockLost = errors.New("the lock was lost; another run may be in charge")

// ErrJournal is wrapped by errors of changes that were not made, or not
// followed up, because the journal could not be written.
var ErrJournal = errors.New("the journal cannot be written")

// ErrCancelled is the cause of a context that a signal ended.
var ErrCancelled = errors.New("cancelled")
