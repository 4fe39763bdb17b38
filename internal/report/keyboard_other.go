//go:build !unix

package report

import (
	"os"

	"golang.org/x/term"
)

// quietKeyboard leaves the keyboard as it is: a console echoes only what is
// read.
func quietKeyboard(*os.File) (restore func()) { return func() {} }

// Foreground reports whether f is a terminal.
func Foreground(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

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
