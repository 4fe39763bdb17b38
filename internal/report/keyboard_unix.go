//go:build unix

package report

import (
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// quietKeyboard turns off the echo of a terminal and its key to halt programs,
// and returns what turns them on again. Ctrl-C goes on to be SIGINT, by the
// system itself: it works whatever this process is busy with.
func quietKeyboard(in *os.File) (restore func()) {
	if in == nil || !Foreground(in) {
		return func() {}
	}
	fd := int(in.Fd())
	was, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return func() {}
	}
	now := *was
	now.Lflag &^= unix.ECHO | unix.ECHONL
	now.Cc[unix.VSUSP] = disabled
	if unix.IoctlSetTermios(fd, setTermios, &now) != nil {
		return func() {}
	}
	return func() {
		if Foreground(in) { // else the system would halt us for it
			_ = unix.IoctlSetTermios(fd, setTermios, was) // nothing more can be done
		}
	}
}

// Foreground reports whether f is a terminal that this process is in the
// foreground of. A program in the background is halted by the system when it
// changes how the terminal behaves.
func Foreground(f *os.File) bool {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// widthOf is the width of a terminal in columns, 0 when it is none.
func widthOf(f *os.File) int {
	if f == nil {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}
