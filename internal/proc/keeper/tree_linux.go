package keeper

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headgate-dev/headgate/internal/proc/group"
)

// own makes this process the parent of all descendants that lose theirs.
func (k *keeper) own() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // for ps, which would say "exe"
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	go func() { // ends with this process
		for range children {
			k.reap(false)
			time.Sleep(100 * time.Millisecond) // the next signal is kept
		}
	}()
	return nil
}

// dieWithKeeper has the system kill the program when this process is gone.
func dieWithKeeper(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = unix.SIGKILL }

// leave leaves alone what an execution has left behind: it ends with the
// program.
func leave(group.Group) {}

// endAll kills children until there are none; whoever loses a parent by that
// becomes a child. It returns how many are left when it gives up.
func (k *keeper) endAll() int {
	pause := time.Millisecond
	for end := time.Now().Add(endLimit); ; time.Sleep(pause) {
		left := k.reap(true)
		if childless() {
			return 0
		}
		if time.Now().After(end) {
			return max(left, 1) // without /proc none is seen
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// childless reports whether this process has no child at all.
func childless() bool {
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return errors.Is(err, unix.ECHILD)
		}
	}
}

// reap waits for children that have ended and that nobody else waits for;
// with kill it kills the others. It returns how many children it saw.
//
// Numbers of processes are given anew only after they were waited for. These
// are our own children, so nobody but us does that, under the lock.
func (k *keeper) reap(kill bool) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := 0
	for pid, ended := range children() {
		seen++
		switch {
		case ended && !k.known[pid]:
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		case !ended && kill:
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return seen
}

// children returns the children of this process and whether they have ended.
func children() map[int]bool {
	found := map[int]bool{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	self := strconv.Itoa(os.Getpid())
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has just gone
		}
		// Behind the name, which may hold anything, stand state and parent.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == self {
			found[pid] = fields[0] == "Z" || fields[0] == "X"
		}
	}
	return found
}
