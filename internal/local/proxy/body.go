package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// body is a client's body. It is still whole when a pod could not be reached,
// for it does not let the transport close it.
type body struct {
	from io.ReadCloser

	mu      sync.Mutex
	reading bool // at this moment
	read    bool // at least a part
	over    bool // all of it
	broken  bool // by the client
	ended   bool // nobody may read any more
}

// Read notes that the body is not whole any more.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.reading, b.read = true, true
	b.mu.Unlock()
	n, err := b.from.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.over = b.over || errors.Is(err, io.EOF)
	b.broken = b.broken || err != nil && !b.over
	return n, err
}

// Close does nothing; see [body.end].
func (b *body) Close() error { return nil }

// end passes over what is left of a request of HTTP/1 that has been answered.
// Else the server's own passing over it would meet its waiting for the next
// request, and it would break the connection off (https://go.dev/issue/68560).
// What is being read is ended by the server; so is a connection whose client
// still waits for leave to send the body.
func (b *body) end(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.ended = true
	leave := b.reading || b.over || !b.read && r.Header.Get("Expect") != ""
	b.mu.Unlock()
	if leave {
		return
	}
	// The client may wait for the answer before it sends the rest.
	_ = http.NewResponseController(w).Flush()
	_ = b.from.Close()
}

// touched reports whether any of it was read.
func (b *body) touched() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read
}

// failed reports whether the client did not send all of it.
func (b *body) failed() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}
