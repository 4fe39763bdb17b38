package group

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Prepare makes the program the first of a new group, and have it told when
// this process dies.
func Prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// running reports whether a process of the group has not ended yet. The
// system counts those, too, that have ended and that nobody has waited for,
// which in many containers nobody ever does.
func running(group int) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true // as far as is known
	}
	found := false
	for _, e := range entries {
		if name := e.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has just gone
		}
		found = true
		// Behind the name, which may hold anything, stand state, parent, group.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return !found
}
