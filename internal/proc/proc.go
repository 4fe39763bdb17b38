// Package proc runs programs for stages, each in a process group of its own,
// and leaves none of them behind.
package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/headgate-dev/headgate/internal/proc/group"
	"github.com/headgate-dev/headgate/stages"
)

// How long is waited for what a program leaves behind.
const (
	defaultGrace = 5 * time.Second
	// drain is how long the output of children may go on after the program
	// itself has ended; after it they are ended too.
	drain = time.Second
	// reap is how long killed processes may take to be gone.
	reap = time.Second
)

// Runner implements [stages.Commands] with the processes of this machine. The
// zero value is ready for use.
type Runner struct{}

var _ stages.Commands = Runner{}

// Find returns the path of a program, or an error that names it.
func (Runner) Find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find program %s: %w", name, errors.Unwrap(err))
	}
	return path, nil
}

// Run runs the program in a process group of its own and waits for it. When
// ctx ends, the group gets SIGTERM and, after c.Grace, SIGKILL; then, as after
// a program that ended by itself, whatever is left of the group is ended too.
// On Linux, the program also ends when this process is killed.
func (Runner) Run(ctx context.Context, c stages.Command) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(c.Args) == 0 || c.Args[0] == "" {
		return errors.New("run program: no program given")
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	if c.Dir != "" {
		// Else a missing folder looks like a missing program.
		if _, err := os.Stat(c.Dir); err != nil {
			return fmt.Errorf("run %s: %w", c.Args[0], err)
		}
	}
	p, err := start(c)
	if err != nil {
		return err
	}
	return p.wait(ctx)
}

// process is a program that was started.
type process struct {
	command stages.Command
	cmd     *exec.Cmd
	group   group.Group
	streams *streams
	ended   chan error
}

// start starts the program in a goroutine of its own, which waits for it.
func start(c stages.Command) (*process, error) {
	p := &process{command: c, ended: make(chan error, 1)}
	p.cmd = exec.Command(c.Args[0], c.Args[1:]...)
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdin = c.Stdin
	p.cmd.WaitDelay = drain // for a reader of Stdin that does not end
	group.Prepare(p.cmd)
	var err error
	if p.streams, err = openStreams(p.cmd, c); err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	started := make(chan error, 1)
	go func() {
		// The program is told when the thread that started it ends, so that
		// thread must live as long as the program does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.ended <- p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.streams.close()
		return nil, fmt.Errorf("run %s: %w", c.Args[0], reason(err))
	}
	p.group = group.Of(p.cmd)
	p.streams.read()
	return p, nil
}

// wait waits for the program, its output, and the rest of its group.
func (p *process) wait(ctx context.Context) error {
	defer p.group.Close()
	var err error
	var stopped bool
	select {
	case err = <-p.ended:
	case <-ctx.Done():
		stopped = true
		err = p.stop()
	}
	p.rest(stopped)
	if stopped {
		return context.Cause(ctx)
	}
	if err := p.streams.err(); err != nil {
		return fmt.Errorf("read output of %s: %w", p.command.Args[0], err)
	}
	return p.result(err)
}

// stop ends the group and waits for the program itself.
func (p *process) stop() error {
	p.group.Terminate()
	timer := time.NewTimer(p.command.Grace)
	defer timer.Stop()
	select {
	case err := <-p.ended:
		return err
	case <-timer.C:
		p.group.Kill()
		return <-p.ended
	}
}

// rest waits for the output that children still write, then ends them.
func (p *process) rest(stopped bool) {
	if !stopped {
		p.streams.wait(drain)
	}
	if p.group.Alive() {
		p.group.Terminate()
		if !p.gone(p.command.Grace) {
			p.group.Kill()
			p.gone(reap)
		}
	}
	p.streams.wait(drain)
	p.streams.close()
}

// gone waits up to d for the group to be empty and reports whether it is.
func (p *process) gone(d time.Duration) bool {
	for end := time.Now().Add(d); p.group.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// result makes the error of a program that ended by itself.
func (p *process) result(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // only Stdin was not read to its end
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		if err != nil {
			return fmt.Errorf("run %s: %w", p.command.Args[0], err)
		}
		return nil
	}
	return &stages.ExitError{Program: p.command.Args[0], Code: exit.ExitCode(), Signal: group.SignalOf(exit)}
}

// reason leaves away the program's name where the error repeats it.
func reason(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	return err
}
