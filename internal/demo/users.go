package demo

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/internal/load"
)

// Rate is how many requests the users send in a second.
const Rate = 200

// host is that of the example's route.
const host = "shop.localhost"

// byHost is an address by the host's name: all of .localhost is this machine.
func byHost(address string) string { return strings.Replace(address, "127.0.0.1", host, 1) }

// Users ask for profiles, all the while.
type Users struct {
	load *load.Load
	gone chan struct{} // closed when nobody listens any more

	mu          sync.Mutex
	absent      bool
	first, last time.Time // when requests failed, since the last forget
}

// Ask begins to ask a service, whose address is such as
// http://127.0.0.1:8080, until ctx ends or [Users.Stop] is called.
func Ask(ctx context.Context, address string, rate float64) (*Users, error) {
	u := &Users{gone: make(chan struct{})}
	c := config(address, rate)
	c.Failed = u.failed
	l, err := load.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	u.load = l
	return u, nil
}

func config(address string, rate float64) load.Config {
	return load.Config{URL: address + "/profile/{n}", Host: host, Rate: rate, For: load.MaxDuration}
}

func (u *Users) failed(f load.Failure) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f.Kind == load.Refused && !u.absent {
		u.absent = true
		close(u.gone)
	}
	if u.first.IsZero() || f.At.Before(u.first) {
		u.first = f.At
	}
	if f.At.After(u.last) {
		u.last = f.At
	}
}

// forget begins a new count of [Users.failing].
func (u *Users) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.first, u.last = time.Time{}, time.Time{}
}

// failing is how long requests failed: from the first to the last that did.
func (u *Users) failing() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last.Sub(u.first)
}

// Stop sends no more and returns what was seen in all.
func (u *Users) Stop() load.Report { return u.load.Stop() }

// Done is closed when nothing is sent any more.
func (u *Users) Done() <-chan struct{} { return u.load.Done() }

// Report is what was seen so far.
func (u *Users) Report() load.Report { return u.load.Snapshot() }

// seen is what users saw in a part of the time.
type seen struct {
	load.Count
	versions map[string]load.Count
}

// since is what came to now after before.
func since(before, now load.Report) seen {
	s := seen{versions: map[string]load.Count{}}
	s.Requests, s.Failed = now.Requests-before.Requests, now.Failed-before.Failed
	for name, v := range now.Versions {
		b := before.Versions[name]
		c := load.Count{Requests: v.Requests - b.Requests, Failed: v.Failed - b.Failed}
		if c.Requests > 0 {
			s.versions[name] = c
		}
	}
	return s
}

// only reports whether all requests were answered, and by one version.
func (s seen) only(version string) bool {
	return s.Requests > 0 && s.versions[version].Requests == s.Requests
}
