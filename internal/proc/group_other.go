//go:build unix && !linux

package proc

import (
	"os/exec"
	"syscall"
)

// prepare makes the program the first of a new group.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// running reports whether a process of the group has not ended yet, as far as
// is known: here those count that have ended and were not waited for.
func running(int) bool { return true }
