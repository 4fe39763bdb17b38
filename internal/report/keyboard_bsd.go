//go:build unix && !linux && !aix && !solaris

package report

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
	disabled   = 0xff // a key that is none
)
