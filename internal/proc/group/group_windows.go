package group

import (
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Prepare starts the program in a console group of its own, which is what a
// CTRL_BREAK can be sent to.
func Prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// Group is a job object, which holds the program and all its children and
// ends them when it is closed.
type Group struct {
	job windows.Handle
	pid uint32
}

// Of puts a program that was started into a job. Where the system
// refuses that, the program alone is ended.
func Of(cmd *exec.Cmd) Group {
	g := Group{pid: uint32(cmd.Process.Pid)}
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

func (g Group) assign(job windows.Handle) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, g.pid)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(process) }()
	return windows.AssignProcessToJobObject(job, process)
}

// Terminate asks all programs of the group to end.
func (g Group) Terminate() {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, g.pid)
}

// Kill ends them.
func (g Group) Kill() {
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1)
		return
	}
	if process, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, g.pid); err == nil {
		_ = windows.TerminateProcess(process, 1)
		_ = windows.CloseHandle(process)
	}
}

// Alive reports false: what is left of a job ends when it is closed.
func (g Group) Alive() bool { return false }

// Close gives up what the group holds of the system, and ends what is left.
func (g Group) Close() {
	if g.job != 0 {
		_ = windows.CloseHandle(g.job)
	}
}

// SignalOf returns "": this system has no signals.
func SignalOf(*exec.ExitError) string { return "" }
