package flagstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/headgate-dev/headgate/flags"
	"github.com/headgate-dev/headgate/internal/flagstore"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

const (
	key = "feature_flag:new_profile_format"
	// plain has the fields of the oldest readers, and a text that JSON
	// encoders like to rewrite.
	plain = `{"name": "new_profile_format", "enabled": false, "rollout_percentage": 5, "target_users": [], "target_attributes": {}, "note": "<b> & more", "created_at": "2026-01-01 10:00:00", "updated_at": "2026-01-01 10:00:00"}`
	// counted has a version besides.
	counted = `{"enabled":true,"rollout_percentage":12.5,"owner":"team","version":7}`
)

var run = pipeline.Info{ID: "run-1", URL: "https://ci.example/1"}

func open(t *testing.T, record string) (*flagstore.Store, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	if record != "" {
		server.Set(key, record)
	}
	s, err := flagstore.Open("redis://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, server
}

func get(t *testing.T, s *flagstore.Store) stages.Flag {
	t.Helper()
	f, err := s.Get(t.Context(), "new_profile_format")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func set(t *testing.T, s *flagstore.Store, base stages.Flag, percentage float64) stages.Flag {
	t.Helper()
	f, err := s.Set(t.Context(), stages.FlagWrite{Name: base.Name, Percentage: percentage, Enabled: true, Expect: base.Version, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// journalled is what a flag becomes on its way through a journal.
func journalled(t *testing.T, f stages.Flag) stages.Flag {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var out stages.Flag
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRampAndRestore(t *testing.T) {
	for _, tt := range []struct{ name, record, after string }{
		{"plain record comes back byte for byte", plain, plain},
		{"counted record comes back under a new version", counted, `{"enabled":true,"rollout_percentage":12.5,"owner":"team","version":10}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, server := open(t, tt.record)
			was := get(t, s)
			if !was.Exists {
				t.Fatalf("got %+v", was)
			}
			f := set(t, s, set(t, s, was, 50), 100)
			if !f.Enabled || f.Percentage != 100 || f.Version == was.Version {
				t.Errorf("got %+v, want it on at 100 under a new version", f)
			}
			for range 2 { // a second time is harmless
				if err := s.Restore(t.Context(), journalled(t, was), "errors"); err != nil {
					t.Fatal(err)
				}
				if got, _ := server.Get(key); got != tt.after {
					t.Errorf("got  %s\nwant %s", got, tt.after)
				}
			}
		})
	}
}

func TestRestoreOfAnUnchangedFlagWritesNothing(t *testing.T) {
	s, server := open(t, counted)
	if err := s.Restore(t.Context(), get(t, s), "errors"); err != nil {
		t.Fatal(err)
	}
	if got, _ := server.Get(key); got != counted {
		t.Errorf("got %s", got)
	}
}

func TestSetAgainIsNoError(t *testing.T) {
	s, server := open(t, plain)
	was := get(t, s)
	first := set(t, s, was, 50)
	// The first answer was lost; the write is made again on the old version.
	again := set(t, s, was, 50)
	if again.Version != first.Version {
		t.Errorf("got version %d, want %d", again.Version, first.Version)
	}
	other := stages.FlagWrite{Name: was.Name, Percentage: 50, Enabled: true, Expect: was.Version, Run: pipeline.Info{ID: "run-2"}}
	if _, err := s.Set(t.Context(), other); !isDrift(err) {
		t.Errorf("another run's write: got %v, want drift", err)
	}
	if entries, _ := server.Stream("feature_flag_audit:{" + key + "}"); len(entries) != 1 {
		t.Errorf("got %d audit entries, want 1", len(entries))
	}
}

func TestSomebodyElsesChangeWins(t *testing.T) {
	const kill = `{"enabled":false,"rollout_percentage":50,"owner":"team","version":8}`
	s, server := open(t, counted)
	was := get(t, s)
	f := set(t, s, was, 50)
	server.Set(key, kill) // the same version number, as from a careless tool

	_, err := s.Set(t.Context(), stages.FlagWrite{Name: f.Name, Percentage: 100, Enabled: true, Expect: f.Version, Run: run})
	if !isDrift(err) || !strings.Contains(err.Error(), "it is disabled (at 50%)") {
		t.Errorf("set: got %v, want drift", err)
	}
	// Also in another process, which has read the record as it is now.
	_, err = s.Set(t.Context(), stages.FlagWrite{Name: f.Name, Percentage: 50, Enabled: true, Expect: get(t, s).Version, Run: run})
	if want := "flag new_profile_format was changed by somebody else: it is disabled (at 50%), where this run left it at 50%"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := s.Restore(t.Context(), was, "errors"); !isDrift(err) {
		t.Errorf("restore: got %v, want drift", err)
	}
	if got, _ := server.Get(key); got != kill {
		t.Errorf("got %s, want it untouched", got)
	}

	server.Set(key, counted)
	server.Del("feature_flag_audit:{" + key + "}")
	f = set(t, s, get(t, s), 60)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	admin := flags.NewAdmin(rdb)
	base, err := admin.Get(t.Context(), f.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Update(t.Context(), base, func(r *flags.Record) { r.Percentage = 1 }, flags.Note{Actor: "jane", Action: "set"}); err != nil {
		t.Fatal(err)
	}
	want := "flag new_profile_format was changed by jane: it is at 1%, where this run left it ramped from 12.5%"
	if err := s.Restore(t.Context(), was, "errors"); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestMissingFlag(t *testing.T) {
	s, server := open(t, "")
	f := get(t, s)
	if f.Exists || f.Name != "new_profile_format" {
		t.Errorf("got %+v", f)
	}
	_, err := s.Set(t.Context(), stages.FlagWrite{Name: f.Name, Percentage: 5, Enabled: true, Run: run})
	var hint interface{ Hint() string }
	if !errors.Is(err, flags.ErrNotFound) || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), key) {
		t.Errorf("got %v", err)
	}
	if server.Exists(key) {
		t.Error("a record was created")
	}
	if err := s.Restore(t.Context(), f, "errors"); err != nil {
		t.Errorf("restore: %v", err)
	}
	server.Set(key, plain)
	was := get(t, s)
	server.Del(key)
	if err := s.Restore(t.Context(), was, "errors"); !isDrift(err) {
		t.Errorf("restore of a deleted flag: got %v, want drift", err)
	}
}

func TestErrorsHoldNoPassword(t *testing.T) {
	if _, err := flagstore.Open("redis://:s3c ret@127.0.0.1:1"); err == nil || strings.Contains(err.Error(), "s3c") {
		t.Errorf("got %v", err)
	}
	server := miniredis.RunT(t)
	server.RequireAuth("other")
	s, err := flagstore.Open("redis://:s3cret@" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Get(t.Context(), "f"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func isDrift(err error) bool {
	_, ok := errors.AsType[*stages.DriftError](err)
	return ok
}
