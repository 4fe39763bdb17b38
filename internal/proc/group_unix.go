//go:build unix

package proc

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is a process group. Its number is not given to anybody else as long
// as one process of it is left.
type group struct{ id int }

// newGroup returns the group of a program that was prepared and started.
func newGroup(cmd *exec.Cmd) group { return group{cmd.Process.Pid} }

func (g group) terminate() { _ = unix.Kill(-g.id, unix.SIGTERM) }

func (g group) kill() { _ = unix.Kill(-g.id, unix.SIGKILL) }

// alive reports whether a process of the group is left. It is asked when the
// program itself has been waited for; where this process is the one that
// inherits orphans, as in a container, it waits for those that have ended.
func (g group) alive() bool {
	for {
		pid, err := unix.Wait4(-g.id, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			break
		}
	}
	return !errors.Is(unix.Kill(-g.id, 0), unix.ESRCH) && running(g.id)
}

func (g group) close() {}

// signalOf names the signal that ended a program, "" if none did.
func signalOf(exit *exec.ExitError) string {
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return ""
	}
	return unix.SignalName(status.Signal())
}
