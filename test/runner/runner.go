// Package runner runs the headgate binary in tests and follows its events.
package runner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// Run is a headgate process, whose JSON events on stdout are read.
type Run struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	events []pipeline.Event
	errors lines
	seen   chan pipeline.Event
	done   chan struct{}
}

// lines gathers what a process writes while others read it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all so far.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start starts a binary in a folder. It is killed when the test ends, if it
// still runs then, and what it did is logged when the test has failed.
func Start(t *testing.T, binary, dir string, args ...string) *Run {
	t.Helper()
	r := &Run{t: t, seen: make(chan pipeline.Event, 10000), done: make(chan struct{})}
	r.cmd = exec.Command(binary, args...)
	r.cmd.Dir = dir
	r.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = &r.errors
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		defer close(r.seen)
		for text := bufio.NewScanner(out); text.Scan(); {
			var e pipeline.Event
			if json.Unmarshal(text.Bytes(), &e) != nil {
				continue
			}
			r.mu.Lock()
			r.events = append(r.events, e)
			r.mu.Unlock()
			r.seen <- e
		}
	}()
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("headgate %s:\n%s%s", strings.Join(args, " "), r.Story(), r.errors.String())
		}
	})
	return r
}

// Process is that of the run.
func (r *Run) Process() *os.Process { return r.cmd.Process }

// Errors is what it has written to stderr so far.
func (r *Run) Errors() string { return r.errors.String() }

// Seen gives every event as it comes, and is closed at the end of stdout.
func (r *Run) Seen() <-chan pipeline.Event { return r.seen }

// Wait waits for the end and returns the exit code.
func (r *Run) Wait() int {
	r.t.Helper()
	timer := time.AfterFunc(3*time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer timer.Stop()
	<-r.done
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return r.cmd.ProcessState.ExitCode()
}

// Want waits and checks the ending.
func (r *Run) Want(ending pipeline.Ending) pipeline.Result {
	r.t.Helper()
	if code := r.Wait(); code != int(ending) {
		r.t.Errorf("headgate ended with %d, want %d (%s)\n%s%s", code, int(ending), ending, r.Story(), r.errors.String())
	}
	for _, e := range slices.Backward(r.All()) {
		if e.Type == pipeline.RunEnded && e.Result != nil {
			return *e.Result
		}
	}
	return pipeline.Result{}
}

// All are the events so far.
func (r *Run) All() []pipeline.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Until waits for an event.
func (r *Run) Until(what string, ok func(e pipeline.Event) bool) pipeline.Event {
	r.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case e, open := <-r.seen:
			if !open {
				r.t.Fatalf("headgate ended before %s:\n%s%s", what, r.Story(), r.errors.String())
			}
			if ok(e) {
				return e
			}
		case <-limit:
			r.t.Fatalf("waited in vain for %s:\n%s", what, r.Story())
		}
	}
}

// UntilWeight waits until the canary got a weight in percent.
func (r *Run) UntilWeight(weight float64) pipeline.Event {
	r.t.Helper()
	return r.Until("the weight was set", func(e pipeline.Event) bool {
		return e.Type == pipeline.TrafficShifted && e.Weight != nil && *e.Weight == weight
	})
}

// Undone is when a thing was put back; zero if it was not.
func (r *Run) Undone(kind string) time.Time {
	for _, e := range r.All() {
		if e.Type == pipeline.Undone && e.Change.Thing.Kind == kind {
			return e.Time
		}
	}
	return time.Time{}
}

// Story is what happened, for failing tests.
func (r *Run) Story() string {
	var b strings.Builder
	for _, e := range r.All() {
		line := []string{e.Time.Format("15:04:05.000"), string(e.Type), e.Stage, e.Name, e.Reason, e.Message}
		if e.Change != nil {
			line = append(line, e.Change.Thing.String(), e.Change.Key)
		}
		if e.Verdict != nil {
			line = append(line, e.Verdict.Outcome.String(), e.Verdict.Reason)
		}
		if e.Result != nil {
			line = append(line, e.Result.Ending.String(), e.Result.Hint)
		}
		b.WriteString(strings.Join(slices.DeleteFunc(line, func(s string) bool { return s == "" }), "  ") + "\n")
	}
	return b.String()
}
