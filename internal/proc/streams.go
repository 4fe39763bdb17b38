package proc

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/internal/proc/lines"
	"github.com/headgate-dev/headgate/stages"
)

// streams are the pipes that a program writes to. They are our own and not
// those of package exec, so that a child that holds one open cannot keep us
// from noticing that the program has ended.
type streams struct {
	readers []*os.File
	writers []*os.File
	sinks   []io.Writer
	output  *lines.Writer
	reading bool

	done sync.WaitGroup
	all  chan struct{}
	mu   sync.Mutex
	bad  error
}

// openStreams makes the pipes that c asks for.
func openStreams(cmd *exec.Cmd, c stages.Command) (*streams, error) {
	s := &streams{all: make(chan struct{})}
	if c.Output != nil {
		s.output = &lines.Writer{Emit: c.Output}
		w, err := s.pipe(s.output)
		if err != nil {
			return nil, err
		}
		cmd.Stdout, cmd.Stderr = w, w
	}
	if c.Stdout != nil {
		w, err := s.pipe(c.Stdout)
		if err != nil {
			s.close()
			return nil, err
		}
		cmd.Stdout = w
	}
	return s, nil
}

// pipe returns the end that the program writes to.
func (s *streams) pipe(sink io.Writer) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.readers, s.writers, s.sinks = append(s.readers, r), append(s.writers, w), append(s.sinks, sink)
	return w, nil
}

// read begins to read. The program has its own copies of the writing ends.
func (s *streams) read() {
	for _, w := range s.writers {
		_ = w.Close()
	}
	s.writers, s.reading = nil, true
	for i, r := range s.readers {
		s.done.Go(func() { s.copy(s.sinks[i], r) })
	}
	go func() { // ends with the readers, which close ends
		s.done.Wait()
		close(s.all)
	}()
}

// copy reads to the end, also when the sink does not take it any more, lest
// the program hang on a full pipe.
func (s *streams) copy(sink io.Writer, r *os.File) {
	_, err := io.Copy(sink, r)
	if err == nil || errors.Is(err, os.ErrClosed) {
		return
	}
	s.mu.Lock()
	s.bad = err
	s.mu.Unlock()
	_, _ = io.Copy(io.Discard, r)
}

// wait waits up to d for all output to be read.
func (s *streams) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.all:
	case <-timer.C:
	}
}

// close ends reading and emits what is left of a line. After it nothing is
// given to the caller's functions any more.
func (s *streams) close() {
	for _, f := range s.writers {
		_ = f.Close()
	}
	for _, f := range s.readers {
		_ = f.Close() // ends a read that waits
	}
	if s.reading {
		<-s.all
	}
	if s.output != nil {
		s.output.Flush()
	}
}

// err returns the first error of a sink.
func (s *streams) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad
}
