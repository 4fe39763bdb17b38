package flags_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/headgate-dev/headgate/flags"
)

const seeded = `{"name": "f", "enabled": true, "rollout_percentage": 5, "target_users": [], "target_attributes": {}, "created_at": "2026-01-01 10:00:00", "updated_at": "2026-01-01 10:00:00"}`

func TestUpdateAddsNoField(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:f", seeded)
	a := admin(t, server)
	r, err := a.Get(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	was := r
	r, err = a.Update(t.Context(), r, func(r *flags.Record) { r.Percentage = 50 }, flags.Note{Actor: "test", Action: "ramp", Run: "7"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Percentage != 50 || r.Version != 0 || r.Fingerprint() == was.Fingerprint() {
		t.Errorf("got %+v", r)
	}
	if r, err = a.Revert(t.Context(), r, was, flags.Note{Action: "revert"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := server.Get("feature_flag:f"); got != seeded || got != r.Text() {
		t.Errorf("got  %s\nwant %s", got, seeded)
	}
	history, err := a.History(t.Context(), "f", 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 2 || history[0].Note.Action != "revert" || history[1].Note.Run != "7" || history[1].Before != seeded || history[1].After != history[0].Before {
		t.Errorf("got history %+v", history)
	}
}

func TestVersionCountsOn(t *testing.T) {
	a := admin(t, miniredis.RunT(t))
	r, err := a.Create(t.Context(), flags.Record{Name: "f", Enabled: true, Version: 1}, flags.Note{})
	if err != nil {
		t.Fatal(err)
	}
	was := r
	for want := int64(2); want < 5; want++ {
		if r, err = a.Update(t.Context(), r, func(r *flags.Record) { r.Percentage += 10 }, flags.Note{}); err != nil {
			t.Fatal(err)
		}
		if r.Version != want {
			t.Errorf("got version %d, want %d", r.Version, want)
		}
	}
	if r, err = a.Revert(t.Context(), r, was, flags.Note{}); err != nil || r.Version != 5 || r.Percentage != 0 {
		t.Errorf("got %+v, %v, want version 5 at 0 %%", r, err)
	}
}

func TestConflictsAreRefused(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:f", seeded)
	a := admin(t, server)
	base, err := a.Get(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	conflicts := func(what string, err error) {
		t.Helper()
		var c *flags.ConflictError
		if !errors.As(err, &c) {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}
	kill := `{"enabled":false,"rollout_percentage":5}`
	server.Set("feature_flag:f", kill)
	_, err = a.Update(t.Context(), base, func(r *flags.Record) { r.Percentage = 50 }, flags.Note{})
	conflicts("update", err)
	_, err = a.Revert(t.Context(), base, base, flags.Note{})
	conflicts("revert", err)
	conflicts("delete", a.Delete(t.Context(), base, flags.Note{}))
	_, err = a.Create(t.Context(), flags.Record{Name: "f"}, flags.Note{})
	conflicts("create", err)
	if got, _ := server.Get("feature_flag:f"); got != kill {
		t.Errorf("got %s, want it untouched", got)
	}
	server.Set("feature_flag:f", "{")
	_, err = a.Update(t.Context(), base, func(*flags.Record) {}, flags.Note{})
	conflicts("broken", err)
	server.Del("feature_flag:f")
	_, err = a.Update(t.Context(), base, func(*flags.Record) {}, flags.Note{})
	conflicts("deleted", err)
	if _, err := a.Get(t.Context(), "f"); !errors.Is(err, flags.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if h, err := a.History(t.Context(), "f", 10); err != nil || len(h) != 0 {
		t.Errorf("got history %v, %v, want none", h, err)
	}
}

func TestUpdateRefusesWhatNobodyCouldRead(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:f", seeded)
	a := admin(t, server)
	base, _ := a.Get(t.Context(), "f")
	for _, p := range []float64{-1, 101, 0.0001} {
		if _, err := a.Update(t.Context(), base, func(r *flags.Record) { r.Percentage = p }, flags.Note{}); err == nil {
			t.Errorf("%v: got no error", p)
		}
	}
	if got, _ := server.Get("feature_flag:f"); got != seeded {
		t.Errorf("got %s, want it untouched", got)
	}
}

// Of many writers on one base exactly one wins.
func TestOneWriterWins(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("feature_flag:f", seeded)
	a := admin(t, server)
	base, _ := a.Get(t.Context(), "f")
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := a.Update(t.Context(), base, func(r *flags.Record) { r.Salt = fmt.Sprint(i) }, flags.Note{})
			if err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("got %d winners, want 1", won.Load())
	}
}
