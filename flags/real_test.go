package flags_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headgate-dev/headgate/flags"
)

// TestRealRedis does the whole round on a real server, which knows more than
// the one in memory: scripts, streams, expiry, connections that are killed.
func TestRealRedis(t *testing.T) {
	url := os.Getenv("HEADGATE_TEST_REDIS")
	if url == "" {
		t.Skip("HEADGATE_TEST_REDIS names no Redis")
	}
	rdb, err := flags.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	ctx := t.Context()
	name := fmt.Sprint("test-", time.Now().UnixNano())
	key := flags.KeyPrefix + name
	defer rdb.Del(t.Context(), key, flags.AuditKey(name))
	a := flags.NewAdmin(rdb)
	c, err := flags.Open(ctx, url, flags.Options{Reconcile: never})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.State() != flags.Ready {
		t.Fatalf("got state %v", c.State())
	}

	r, err := a.Create(ctx, flags.Record{Name: name, Enabled: true}, flags.Note{Actor: "test", Action: "create"})
	if err != nil {
		t.Fatal(err)
	}
	base := r
	if r, err = a.Update(ctx, r, func(r *flags.Record) { r.Percentage = 100 }, flags.Note{Action: "ramp"}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	until(t, "pushed change", func() bool { return c.Bool(name, false, flags.User("u")) })
	t.Logf("a change is seen after %v", time.Since(start))

	var conflict *flags.ConflictError
	if _, err := a.Update(ctx, base, func(r *flags.Record) { r.Percentage = 1 }, flags.Note{}); !errors.As(err, &conflict) || conflict.Found.Percentage != 100 {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := rdb.Expire(ctx, key, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if r, err = a.Update(ctx, r, func(r *flags.Record) { r.Percentage = 0 }, flags.Note{Action: "ramp"}); err != nil {
		t.Fatal(err)
	}
	if ttl := rdb.TTL(ctx, key).Val(); ttl <= 0 {
		t.Errorf("a write ended the record's expiry: %v", ttl)
	}
	until(t, "pushed change", func() bool { return !c.Bool(name, true, flags.User("u")) })

	// A change made while the subscription is broken is seen after it is back.
	killer, ok := rdb.(*redis.Client)
	if !ok {
		t.Fatalf("got %T", rdb)
	}
	if err := killer.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err = a.Update(ctx, r, func(r *flags.Record) { r.Percentage = 100 }, flags.Note{Action: "ramp"}); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	until(t, "change after reconnection", func() bool { return c.Bool(name, false, flags.User("u")) })
	t.Logf("a change missed is seen after %v", time.Since(start))

	history, err := a.History(ctx, name, 10)
	if err != nil || len(history) != 4 || history[3].Note.Actor != "test" || history[0].After == "" {
		t.Errorf("got history %+v, %v", history, err)
	}
}
