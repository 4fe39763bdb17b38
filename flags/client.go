package flags

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// KeyPrefix stands before a flag's name in the key of its record.
const KeyPrefix = "feature_flag:"

// Channel is where writers tell of a change: "<name> <version>".
const Channel = "feature_flag_changes"

// Options are the settings of a [Client]; the zero value is fit for use.
type Options struct {
	// Reconcile is how often everything is read again, in case that a message
	// was lost or a writer tells nobody. 0 means 30 s; a tenth is random.
	Reconcile time.Duration
	// Wait is how long [Open] may wait for the first records. 0 means 2 s.
	Wait time.Duration
	// Report is told of what went wrong, once per problem and not on the path
	// of an answer: a record that cannot be read, Redis away. Nil drops it.
	Report func(error)
}

// State says how fresh a client's records are.
type State int32

// The states.
const (
	// Starting: no record was read yet; every answer is the caller's default.
	Starting State = iota
	// Ready: what Redis holds.
	Ready
	// Stale: the last known values; Redis is away, or was found empty.
	Stale
)

// String returns the state in one word.
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Stale:
		return "stale"
	}
	return fmt.Sprintf("state(%d)", int32(s))
}

// Client answers from memory and keeps the memory up to date. It is safe for
// use by many goroutines.
type Client struct {
	known atomic.Pointer[map[string]*flag] // the map is never written to
	state atomic.Int32

	rdb   redis.UniversalClient // nil for a static client
	own   bool                  // rdb is closed with the client
	opt   Options
	stop  context.CancelFunc
	done  sync.WaitGroup
	ready chan struct{} // closed when records were read for the first time
	// bad holds, by name, the records that were reported; only sync uses it.
	bad map[string]string
	// away is what was reported about Redis last; only sync uses it.
	away string
}

// Open connects to the Redis at url (redis://, rediss://, unix://) and waits,
// at most [Options.Wait] or until ctx ends, for the first records. That Redis is
// away is no error, lest a service could not start without it: ask
// [Client.State], or [Client.WaitReady]. Close the client after use.
func Open(ctx context.Context, url string, opt Options) (*Client, error) {
	rdb, err := Connect(url)
	if err != nil {
		return nil, err
	}
	c := New(ctx, rdb, opt)
	c.own = true
	return c, nil
}

// New is Open on a connection that the caller has, and closes.
func New(ctx context.Context, rdb redis.UniversalClient, opt Options) *Client {
	if opt.Reconcile <= 0 {
		opt.Reconcile = 30 * time.Second
	}
	if opt.Wait <= 0 {
		opt.Wait = 2 * time.Second
	}
	if opt.Report == nil {
		opt.Report = func(error) {}
	}
	c := &Client{rdb: rdb, opt: opt, ready: make(chan struct{}), bad: map[string]string{}}
	c.known.Store(&map[string]*flag{})
	// The client outlives ctx, which bounds only the wait for the start.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.done.Go(func() { c.follow(background) })
	wait, cancel := context.WithTimeout(ctx, opt.Wait)
	defer cancel()
	_ = c.WaitReady(wait) // the state tells
	return c
}

// Static returns a client with fixed answers, for tests and for services that
// run without Redis.
func Static(answers map[string]bool) *Client {
	known := make(map[string]*flag, len(answers))
	for name, on := range answers {
		known[name] = &flag{enabled: on, threshold: Buckets}
	}
	c := &Client{ready: make(chan struct{}), stop: func() {}}
	c.known.Store(&known)
	c.setReady()
	return c
}

// Connect opens the connection that a URL describes, without speaking to the
// server yet. Its errors hold no part of the URL, which may hold a password.
func Connect(url string) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("read redis URL: it should look like redis://user:password@host:6379/0, with special characters escaped")
	}
	return redis.NewClient(o), nil
}

// Bool reports whether the flag is on for the user, or def when there is no
// such flag. It never waits, fails or allocates.
func (c *Client) Bool(name string, def bool, user Context) bool {
	f := (*c.known.Load())[name]
	if f == nil {
		return def
	}
	return f.on(&user)
}

// State tells how fresh the answers are.
func (c *Client) State() State { return State(c.state.Load()) }

// WaitReady waits until records were read for the first time, or ctx ends.
func (c *Client) WaitReady(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the first flags: %w", context.Cause(ctx))
	}
}

// Close ends the client's work in the background and waits for its end.
// Answers go on being the last known ones.
func (c *Client) Close() error {
	c.stop()
	c.done.Wait()
	if c.own {
		if err := c.rdb.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			return fmt.Errorf("close redis connection: %w", err)
		}
	}
	return nil
}

func (c *Client) setReady() {
	if State(c.state.Swap(int32(Ready))) == Starting {
		close(c.ready)
	}
}

// change swaps in a copy of what is known, with edit applied.
func (c *Client) change(edit func(known map[string]*flag)) {
	next := maps.Clone(*c.known.Load())
	edit(next)
	c.known.Store(&next)
}
