package journaltest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/headgate-dev/headgate/pipeline"
)

func testContext(t *testing.T, p Place) {
	j := open(t, p, run1())
	defer closeJournal(t, j, 0)
	appendAll(t, j, "a")
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := j.Append(ctx, event("b")); !errors.Is(err, why) {
		t.Errorf("append with an ended context: got %v, want its cause", err)
	}
	if err := j.Reset(ctx); !errors.Is(err, why) {
		t.Errorf("reset with an ended context: got %v, want its cause", err)
	}
	if _, err := p.Store().Peek(ctx); !errors.Is(err, why) {
		t.Errorf("peek with an ended context: got %v, want its cause", err)
	}
	if other, err := p.Store().Open(ctx, run2()); !errors.Is(err, why) {
		t.Errorf("open with an ended context: got %v, %v, want its cause", other, err)
	}
	same(t, peek(t, p), events("a"))
	appendAll(t, j, "c")
	same(t, peek(t, p), events("a", "c"))
}

func testClosed(t *testing.T, p Place) {
	j := open(t, p, run1())
	appendAll(t, j, "a")
	closeJournal(t, j, 0)
	if err := j.Append(t.Context(), event("b")); err == nil {
		t.Error("append to a closed journal worked")
	}
	if err := j.Reset(t.Context()); err == nil {
		t.Error("reset of a closed journal worked")
	}
	closeJournal(t, j, 0) // twice is harmless
	same(t, peek(t, p), events("a"))
}

func testTooLarge(t *testing.T, p Place) {
	j := open(t, p, run1())
	appendAll(t, j, "a")
	// Noise, so that no store can make it small.
	noise := make([]byte, 7<<19)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(noise); i += 8 {
		binary.NativeEndian.PutUint64(noise[i:], r.Uint64())
	}
	big := event("big")
	big.Message = base64.StdEncoding.EncodeToString(noise)
	if err := j.Append(t.Context(), big); err == nil {
		t.Error("an entry of 4.6 MiB was taken")
	}
	appendAll(t, j, "b")
	closeJournal(t, j, 0)
	same(t, peek(t, p), events("a", "b"))
}

func testFull(t *testing.T, p Place) {
	if p.Fill == nil {
		t.Skip("this place does not get full")
	}
	j := open(t, p, run1())
	appendAll(t, j, "a")
	p.Fill(true)
	if err := j.Append(t.Context(), event("lost")); err == nil {
		t.Error("append to a full place worked")
	}
	same(t, peek(t, p), events("a"))
	p.Fill(false)
	appendAll(t, j, "b")
	closeJournal(t, j, 0)
	same(t, peek(t, p), events("a", "b"))
}

func testTorn(t *testing.T, p Place) {
	if p.Tear == nil {
		t.Skip("writes to this place are whole or not at all")
	}
	j := open(t, p, run1())
	appendAll(t, j, "a", "b")
	closeJournal(t, j, 0)
	p.Tear()
	same(t, peek(t, p), events("a", "b"))
	j = open(t, p, run2())
	same(t, j.Events(), events("a", "b"))
	appendAll(t, j, "c")
	closeJournal(t, j, 0)
	same(t, peek(t, p), events("a", "b", "c"))
}

func testSpoiled(t *testing.T, p Place) {
	if p.Corrupt == nil {
		t.Skip("entries of this place cannot be spoiled")
	}
	j := open(t, p, run1())
	appendAll(t, j, "a", "b", "c")
	closeJournal(t, j, 0)
	p.Corrupt()
	if got, err := p.Store().Peek(t.Context()); err == nil {
		t.Errorf("peek of a spoiled journal: got %d entries, want an error", len(got))
	}
	for range 2 { // the lock is not left behind either
		j, err := p.Store().Open(t.Context(), run2())
		if err == nil {
			closeJournal(t, j, 0)
			t.Fatal("a spoiled journal was opened")
		}
		if errors.Is(err, pipeline.ErrLocked) {
			t.Errorf("open of a spoiled journal: got %v, want what is wrong with it", err)
		}
	}
}

// Torn returns the first half of an entry, for places to tear.
func Torn() []byte {
	line, err := json.Marshal(event("torn"))
	if err != nil {
		panic("journaltest: " + err.Error())
	}
	return bytes.TrimSpace(line)[:len(line)/2]
}
