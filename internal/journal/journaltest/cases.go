package journaltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headgate-dev/headgate/pipeline"
)

func testEmpty(t *testing.T, p Place) {
	got, err := p.Store().Peek(t.Context())
	if err != nil || len(got) != 0 {
		t.Fatalf("peek of an empty place: got %v, %v, want nothing", got, err)
	}
	j := open(t, p, run1())
	if len(j.Events()) != 0 {
		t.Errorf("open of an empty place: got %d events, want none", len(j.Events()))
	}
	closeJournal(t, j, 0)
	if got, err := p.Store().Peek(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("peek of an empty journal: got %v, %v, want nothing", got, err)
	}
}

func testReplay(t *testing.T, p Place) {
	j := open(t, p, run1())
	appendAll(t, j, "a", "b", "c")
	if len(j.Events()) != 0 {
		t.Errorf("events after append: got %d, want those of the opening, 0", len(j.Events()))
	}
	closeJournal(t, j, 0)
	j = open(t, p, run2())
	defer closeJournal(t, j, 0)
	same(t, j.Events(), events("a", "b", "c"))
}

// testValues shows that what a thing was comes back as the same JSON value.
func testValues(t *testing.T, p Place) {
	weight := 12.5
	want := pipeline.Event{
		Time: event("").Time, Type: pipeline.Changing, Stage: "new <profile> & \u2028format",
		Change: &pipeline.Record{
			Thing: pipeline.Thing{Kind: "route", Name: "shop/user-service"}, Key: "weight-20", Urgent: true,
			Was: json.RawMessage(`{"html":"<a>&</a>","big":12345678901234567890,"line":"one\ntwo","nul":"\u0000","f":1e-7}`),
			To:  json.RawMessage(`null`),
		},
		Outputs: map[string]string{"ref": "ghcr.io/acme/x@sha256:00", "text": "two\nlines\x7f"},
		Track:   "canary", Weight: &weight, Run: &pipeline.Info{ID: "1", Pipeline: "shop"},
		Verdict: &pipeline.Verdict{Gate: "slo", Outcome: pipeline.Fail, Reason: "over"},
	}
	j := open(t, p, run1())
	if err := j.Append(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j, 0)
	same(t, peek(t, p), []pipeline.Event{want})
}

func testPeek(t *testing.T, p Place) {
	j := open(t, p, run1())
	defer closeJournal(t, j, 0)
	appendAll(t, j, "a")
	same(t, peek(t, p), events("a"))
	appendAll(t, j, "b")
	same(t, peek(t, p), events("a", "b"))
}

