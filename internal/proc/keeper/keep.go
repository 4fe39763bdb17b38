package keeper

import (
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

	"github.com/headgate-dev/headgate/internal/proc/group"
)

// name is what a keeper is called, argument 0.
const name = "headgate-keeper"

// marker is in the environment of keepers and not of their programs.
const marker = "HEADGATE_KEEPER"

// How long a keeper tries to end processes, and how much it reads of what an
// execution writes, in bytes.
const (
	endLimit  = 10 * time.Second
	maxOutput = 10 << 10
)

// Main does not return when this process was started as a keeper, and does
// nothing else.
func Main() {
	if len(os.Args) == 0 || filepath.Base(os.Args[0]) != name {
		return
	}
	os.Exit(keep(os.Stdin, os.Stdout, os.Stderr))
}

// keeper is the process that keeps a program.
type keeper struct {
	// mu is held while a program is started, so that it is known before its
	// end is noticed.
	mu    sync.Mutex
	known map[int]bool // programs that somebody waits for
	execs map[int]*exec.Cmd
	// finishing says that what ends now ends since the program has.
	finishing bool

	say         sync.Mutex
	out         *json.Encoder
	output      *os.File
	orders      chan order
	program     program
	main        group.Group
	running     bool
	terminating bool
}

// keep keeps one program and returns when nothing of it is left.
func keep(in io.Reader, out io.Writer, output *os.File) int {
	k := &keeper{
		known: map[int]bool{}, execs: map[int]*exec.Cmd{},
		out: json.NewEncoder(out), output: output, orders: make(chan order),
	}
	if err := k.own(); err != nil {
		k.tell(message{Failed: fmt.Sprintf("keep programs: %v", err)})
		return 1
	}
	stopped := ignoreSignals()
	go k.listen(in)
	first, ok := <-k.orders
	if !ok || first.Start == nil {
		return 1
	}
	k.program = *first.Start
	cmd, err := k.command(k.program.Args)
	if err == nil {
		cmd.Stdout, cmd.Stderr = output, output
	}
	ended, err := k.run(cmd, err)
	if err != nil {
		k.tell(message{Failed: err.Error()})
		return 1
	}
	k.main, k.running = group.Of(cmd), true
	k.tell(message{Started: cmd.Process.Pid})
	end := k.serve(ended, stopped)
	k.tell(message{Ended: &end})
	return 0
}

// listen reads orders until nobody gives any.
func (k *keeper) listen(in io.Reader) {
	defer close(k.orders)
	for dec := json.NewDecoder(in); ; {
		var o order
		if dec.Decode(&o) != nil {
			return
		}
		k.orders <- o
	}
}

// serve does as it is told until the program and its tree have ended.
func (k *keeper) serve(ended <-chan error, stopped <-chan os.Signal) End {
	var end End
	var rest <-chan time.Time // ticks while the group is left to end by itself
	defer k.main.Close()
	for {
		select {
		case o, ok := <-k.orders:
			switch {
			case !ok || o.Kill:
				return k.finish(end, ended)
			case o.Terminate:
				k.terminating = true
				k.main.Terminate()
			case o.Exec != nil:
				k.exec(*o.Exec)
			case o.Cancel != 0:
				k.cancel(o.Cancel)
			}
		case <-stopped:
			return k.finish(end, ended)
		case err := <-ended:
			end, k.running = endOf(err), false
			// A shell that dies of the signal may have a child in its group
			// that is about to end well; others decide when all is over.
			if !k.terminating || end.Signal != "SIGTERM" {
				return k.finish(end, nil)
			}
			ticker := time.NewTicker(25 * time.Millisecond)
			defer ticker.Stop()
			rest = ticker.C
		case <-rest:
			if !k.main.Alive() {
				return k.finish(end, nil)
			}
		}
	}
}

// finish ends what is left. ended is nil when the program's end is known.
func (k *keeper) finish(end End, ended <-chan error) End {
	k.mu.Lock()
	k.finishing = true
	k.mu.Unlock()
	if k.running {
		k.main.Kill()
	}
	left := make(chan int, 1)
	go func() { left <- k.endAll() }()
	limit := time.NewTimer(endLimit)
	defer limit.Stop()
	if k.running && ended != nil {
		select {
		case err := <-ended:
			end = endOf(err)
		case <-limit.C:
			end.Lost = true
		}
	}
	end.Left = <-left
	return end
}

// command prepares a program of the container.
func (k *keeper) command(args [][]byte) (*exec.Cmd, error) {
	words := toStrings(args)
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("no program given")
	}
	if k.program.Dir != "" {
		// Else a missing folder looks like a missing program.
		if _, err := os.Stat(k.program.Dir); err != nil {
			return nil, fmt.Errorf("program %s: %w", words[0], err)
		}
	}
	env := toStrings(k.program.Env)
	path, err := find(words[0], env)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Args, cmd.Dir, cmd.Env = words, k.program.Dir, env
	group.Prepare(cmd)
	dieWithKeeper(cmd)
	return cmd, nil
}

// run starts a program, unless err says that it cannot, and waits for it in a
// goroutine of its own.
func (k *keeper) run(cmd *exec.Cmd, err error) (<-chan error, error) {
	if err != nil {
		return nil, err
	}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The program is told when the thread that started it ends, so that
		// thread must live as long as the program does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		k.mu.Lock()
		err := cmd.Start()
		if err == nil {
			k.known[cmd.Process.Pid] = true
		}
		k.mu.Unlock()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		k.mu.Lock()
		delete(k.known, cmd.Process.Pid)
		k.mu.Unlock()
		ended <- err
	}()
	if err := <-started; err != nil {
		if inner, ok := errors.AsType[*os.PathError](err); ok {
			err = inner.Err // the rest of it only repeats the path
		}
		return nil, fmt.Errorf("program %s: %w", cmd.Args[0], err)
	}
	return ended, nil
}

// tell writes a message. Who does not listen is gone, and that is noticed by
// the end of the orders.
func (k *keeper) tell(m message) {
	k.say.Lock()
	defer k.say.Unlock()
	_ = k.out.Encode(m)
}

// endOf reads how a program ended.
func endOf(err error) End {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok:
		return End{Code: exit.ExitCode(), Signal: group.SignalOf(exit)}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return End{Code: -1, Lost: true}
	}
	return End{}
}
