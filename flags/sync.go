package flags

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// settle gathers the messages of a burst into one read.
	settle = 10 * time.Millisecond
	// patience bounds one read of everything.
	patience = 10 * time.Second
	// retry is the time between attempts while Redis is away.
	retry = time.Second
)

// follow keeps the records up to date until ctx ends. Messages are hints: at
// most once, and silent while the connection is down. So each (re)connection
// and each period is followed by a read of everything.
func (c *Client) follow(ctx context.Context) {
	pubsub := c.rdb.Subscribe(ctx, Channel)
	defer pubsub.Close()
	messages := pubsub.ChannelWithSubscriptions(redis.WithChannelSize(1000))

	all := time.NewTimer(0)
	defer all.Stop()
	some := time.NewTimer(time.Hour)
	some.Stop()
	hints := map[string]struct{}{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-all.C:
			all.Reset(c.readAll(ctx))
			clear(hints)
		case m, open := <-messages:
			if !open {
				return
			}
			name := hinted(m)
			if name == "" {
				all.Reset(0)
				continue
			}
			if len(hints) == 0 {
				some.Reset(settle)
			}
			hints[name] = struct{}{}
		case <-some.C:
			if err := c.readSome(ctx, hints); err != nil {
				all.Reset(0) // reports it, and tries again
			}
			clear(hints)
		}
	}
}

// hinted returns the flag that a message tells of; "" stands for all.
func hinted(m any) string {
	text, ok := m.(*redis.Message)
	if !ok {
		return "" // a subscription: the connection is new
	}
	name, _, _ := strings.Cut(text.Payload, " ")
	if CheckName(name) != nil {
		return ""
	}
	return name
}

// readAll reads every record and returns when to do so again.
func (c *Client) readAll(ctx context.Context) time.Duration {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	names, err := c.names(within)
	var texts map[string]string
	if err == nil {
		texts, err = c.texts(within, names)
	}
	if err != nil {
		c.lost(ctx, fmt.Errorf("read flags: %w", err))
		return min(retry, c.opt.Reconcile)
	}
	if len(texts) == 0 && len(*c.known.Load()) > 0 {
		// A Redis that lost its data looks like one where all flags were
		// deleted. Users must not see features vanish because of it.
		c.lost(ctx, errors.New("read flags: redis holds none any more; the last known ones stay"))
		return c.opt.Reconcile
	}
	c.change(func(known map[string]*flag) {
		for name := range known {
			if _, ok := texts[name]; !ok {
				delete(known, name)
			}
		}
		for name, text := range texts {
			c.adopt(known, name, text)
		}
	})
	c.away = ""
	c.setReady()
	return c.opt.Reconcile - time.Duration(rand.Int64N(int64(c.opt.Reconcile)/10+1))
}

// readSome reads the records that messages told of.
func (c *Client) readSome(ctx context.Context, hints map[string]struct{}) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	names := slices.Collect(maps.Keys(hints))
	texts, err := c.texts(within, names)
	if err != nil {
		return err
	}
	c.change(func(known map[string]*flag) {
		for _, name := range names {
			if text, ok := texts[name]; ok {
				c.adopt(known, name, text)
			} else {
				delete(known, name)
			}
		}
	})
	return nil
}

// adopt puts a record into known. One that cannot be read leaves what was
// known of its flag, and harms no other.
func (c *Client) adopt(known map[string]*flag, name, text string) {
	if f := known[name]; f != nil && f.text == text {
		delete(c.bad, name)
		return
	}
	r, err := ParseRecord(name, []byte(text))
	if err != nil {
		if c.bad[name] != text {
			c.bad[name] = text
			c.opt.Report(fmt.Errorf("read flag %s: %w", name, err))
		}
		return
	}
	delete(c.bad, name)
	known[name] = compile(r)
}

func (c *Client) lost(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // closing
	}
	if c.State() == Ready {
		c.state.Store(int32(Stale))
	}
	if text := err.Error(); c.away != text {
		c.away = text
		c.opt.Report(err)
	}
}
