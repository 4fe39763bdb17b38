package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// errClosed is returned by the methods of a journal after Close.
var errClosed = errors.New("the journal is closed")

// LockedError reports that another run holds the lock.
type LockedError struct {
	// Pipeline is whose lock it is.
	Pipeline string
	// Run is the id of the run that holds it, URL where to look at it; both
	// may be empty where that is not known.
	Run, URL string
	// Since is when the lock was taken by that run's clock, zero if unknown.
	Since time.Time
}

// Error names the pipeline and the run.
func (e *LockedError) Error() string {
	s := "lock pipeline " + e.Pipeline + ": locked by "
	if e.Run == "" {
		s += "another run"
	} else {
		s += "run " + e.Run
	}
	if !e.Since.IsZero() {
		s += " since " + e.Since.UTC().Format(time.RFC3339)
	}
	if e.URL != "" {
		s += ", " + e.URL
	}
	return s
}

// Unwrap makes errors.Is(err, pipeline.ErrLocked) true.
func (e *LockedError) Unwrap() error { return pipeline.ErrLocked }

// Hint says what a person can do.
func (e *LockedError) Hint() string {
	return "wait for that run to end; the lock of a run that died is free again by itself within seconds"
}

// lost is the state of a lock that can be lost once.
type lost struct {
	once sync.Once
	ch   chan struct{}
	mu   sync.Mutex
	why  string
}

func newLost() *lost { return &lost{ch: make(chan struct{})} }

// now marks the lock as lost; the first reason stays.
func (l *lost) now(why string) {
	l.once.Do(func() {
		l.mu.Lock()
		l.why = why
		l.mu.Unlock()
		close(l.ch)
	})
}

// err returns an error that wraps [pipeline.ErrLockLost] when the lock was
// lost, nil otherwise.
func (l *lost) err() error {
	select {
	case <-l.ch:
		l.mu.Lock()
		defer l.mu.Unlock()
		return fmt.Errorf("write journal: %w: %s", pipeline.ErrLockLost, l.why)
	default:
		return nil
	}
}

// token returns a name for one holder of a lock that no other holder has.
func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
