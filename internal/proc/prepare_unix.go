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
