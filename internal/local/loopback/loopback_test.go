package loopback_test

import (
	"errors"
	"testing"

	"github.com/headgate-dev/headgate/internal/local/loopback"
)

func TestAddress(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"", "127.0.0.1:0"},
		{"127.0.0.1:9090", "127.0.0.1:9090"},
		{"127.8.7.6:1", "127.8.7.6:1"},
		{"localhost:0", "127.0.0.1:0"},
		{"[::1]:8080", "[::1]:8080"},
	} {
		if got, err := loopback.Address(tt.address); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.address, got, err, tt.want)
		}
	}
}

func TestAddressesOfOthersAreRefused(t *testing.T) {
	for _, address := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "192.168.1.7:80", "example.com:80", "localhost.example.com:80"} {
		_, err := loopback.Address(address)
		if e, ok := errors.AsType[*loopback.OpenError](err); !ok || e.Hint() == "" {
			t.Errorf("%q: got %v, want an OpenError", address, err)
		}
	}
}

func TestWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", "127.0.0.1:-1"} {
		if got, err := loopback.Address(address); err == nil {
			t.Errorf("%q: got %q, want an error", address, got)
		}
	}
}
