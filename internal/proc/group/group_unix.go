//go:build unix

package group

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Group is a process group. Its number is not given to anybody else as long
// as one process of it is left.
type Group struct{ id int }

// Of returns the group of a program that was prepared and started.
func Of(cmd *exec.Cmd) Group { return Group{cmd.Process.Pid} }

// Terminate asks all programs of the group to end.
func (g Group) Terminate() { _ = unix.Kill(-g.id, unix.SIGTERM) }

// Kill ends them.
func (g Group) Kill() { _ = unix.Kill(-g.id, unix.SIGKILL) }

// Alive reports whether a process of the group is left. It is asked when the
// program itself has been waited for; where this process is the one that
// inherits orphans, as in a container, it waits for those that have ended.
func (g Group) Alive() bool {
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

// Close gives up what the group holds of the system.
func (g Group) Close() {}

// SignalOf names the signal that ended a program, "" if none did.
func SignalOf(exit *exec.ExitError) string {
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return ""
	}
	return unix.SignalName(status.Signal())
}