func testPeekWhileAppending(t *testing.T, p Place) {
	j := open(t, p, run1())
	defer closeJournal(t, j, 0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	store := p.Store()
	wg.Go(func() {
		for before := 0; ; {
			got, err := store.Peek(t.Context())
			if err != nil {
				t.Errorf("peek while appending: %v", err)
				return
			}
			if len(got) < before {
				t.Errorf("peek while appending: got %d entries after %d", len(got), before)
			}
			before = len(got)
			for i, e := range got {
				if e.Name != fmt.Sprint(i) {
					t.Errorf("entry %d is %q", i, e.Name)
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for i := range 40 {
		appendAll(t, j, fmt.Sprint(i))
	}
	close(stop)
	wg.Wait()
}

func testManyAppenders(t *testing.T, p Place) {
	j := open(t, p, run1())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 5 {
				if err := j.Append(t.Context(), event(fmt.Sprintf("%d-%d", i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	closeJournal(t, j, 0)
	seen := map[string]bool{}
	for _, e := range peek(t, p) {
		seen[e.Name] = true
	}
	if len(seen) != 40 {
		t.Errorf("entries of 8 appenders: got %d, want 40", len(seen))
	}
}

func testSecondWriter(t *testing.T, p Place) {
	j := open(t, p, run1())
	appendAll(t, j, "a")
	other, err := p.Store().Open(t.Context(), run2())
	if err == nil {
		closeJournal(t, other, 0)
		t.Fatal("a second run opened the journal of a live one")
	}
	if !errors.Is(err, pipeline.ErrLocked) {
		t.Fatalf("open by a second run: got %v, want ErrLocked", err)
	}
	if !strings.Contains(err.Error(), "run-1") || !strings.Contains(err.Error(), "https://ci/1") {
		t.Errorf("error does not name the run that holds the lock and its URL: %v", err)
	}
	// A second process of the very same run is a second writer too.
	if other, err := p.Store().Open(t.Context(), run1()); err == nil {
		closeJournal(t, other, 0)
		t.Error("a second process opened the journal of a live one of the same run")
	}
	appendAll(t, j, "b")
	closeJournal(t, j, 0)
	same(t, peek(t, p), events("a", "b"))
}

func testReopen(t *testing.T, p Place) {
	for i := range 3 {
		info := run1()
		info.ID = fmt.Sprint("run-", i)
		start := time.Now()
		j := open(t, p, info)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("open of a free journal took %s", took)
		}
		appendAll(t, j, fmt.Sprint(i))
		closeJournal(t, j, 0)
		select {
		case <-j.Lost():
			t.Error("closing counts as losing the lock")
		default:
		}
	}
	same(t, peek(t, p), events("0", "1", "2"))
}

func testLinger(t *testing.T, p Place) {
	j := open(t, p, run1())
	appendAll(t, j, "a")
	closeJournal(t, j, 6*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if other, err := p.Store().Open(ctx, run2()); err == nil {
		closeJournal(t, other, 0)
		t.Error("another run opened the journal while it was reserved")
	}
	start := time.Now()
	j = open(t, p, run1())
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the same run had to wait %s for its own reserved lock", took)
	}
	closeJournal(t, j, time.Second)
	time.Sleep(1500 * time.Millisecond)
	closeJournal(t, open(t, p, run2()), 0)
}

func testLost(t *testing.T, p Place) {
	old := open(t, p, run1())
	appendAll(t, old, "a")
	p.Break()
	j := open(t, p, run2())
	defer closeJournal(t, j, 0)
	same(t, j.Events(), events("a"))
	if err := old.Append(t.Context(), event("late")); !errors.Is(err, pipeline.ErrLockLost) {
		t.Errorf("append of a run that lost the lock: got %v, want ErrLockLost", err)
	}
	if err := old.Reset(t.Context()); !errors.Is(err, pipeline.ErrLockLost) {
		t.Errorf("reset of a run that lost the lock: got %v, want ErrLockLost", err)
	}
	select {
	case <-old.Lost():
	default:
		t.Error("Lost is not closed after the lock was lost")
	}
	closeJournal(t, old, 0)
	appendAll(t, j, "b")
	same(t, peek(t, p), events("a", "b"))
	if other, err := p.Store().Open(t.Context(), run1()); err == nil {
		closeJournal(t, other, 0)
		t.Error("closing a lost journal gave the lock of another run away")
	}
}

func testReset(t *testing.T, p Place) {
	j := open(t, p, run1())
	appendAll(t, j, "a", "b")
	closeJournal(t, j, 0)
	j = open(t, p, run2())
	if err := j.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(j.Events()) != 0 {
		t.Errorf("events after reset: got %d, want none", len(j.Events()))
	}
	appendAll(t, j, "c")
	closeJournal(t, j, 0)
	same(t, peek(t, p), events("c"))
	h, ok := p.Store().(interface {
		History(ctx context.Context) ([][]pipeline.Event, error)
	})
	if !ok {
		return
	}
	all, err := h.History(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("history: got %d journals, %v, want 1", len(all), err)
	}
	same(t, all[0], events("a", "b"))
}

func open(t *testing.T, p Place, info pipeline.Info) pipeline.Journal {
	t.Helper()
	j, err := p.Store().Open(t.Context(), info)
	if err != nil {
		t.Fatalf("open journal for %s: %v", info.ID, err)
	}
	return j
}

func closeJournal(t *testing.T, j pipeline.Journal, linger time.Duration) {
	t.Helper()
	if err := j.Close(t.Context(), linger); err != nil {
		t.Errorf("close journal: %v", err)
	}
}

func appendAll(t *testing.T, j pipeline.Journal, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := j.Append(t.Context(), event(name)); err != nil {
			t.Fatalf("append %s: %v", name, err)
		}
	}
}

func events(names ...string) []pipeline.Event {
	var all []pipeline.Event
	for _, name := range names {
		all = append(all, event(name))
	}
	return all
}

func peek(t *testing.T, p Place) []pipeline.Event {
	t.Helper()
	got, err := p.Store().Peek(t.Context())
	if err != nil {
		t.Fatalf("peek: %v", err)
	}
	return got
}

func same(t *testing.T, got, want []pipeline.Event) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("journal differs (-want +got):\n%s", diff)
	}
}
