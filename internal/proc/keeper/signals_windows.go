package keeper

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// ignoreSignals does nothing: a keeper gets none.
func ignoreSignals() <-chan os.Signal { return nil }

// detach keeps Ctrl-C away from a keeper.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// killGroup does nothing: the keeper's job has ended with it.
func killGroup(int) {}
