//go:build !unix

package load

import "net"

// alive cannot be found out here; a closed connection counts as a failure.
func alive(net.Conn) bool { return true }
