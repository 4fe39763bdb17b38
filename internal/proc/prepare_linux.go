package proc

import (
	"os/exec"
	"syscall"
)

// prepare makes the program the first of a new group, and have it told when
// this process dies.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
