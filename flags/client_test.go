package flags_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/headgate-dev/headgate/flags"
)

const (
	on  = `{"enabled":true,"rollout_percentage":100}`
	off = `{"enabled":true,"rollout_percentage":0}`
)

// never is a period that does not pass in a test, so that only messages count.
const never = time.Hour

type reports struct {
	mu   sync.Mutex
	text []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, err.Error())
}

func (r *reports) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.text, "\n")
}

func open(t *testing.T, server *miniredis.Miniredis, opt flags.Options) *flags.Client {
	t.Helper()
	c, err := flags.Open(t.Context(), "redis://"+server.Addr(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func admin(t *testing.T, server *miniredis.Miniredis) *flags.Admin {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return flags.NewAdmin(rdb)
}

// until waits for something that another goroutine brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestClientReadsAtStart(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:a", on)
	server.Set("feature_flag:b", off)
	server.Set("feature_flag_audit:{feature_flag:a}", "not a flag")
	c := open(t, server, flags.Options{})
	if c.State() != flags.Ready {
		t.Errorf("got state %v, want ready", c.State())
	}
	if !c.Bool("a", false, flags.User("u")) || c.Bool("b", true, flags.User("u")) {
		t.Error("got other answers than the records'")
	}
	if !c.Bool("missing", true, flags.User("u")) || c.Bool("missing", false, flags.User("u")) {
		t.Error("a missing flag is not the caller's default")
	}
}

func TestClientIsToldOfChanges(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:a", off)
	c := open(t, server, flags.Options{Reconcile: never})
	a := admin(t, server)
	until(t, "subscription", func() bool { return server.PubSubNumSub("feature_flag_changes")["feature_flag_changes"] == 1 })

	r, err := a.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r, err = a.Update(t.Context(), r, func(r *flags.Record) { r.Percentage = 100 }, flags.Note{})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "change", func() bool { return c.Bool("a", false, flags.User("u")) })
	if _, err := a.Create(t.Context(), flags.Record{Name: "b", Enabled: true, Percentage: 100}, flags.Note{}); err != nil {
		t.Fatal(err)
	}
	until(t, "creation", func() bool { return c.Bool("b", false, flags.User("u")) })
	if err := a.Delete(t.Context(), r, flags.Note{}); err != nil {
		t.Fatal(err)
	}
	until(t, "deletion", func() bool { return !c.Bool("a", false, flags.User("u")) })
}

// A writer that tells nobody is noticed all the same.
func TestClientReconciles(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:a", off)
	c := open(t, server, flags.Options{Reconcile: 20 * time.Millisecond})
	server.Set("feature_flag:a", on)
	until(t, "change", func() bool { return c.Bool("a", false, flags.User("u")) })
}

func TestClientOutlivesRedis(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:a", on)
	var told reports
	c := open(t, server, flags.Options{Reconcile: 20 * time.Millisecond, Report: told.add})
	server.Close()
	until(t, "state stale", func() bool { return c.State() == flags.Stale })
	if !c.Bool("a", false, flags.User("u")) {
		t.Error("the last known value is gone with Redis")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	server.Set("feature_flag:a", off)
	until(t, "state ready and new value", func() bool { return c.State() == flags.Ready && !c.Bool("a", true, flags.User("u")) })
	if !strings.Contains(told.String(), "read flags: ") {
		t.Errorf("got reports %q", told.String())
	}
}

func TestClientStartsWithoutRedis(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:a", on)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	server.Close()
	c := flags.New(t.Context(), rdb, flags.Options{Wait: 30 * time.Millisecond})
	defer c.Close()
	if c.State() != flags.Starting || !c.Bool("a", true, flags.User("u")) {
		t.Errorf("got state %v, want starting and the default", c.State())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want deadline exceeded", err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitReady(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEmptiedRedisWipesNothing(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:a", on)
	c := open(t, server, flags.Options{Reconcile: 20 * time.Millisecond})
	server.FlushAll()
	until(t, "state stale", func() bool { return c.State() == flags.Stale })
	if !c.Bool("a", false, flags.User("u")) {
		t.Error("the flag is gone")
	}
}

func TestOneBadRecordHarmsNoOther(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:good", on)
	server.Set("feature_flag:bad", on)
	server.Set("feature_flag:broken", `{`)
	if _, err := server.RPush("feature_flag:list", "x"); err != nil {
		t.Fatal(err)
	}
	var told reports
	c := open(t, server, flags.Options{Reconcile: 10 * time.Millisecond, Report: told.add})
	server.Set("feature_flag:bad", `{"enabled":true,"rollout_percentage":500}`)
	until(t, "report", func() bool { return strings.Contains(told.String(), "read flag bad: read rollout_percentage: 500") })
	server.Set("feature_flag:good", off)
	until(t, "change of the good one", func() bool { return !c.Bool("good", true, flags.User("u")) })
	if !c.Bool("bad", false, flags.User("u")) {
		t.Error("the last good value of the bad one is gone")
	}
	if c.Bool("broken", false, flags.User("u")) || c.State() != flags.Ready {
		t.Errorf("got broken on, or state %v", c.State())
	}
	if n := strings.Count(told.String(), "read flag list: the record is not a JSON object"); n != 1 {
		t.Errorf("got %d reports of one problem, want 1:\n%s", n, told.String())
	}
}

func TestURLErrorsHoldNoPassword(t *testing.T) {
	for _, url := range []string{"redis://:s3cret@host:6379/x", "redis://:s3c ret@host", "http://:s3cret@host", "redis://u:s3cret/@host:1"} {
		_, err := flags.Open(t.Context(), url, flags.Options{Wait: time.Millisecond})
		if err == nil {
			t.Errorf("%s: got no error", url)
		} else if strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestStatic(t *testing.T) {
	c := flags.Static(map[string]bool{"a": true, "b": false})
	if !c.Bool("a", false, flags.Context{}) || c.Bool("b", true, flags.Context{}) || !c.Bool("c", true, flags.Context{}) {
		t.Error("got other answers than given")
	}
	if err := errors.Join(c.WaitReady(t.Context()), c.Close()); err != nil {
		t.Error(err)
	}
}

func TestBoolAllocatesNothing(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:half", `{"enabled":true,"rollout_percentage":50,"target_attributes":{"country":["FR","DE"]},"target_users":["u"]}`)
	c := open(t, server, flags.Options{Reconcile: never})
	key := strings.Repeat("long-key-", 40)
	if n := testing.AllocsPerRun(1000, func() {
		c.Bool("half", false, flags.User("u").With("country", "FR"))
		c.Bool("half", false, flags.User(key).With("country", "FR").WithNumber("age", 30))
		c.Bool("missing", false, flags.Context{})
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// Bound: well under a microsecond.
func BenchmarkBool(b *testing.B) {
	server := miniredis.RunT(b)
	server.Set("feature_flag:half", `{"enabled":true,"rollout_percentage":50,"target_attributes":{"country":["FR","DE"]}}`)
	c, err := flags.Open(b.Context(), "redis://"+server.Addr(), flags.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		c.Bool("half", false, flags.User("e56f628e-9817-498f-ae38-4961e9c2bb21").With("country", "FR"))
	}
}
