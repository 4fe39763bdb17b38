//go:build unix

package keeper

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// ignoreSignals has this process bear what is meant for others, without its
// programs inheriting that. SIGTERM, from whoever takes stock of the machine,
// ends everything.
func ignoreSignals() <-chan os.Signal {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	return stopped
}

// detach gives a keeper a session of its own, so that neither the terminal nor
// what is sent to the group of the one who started it reaches its programs.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// killGroup kills the group of a program whose keeper is gone.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
