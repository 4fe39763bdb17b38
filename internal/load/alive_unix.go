//go:build unix

package load

import (
	"errors"
	"net"
	"syscall"
)

// alive reports whether an idle connection is still open at the other end.
func alive(conn net.Conn) bool {
	sys, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		// Nothing to read is what an idle connection has to show; an end, or
		// bytes that nobody asked for, are not.
		open = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && open
}
