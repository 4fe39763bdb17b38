// Package redis is a Redis inside this process, on loopback, whose keys
// outlive the process in a file.
//
// A write is answered once the file holds it, so what a client was told stays
// true when the process is killed. Where the file is larger than [Waited], it
// is written behind the answers, some moments later. A file that cannot be
// written is found out by the write that it happens to; those after it are
// refused until it can. Not kept are the consumer groups of streams,
// HyperLogLogs, scripts, and the times to live of single fields of hashes.
package redis

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/headgate-dev/headgate/internal/local/loopback"
)

// Waited is the size, in bytes, up to which the answer to a write waits for
// the file.
const Waited = 256 << 10

// Options say how a [Server] works. The zero value is of use.
type Options struct {
	// Listen is the address, of loopback only; "" means 127.0.0.1 and a free
	// port.
	Listen string
	// Snapshot is the file that holds the keys between two lives of a server;
	// "" keeps them nowhere. Only one server at a time may use it.
	Snapshot string
	// Password is what clients must say; "" means one made at random.
	Password string
}

// Server is a Redis.
type Server struct {
	redis    *miniredis.Miniredis
	commands *server.Server
	url      string
	saver    *saver // nil where nothing is kept
	peers    sync.Map
	// writing is held, shared, by each write and, alone, by each snapshot, so
	// that no snapshot shows half of a script or of a transaction.
	writing sync.RWMutex
	closing sync.Once
	closed  error
}

// Open starts a server with the keys of its snapshot, where there is one. A
// snapshot that cannot be read is an error with a hint. Whoever opens a server
// closes it.
func Open(o Options) (*Server, error) {
	address, err := loopback.Address(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	password := o.Password
	if password == "" {
		password = rand.Text()
	}
	m := miniredis.NewMiniRedis()
	m.RequireAuth(password)
	m.ClockTTL(true) // as time goes by, not as a test tells it to
	if o.Snapshot != "" {
		if err := load(m, o.Snapshot); err != nil {
			return nil, fmt.Errorf("open redis: %w", err)
		}
	}
	if err := m.StartAddr(address); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	s := &Server{redis: m, commands: m.Server()}
	s.url = (&url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: net.JoinHostPort(m.Host(), m.Port()), Path: "/0"}).String()
	if o.Snapshot != "" {
		s.saver = startSaver(o.Snapshot, s.snapshot)
		s.commands.SetPreHook(s.before) // no client knows the password yet
	}
	return s, nil
}

// URL is where the server is, with its password, such as
// redis://:s3cret@127.0.0.1:6379/0. It is a secret.
func (s *Server) URL() string { return s.url }

// Close writes the snapshot and ends. A second call does nothing and returns
// the same.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.redis.Close()
		if s.saver != nil {
			if err := s.saver.close(); err != nil {
				s.closed = fmt.Errorf("close redis: %w", err)
			}
		}
	})
	return s.closed
}

func (s *Server) snapshot() snapshot {
	s.writing.Lock()
	defer s.writing.Unlock()
	return take(s.redis)
}
