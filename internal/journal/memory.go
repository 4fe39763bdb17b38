package journal

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// Memory is a [pipeline.Store] that lives as long as the process. It serves
// tests and plans. The zero value is ready for use.
type Memory struct {
	mu      sync.Mutex
	data    []byte
	history [][]byte
	holder  *memoryJournal
	// last is who held the lock; until keeps it for the same run after Close.
	last  pipeline.Info
	since time.Time
	until time.Time
}

var _ pipeline.Store = (*Memory)(nil)

// Peek reads the newest journal without taking the lock.
func (m *Memory) Peek(ctx context.Context) ([]pipeline.Event, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	data := bytes.Clone(m.data)
	m.mu.Unlock()
	events, _, err := decode("memory", data)
	return events, err
}

// Open takes the lock.
func (m *Memory) Open(ctx context.Context, info pipeline.Info) (pipeline.Journal, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder != nil || (time.Now().Before(m.until) && m.last.ID != info.ID) {
		return nil, &LockedError{Pipeline: info.Pipeline, Run: m.last.ID, URL: m.last.URL, Since: m.since}
	}
	if len(m.data) == 0 {
		m.data = header()
	}
	events, _, err := decode("memory", m.data)
	if err != nil {
		return nil, err
	}
	j := &memoryJournal{store: m, events: events, lost: newLost()}
	m.holder, m.last, m.since, m.until = j, info, time.Now(), time.Time{}
	return j, nil
}

// Break takes the lock away from whoever holds it, as happens to a process
// that died or was cut off: what it still tries to write is refused.
func (m *Memory) Break() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder != nil {
		m.holder.lost.now("it was taken away")
		m.holder = nil
	}
	m.until = time.Time{}
}

// History returns the journals that ended, the newest first.
func (m *Memory) History(ctx context.Context) ([][]pipeline.Event, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all [][]pipeline.Event
	for _, data := range slices.Backward(m.history) {
		events, _, err := decode("memory", data)
		if err != nil {
			return nil, err
		}
		all = append(all, events)
	}
	return all, nil
}

type memoryJournal struct {
	store  *Memory
	events []pipeline.Event
	lost   *lost
	closed bool
}

// Append makes one event durable for the life of the store.
func (j *memoryJournal) Append(ctx context.Context, e pipeline.Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	return j.write(ctx, func(m *Memory) { m.data = append(m.data, line...) })
}

// Reset moves what is there into the history.
func (j *memoryJournal) Reset(ctx context.Context) error {
	return j.write(ctx, func(m *Memory) {
		if len(m.data) > len(header()) {
			m.history = append(m.history, m.data)
		}
		m.data, j.events = header(), nil
	})
}

// write calls do under the store's mutex if the lock is still held.
func (j *memoryJournal) write(ctx context.Context, do func(m *Memory)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	j.store.mu.Lock()
	defer j.store.mu.Unlock()
	if j.closed {
		return errClosed
	}
	if err := j.lost.err(); err != nil {
		return err
	}
	do(j.store)
	return nil
}

// Events returns what was there when the journal was opened or reset.
func (j *memoryJournal) Events() []pipeline.Event {
	j.store.mu.Lock()
	defer j.store.mu.Unlock()
	return slices.Clone(j.events)
}

// Lost is closed by [Memory.Break].
func (j *memoryJournal) Lost() <-chan struct{} { return j.lost.ch }

// Close gives the lock back.
func (j *memoryJournal) Close(_ context.Context, linger time.Duration) error {
	m := j.store
	m.mu.Lock()
	defer m.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	if m.holder == j {
		m.holder = nil
		m.until = time.Now().Add(max(linger, 0))
	}
	return nil
}
