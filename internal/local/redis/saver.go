package redis

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// saver writes a file whenever it is asked to, once for all who ask at a time.
type saver struct {
	path string
	take func() snapshot

	mu     sync.Mutex
	wanted uint64        // how often it was asked
	saved  uint64        // up to which of these the file is right
	failed error         // why the last attempt came to nothing
	large  bool          // the file is larger than those that are waited for
	turn   chan struct{} // closed, and made anew, at the end of each attempt
	wake   chan struct{} // holds an element while something is wanted
	stop   chan struct{}
	done   chan struct{}
}

func startSaver(path string, take func() snapshot) *saver {
	s := &saver{
		path: path, take: take,
		turn: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// patience is how long save waits at most: a disk that hangs hangs nobody.
const patience = 5 * time.Second

// save returns once the file holds what was there when it was called, or when
// it cannot be written. It does not wait for a large file.
func (s *saver) save() {
	s.mu.Lock()
	s.wanted++
	mine := s.wanted
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		s.mu.Lock()
		done, turn := s.saved >= mine || s.failed != nil || s.large, s.turn
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-turn:
		case <-late.C:
			return
		case <-s.done:
			return
		}
	}
}

// broken is why the file cannot be written, nil while it can.
func (s *saver) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// retry is the pause after an attempt that failed.
const retry = 500 * time.Millisecond

func (s *saver) run() {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		}
		began := time.Now()
		size, err := s.attempt()
		switch {
		case err != nil:
			s.wakeAgain()
			s.rest(retry)
		case size > Waited:
			s.rest(4 * time.Since(began)) // no more than a fifth of the time
		}
	}
}

// rest waits, but not for long after the end.
func (s *saver) rest(d time.Duration) {
	select {
	case <-s.stop:
	case <-time.After(d):
	}
}

func (s *saver) wakeAgain() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// attempt writes the file once and tells its size.
func (s *saver) attempt() (size int, err error) {
	s.mu.Lock()
	upTo := s.wanted
	s.mu.Unlock()
	size, err = s.write()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.saved, s.large = upTo, size > Waited
	}
	close(s.turn)
	s.turn = make(chan struct{})
	return size, err
}

// write replaces the file at one stroke. It does not wait for the disk: what
// the process wrote outlives it, if not the machine.
func (s *saver) write() (size int, err error) {
	text, err := s.take().encode()
	if err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	next := s.path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.Rename(next, s.path); err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	return len(text), nil
}

// close ends the saver and writes the file for the last time.
func (s *saver) close() error {
	close(s.stop)
	<-s.done
	_, err := s.attempt()
	return err
}
