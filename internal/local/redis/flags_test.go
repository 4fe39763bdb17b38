package redis_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/flags"
	"github.com/headgate-dev/headgate/internal/flagstore"
	"github.com/headgate-dev/headgate/internal/local/redis"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// TestFlags: a flag stage works on it, services see the change at once, and
// the rollback of a run whose runner was killed finds the flag as it was left.
func TestFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.json")
	s, c := open(t, redis.Options{Snapshot: path})
	const name = "new_profile_format"
	admin := flags.NewAdmin(c)
	if _, err := admin.Create(t.Context(), flags.Record{Name: name, Enabled: true}, flags.Note{Actor: "test", Action: "create"}); err != nil {
		t.Fatal(err)
	}
	service, err := flags.Open(t.Context(), s.URL(), flags.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if err := service.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := openFlags(t, s)
	was, err := store.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	run := pipeline.Info{ID: "run-1"}
	if _, err := store.Set(t.Context(), stages.FlagWrite{Name: name, Percentage: 100, Enabled: true, Expect: was.Version, Run: run}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); !service.Bool(name, false, flags.User("u")); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the service does not see the change")
		}
	}

	s, c = open(t, redis.Options{Snapshot: copied(t, path)})
	store, admin = openFlags(t, s), flags.NewAdmin(c)
	if f, err := store.Get(t.Context(), name); err != nil || f.Percentage != 100 {
		t.Errorf("got %+v, %v after the first server", f, err)
	}
	if err := store.Restore(t.Context(), was, "the runner was killed"); err != nil {
		t.Fatal(err)
	}
	if r, err := admin.Get(t.Context(), name); err != nil || r.Percentage != 0 || !r.Enabled {
		t.Errorf("got %+v, %v after the rollback", r, err)
	}
	if all, err := admin.History(t.Context(), name, 10); err != nil || len(all) != 3 {
		t.Errorf("got %d entries, %v, want create, set and restore", len(all), err)
	}
}

func openFlags(t *testing.T, s *redis.Server) *flagstore.Store {
	t.Helper()
	store, err := flagstore.Open(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}
