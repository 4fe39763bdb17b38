package proc

import (
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// prepare starts the program in a console group of its own, which is what a
// CTRL_BREAK can be sent to.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// group is a job object, which holds the program and all its children and
// ends them when it is closed.
type group struct {
	job windows.Handle
	pid uint32
}

// newGroup puts a program that was started into a job. Where the system
// refuses that, the program alone is ended.
func newGroup(cmd *exec.Cmd) group {
	g := group{pid: uint32(cmd.Process.Pid)}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return g
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err == nil {
		err = g.assign(job)
	}
	if err != nil {
		_ = windows.CloseHandle(job)
		return g
	}
	g.job = job
	return g
}

func (g group) assign(job windows.Handle) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, g.pid)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(process) }()
	return windows.AssignProcessToJobObject(job, process)
}

func (g group) terminate() {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, g.pid)
}

func (g group) kill() {
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1)
		return
	}
	if process, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, g.pid); err == nil {
		_ = windows.TerminateProcess(process, 1)
		_ = windows.CloseHandle(process)
	}
}

// alive reports false: what is left of a job ends when it is closed.
func (g group) alive() bool { return false }

func (g group) close() {
	if g.job != 0 {
		_ = windows.CloseHandle(g.job)
	}
}

// signalOf returns "": this system has no signals.
func signalOf(*exec.ExitError) string { return "" }
