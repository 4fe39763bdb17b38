package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffset is far behind what the lock file says, since a locked range
// cannot be read by others.
const lockOffset = 1 << 30

// tryLock locks file for this process alone until it is closed. It returns
// false when another one has it.
func tryLock(file *os.File) (bool, error) {
	at := &windows.Overlapped{Offset: lockOffset}
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	err := windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, at)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	}
	return false, err
}

// syncDir does nothing: the system has no such call and keeps names itself.
func syncDir(string) error { return nil }
