package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Bounds of talking to a keeper.
const (
	// startLimit is how long a keeper may take to start its program.
	startLimit = 20 * time.Second
	// orderLimit is how long it may take to read an order.
	orderLimit = 10 * time.Second
	// exitLimit is how long it may take to end everything, beyond its own.
	exitLimit = endLimit + 5*time.Second
	// maxMessage bounds one message, in bytes.
	maxMessage = 64 << 10
	// drain is how long output may still come when everything has ended.
	drain = time.Second
)

// Program is what is to run.
type Program struct {
	// Title tells people what it is, in lists of processes.
	Title string
	// Args are the program and its arguments. A program without a separator is
	// looked for in the PATH of Env.
	Args []string
	// Dir is where it runs, "" for the folder of this process.
	Dir string
	// Env is the whole environment, as NAME=value.
	Env []string
	// Output takes all that it writes; nil throws it away.
	Output io.Writer
}

// End is how a program ended.
type End struct {
	// Code is the exit code, -1 if a signal ended it; Signal names that signal.
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	// Lost says that nobody has seen its end.
	Lost bool `json:"lost,omitempty"`
	// Left is how many processes could not be ended.
	Left int `json:"left,omitempty"`
}

// Result is what came of a program that ran beside the one that is kept.
type Result struct {
	// Code is the exit code, -1 if a signal ended it or it never started;
	// Signal names the signal, Failed says why it could not be started.
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	Failed string `json:"failed,omitempty"`
	// Output is the beginning of what it wrote, ten kilobytes at most.
	Output []byte `json:"output,omitempty"`
}

// StartError is a program that cannot be started.
type StartError struct{ Reason string }

// Error returns the reason.
func (e *StartError) Error() string { return e.Reason }

// ErrEnded is returned for what can no more be done since the program ended.
var ErrEnded = errors.New("the program has ended")

// Process is a program that was started.
type Process struct {
	cmd    *exec.Cmd
	pid    int
	output *copier

	ordering sync.Mutex
	orders   *os.File

	mu    sync.Mutex
	next  int
	execs map[int]chan Result // nil when the program has ended
	ended chan struct{}
	end   End
}

// Start starts a program under a keeper. ctx bounds the start alone. A program
// that cannot be started is a [StartError].
func Start(ctx context.Context, p Program) (*Process, error) {
	if os.Getenv(marker) != "" {
		return nil, errors.New("start program: keeper.Main was not called first thing in main")
	}
	if p.Dir != "" {
		dir, err := filepath.Abs(p.Dir)
		if err != nil {
			return nil, fmt.Errorf("start program: %w", err)
		}
		p.Dir = dir
	}
	process, messages, err := launch(p)
	if err != nil {
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %s", startLimit))
	defer cancel()
	begun := make(chan error, 1)
	go process.follow(messages, begun)
	process.order(order{Start: &program{Args: toBytes(p.Args), Dir: p.Dir, Env: toBytes(p.Env)}})
	select {
	case err = <-begun:
	case <-ctx.Done():
		err = fmt.Errorf("start keeper: %w", context.Cause(ctx))
	}
	if err != nil {
		process.Kill()
		<-process.ended
		return nil, err
	}
	return process, nil
}

// launch starts the keeper.
func launch(p Program) (*Process, *os.File, error) {
	self, err := executable()
	if err != nil {
		return nil, nil, err
	}
	var pipes [3]struct{ r, w *os.File } // orders, messages, output
	for i := range pipes {
		if pipes[i].r, pipes[i].w, err = os.Pipe(); err != nil {
			for _, pipe := range pipes[:i] {
				_, _ = pipe.r.Close(), pipe.w.Close()
			}
			return nil, nil, err
		}
	}
	cmd := exec.Command(self)
	cmd.Args = []string{name, p.Title}
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes[0].r, pipes[1].w, pipes[2].w
	detach(cmd)
	err = cmd.Start()
	_, _, _ = pipes[0].r.Close(), pipes[1].w.Close(), pipes[2].w.Close()
	if err != nil {
		_, _, _ = pipes[0].w.Close(), pipes[1].r.Close(), pipes[2].r.Close()
		return nil, nil, err
	}
	process := &Process{
		cmd: cmd, orders: pipes[0].w, output: copyFrom(pipes[2].r, p.Output),
		execs: map[int]chan Result{}, ended: make(chan struct{}),
	}
	return process, pipes[1].r, nil
}

// executable is this program, also when its file was replaced since.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// follow reads what the keeper says until it has ended.
func (p *Process) follow(messages *os.File, begun chan<- error) {
	end := End{Code: -1, Lost: true}
	in := bufio.NewScanner(messages)
	in.Buffer(nil, maxMessage)
	for in.Scan() {
		var m message
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			tell(begun, fmt.Errorf("start keeper: got %.80q: keeper.Main was not called first thing in main", in.Text()))
			_ = p.cmd.Process.Kill()
			break
		}
		switch {
		case m.Failed != "":
			tell(begun, &StartError{m.Failed})
		case m.Started != 0:
			p.pid = m.Started
			tell(begun, nil)
		case m.Exec != nil:
			p.executed(m.Exec)
		case m.Ended != nil:
			end = *m.Ended
		}
		if m.Ended != nil {
			break
		}
	}
	tell(begun, errors.New("start keeper: it ended without a word"))
	p.finish(end)
	_ = messages.Close()
}

