package keeper

import (
	"fmt"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/headgate-dev/headgate/internal/proc/group"
)

// own puts this process into a job object, to which all descend that it
// starts. The job's only handle is closed when this process ends, which ends
// all.
func (k *keeper) own() error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("create job object: %w", err)
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		return fmt.Errorf("limit job object: %w", err)
	}
	if err := windows.AssignProcessToJobObject(job, windows.CurrentProcess()); err != nil {
		return fmt.Errorf("join job object: %w", err)
	}
	return nil
}

// dieWithKeeper does nothing: the job does it.
func dieWithKeeper(*exec.Cmd) {}

// leave leaves alone what an execution has left behind: the job has it.
func leave(group.Group) {}

// endAll ends nothing: the job does, with this process.
func (k *keeper) endAll() int { return 0 }
