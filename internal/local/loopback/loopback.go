// Package loopback says which addresses belong to this machine alone.
package loopback

import (
	"fmt"
	"net"
	"strconv"
)

// Host reports whether host is a name or an address of loopback.
func Host(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Address returns the address to listen on: address itself, with 127.0.0.1
// for localhost, or 127.0.0.1 and a free port where it is "". One that others
// could reach is an error with a hint.
func Address(address string) (string, error) {
	if address == "" {
		return "127.0.0.1:0", nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("read address %q: %w", address, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("read address %q: %q is no port", address, port)
	}
	if !Host(host) {
		return "", &OpenError{Address: address}
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// OpenError is about an address that others could reach.
type OpenError struct{ Address string }

// Error names the address.
func (e *OpenError) Error() string {
	return fmt.Sprintf("listen on %s: it is not on loopback, and what runs here is not for others", e.Address)
}

// Hint says what to write.
func (e *OpenError) Hint() string { return "use 127.0.0.1 and a port, such as 127.0.0.1:8080" }