// tell sends what came of a start, unless that was told already.
func tell(begun chan<- error, err error) {
	select {
	case begun <- err:
	default:
	}
}

// finish waits for the keeper, which has nothing more to do, and for the last
// output.
func (p *Process) finish(end End) {
	// The end of the orders, too, has it end everything.
	_ = p.orders.Close()
	if !end.Lost {
		_ = p.cmd.Process.Kill()
	}
	limit := time.AfterFunc(exitLimit, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	limit.Stop()
	if end.Lost && p.pid != 0 {
		killGroup(p.pid)
	}
	p.output.finish()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, result := range p.execs {
		close(result)
	}
	p.execs, p.end = nil, end
	close(p.ended)
}

// order sends an order. A keeper that does not read it is gone or hangs; then
// it is killed, and its program with it.
func (p *Process) order(o order) {
	p.ordering.Lock()
	defer p.ordering.Unlock()
	_ = p.orders.SetWriteDeadline(time.Now().Add(orderLimit)) // not on all systems
	if err := json.NewEncoder(p.orders).Encode(o); err != nil && !errors.Is(err, os.ErrClosed) {
		_ = p.cmd.Process.Kill()
	}
}

// Pid returns the number of the program's process.
func (p *Process) Pid() int { return p.pid }

// Ended is closed when the program and all its descendants have ended and its
// output was read.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// End returns how the program ended, when it has.
func (p *Process) End() End {
	<-p.ended
	return p.end
}

// Terminate asks the program and its group to end.
func (p *Process) Terminate() { p.order(order{Terminate: true}) }

// Kill ends everything at once; it does not wait.
func (p *Process) Kill() { p.order(order{Kill: true}) }

// Exec runs a program beside the one that is kept, in the same folder and
// environment, and waits for it. When ctx ends, it is killed and the cause
// returned. What it leaves running ends with the program that is kept.
func (p *Process) Exec(ctx context.Context, args []string) (Result, error) {
	p.mu.Lock()
	if p.execs == nil {
		p.mu.Unlock()
		return Result{}, ErrEnded
	}
	p.next++
	id, result := p.next, make(chan Result, 1)
	p.execs[id] = result
	p.mu.Unlock()
	p.order(order{Exec: &execution{ID: id, Args: toBytes(args)}})
	select {
	case r, ok := <-result:
		if !ok {
			return Result{}, ErrEnded
		}
		return r, nil
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.execs, id)
		p.mu.Unlock()
		p.order(order{Cancel: id})
		return Result{}, context.Cause(ctx)
	}
}

// executed hands a result to the one who waits for it.
func (p *Process) executed(e *executed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if result, ok := p.execs[e.ID]; ok {
		result <- e.Result
		delete(p.execs, e.ID)
	}
}
