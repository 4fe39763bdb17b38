package journal_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/journal"
	"github.com/headgate-dev/headgate/internal/journal/journaltest"
	"github.com/headgate-dev/headgate/pipeline"
)

const (
	lockKey    = "leases/headgate-shop"
	journalKey = "secrets/headgate-shop-journal"
)

// kubePlace is a cluster with one journal, and the lines of its clients.
type kubePlace struct {
	t      *testing.T
	server *apiServer
	small  bool
	mu     sync.Mutex
	lines  []*line
}

func (p *kubePlace) store() (*journal.Kube, *line) {
	p.t.Helper()
	l := &line{server: p.server}
	p.mu.Lock()
	p.lines = append(p.lines, l)
	p.mu.Unlock()
	o := journal.KubeOptions{Namespace: "shop", Pipeline: "shop"}
	if p.small {
		o = journal.Small(o)
	}
	k, err := journal.NewKube(l.client(p.t), o)
	must(p.t, err)
	return k, l
}

func inBubble(t *testing.T, run func(t *testing.T, p *kubePlace)) {
	synctest.Test(t, func(t *testing.T) { run(t, &kubePlace{t: t, server: newAPIServer()}) })
}

func TestKube(t *testing.T) {
	journaltest.Suite{Bubble: true, New: func(t *testing.T) journaltest.Place {
		p := &kubePlace{t: t, server: newAPIServer()}
		return journaltest.Place{
			Store: func() pipeline.Store { k, _ := p.store(); return k },
			Break: func() {
				for _, l := range p.lines {
					l.set(func(*http.Request) fate { return cut })
				}
			},
			Fill: func(full bool) { p.server.mu.Lock(); p.server.full = full; p.server.mu.Unlock() },
			Corrupt: func() {
				p.server.edit(t, journalKey, func(u *unstructured.Unstructured) {
					data, _, _ := unstructured.NestedStringMap(u.Object, "data")
					text, _ := base64.StdEncoding.DecodeString(data["tail.jsonl"])
					data["tail.jsonl"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(text), `"name":"b"`, `"name":b`, 1)))
					must(t, unstructured.SetNestedStringMap(u.Object, data, "data"))
				})
			},
		}
	}}.Run(t)
}

func TestKubeWaitsForADeadHolderNoLongerThanItsLease(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *kubePlace) {
				p.server.skew = skew
				k, l := p.store()
				open(t, k, "run-1")
				l.set(func(*http.Request) fate { return cut })
				other, _ := p.store()
				start := time.Now()
				j := open(t, other, "run-2")
				if took := time.Since(start); took < 12*time.Second || took > 16*time.Second {
					t.Errorf("took the lock of a dead run after %s, want the lease's 15s", took)
				}
				must(t, j.Close(t.Context(), 0))
			})
		})
	}
}

func TestKubeTakesALongDeadLockAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, l := p.store()
		open(t, k, "run-1")
		l.set(func(*http.Request) fate { return cut })
		time.Sleep(20 * time.Second)
		other, _ := p.store()
		start := time.Now()
		must(t, open(t, other, "run-2").Close(t.Context(), 0))
		if took := time.Since(start); took > time.Second {
			t.Errorf("took a lock not renewed for 20s after %s, want at once", took)
		}
	})
}

func TestKubeSeesALiveHolderWithinOneRenewal(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, _ := p.store()
		j := open(t, k, "run-1")
		time.Sleep(time.Minute)
		for range 3 {
			other, _ := p.store()
			start := time.Now()
			_, err := other.Open(t.Context(), pipeline.Info{ID: "run-2"})
			if !errors.Is(err, pipeline.ErrLocked) {
				t.Fatalf("open while locked: got %v, want ErrLocked", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %s to see that the holder lives", took)
			}
		}
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.Finished}))
		must(t, j.Close(t.Context(), 0))
	})
}

// TestKubeFencesAWriterThatNoticedNothing takes the lock away by hand, so
// that the former holder's next append comes before its next renewal.
func TestKubeFencesAWriterThatNoticedNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, _ := p.store()
		old := open(t, k, "run-1")
		must(t, old.Append(t.Context(), pipeline.Event{Type: pipeline.RunStarted}))
		p.server.mu.Lock()
		delete(p.server.objects, lockKey)
		p.server.mu.Unlock()
		other, _ := p.store()
		j := open(t, other, "run-2")
		err := old.Append(t.Context(), pipeline.Event{Type: pipeline.Committed})
		if !errors.Is(err, pipeline.ErrLockLost) {
			t.Errorf("append of the former holder: got %v, want ErrLockLost", err)
		}
		select {
		case <-old.Lost():
		default:
			t.Error("Lost is not closed")
		}
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.Finished}))
		got, err := k.Peek(t.Context())
		if err != nil || len(got) != 2 || got[1].Type != pipeline.Finished {
			t.Errorf("got %v, %v, want the new holder's entries alone", got, err)
		}
		must(t, old.Close(t.Context(), 0))
		must(t, j.Close(t.Context(), 0))
	})
}

func TestKubeLosesTheLockBeforeOthersMayTakeIt(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, l := p.store()
		j := open(t, k, "run-1")
		start := time.Now()
		l.set(func(*http.Request) fate { return cut })
		<-j.Lost()
		if took := time.Since(start); took < 10*time.Second || took > 14*time.Second {
			t.Errorf("lost after %s, want a little less than the lease's 15s", took)
		}
		must(t, j.Close(t.Context(), 0))
	})
}

func TestKubeOutlivesAShortOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, l := p.store()
		j := open(t, k, "run-1")
		l.set(func(*http.Request) fate { return cut })
		time.AfterFunc(6*time.Second, func() { l.set(nil) })
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.RunStarted}))
		time.Sleep(time.Minute)
		select {
		case <-j.Lost():
			t.Error("lost the lock in an outage of 6s")
		default:
		}
		must(t, j.Close(t.Context(), 0))
	})
}

// TestKubeAppendsOnceWhenAnswersAreLost loses the answers of all first tries.
func TestKubeAppendsOnceWhenAnswersAreLost(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, l := p.store()
		j := open(t, k, "run-1")
		n := 0
		l.set(func(r *http.Request) fate {
			if n++; r.Method == http.MethodPut && strings.Contains(r.URL.Path, "secrets") && n%3 != 0 {
				return deaf
			}
			return ok
		})
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprint(i))
			must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: fmt.Sprint(i)}))
		}
		l.set(nil)
		must(t, j.Close(t.Context(), 0))
		if got := names(t, k); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("got %v, want each entry once and in order", got)
		}
	})
}

// TestKubeGoesOnAfterAnAppendThatFailed has a failed append that came through
// nevertheless: the next one stands behind it.
func TestKubeGoesOnAfterAnAppendThatFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, l := p.store()
		j := open(t, k, "run-1")
		l.set(func(r *http.Request) fate {
			if strings.Contains(r.URL.Path, "leases") {
				return ok
			}
			if r.Method == http.MethodPut {
				return deaf
			}
			return cut
		})
		if err := j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "a"}); err == nil {
			t.Fatal("append worked though no answer came")
		}
		l.set(nil)
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "b"}))
		must(t, j.Close(t.Context(), 0))
		if got := names(t, k); strings.Join(got, " ") != "a b" {
			t.Errorf("got %v, want a b", got)
		}
	})
}

func TestKubeNoticesThatItsJournalWasTamperedWith(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, _ := p.store()
		j := open(t, k, "run-1")
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "a"}))
		p.server.edit(t, journalKey, func(u *unstructured.Unstructured) { u.SetAnnotations(map[string]string{"who": "me"}) })
		must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "b"}))
		p.server.edit(t, journalKey, func(u *unstructured.Unstructured) {
			must(t, unstructured.SetNestedField(u.Object, "", "data", "tail.jsonl"))
		})
		if err := j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "c"}); err == nil {
			t.Error("append to a journal that somebody emptied worked")
		}
		p.server.mu.Lock()
		delete(p.server.objects, journalKey)
		p.server.mu.Unlock()
		if err := j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: "d"}); err == nil {
			t.Error("append to a journal that somebody deleted worked")
		}
		must(t, j.Close(t.Context(), 0))
	})
}

// noisy returns an entry of 400 bytes that cannot be packed.
func noisy(r *rand.Rand, name string) pipeline.Event {
	noise := make([]byte, 400)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	was, _ := json.Marshal(noise)
	return pipeline.Event{Type: pipeline.Changing, Name: name, Change: &pipeline.Record{Key: "k", Was: was}}
}

// TestKubeGrowsBeyondOneSecret writes many times what one object can hold.
func TestKubeGrowsBeyondOneSecret(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		p.small = true
		k, _ := p.store()
		r := rand.New(rand.NewPCG(3, 4))
		var want []string
		for part := range 2 {
			j := open(t, k, fmt.Sprint("run-", part))
			for range 40 {
				want = append(want, fmt.Sprint(len(want)))
				must(t, j.Append(t.Context(), noisy(r, want[len(want)-1])))
			}
			must(t, j.Close(t.Context(), 0))
		}
		if got := names(t, k); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("got %v, want the %d written, in order", got, len(want))
		}
		if p.server.object("secrets/headgate-shop-journal-8") == nil {
			t.Error("there are fewer segments than thought")
		}
		j := open(t, k, "run-3")
		must(t, j.Reset(t.Context()))
		must(t, j.Close(t.Context(), 0))
		if p.server.object("secrets/headgate-shop-journal-8") != nil {
			t.Error("segments are left after a reset")
		}
		old, err := k.History(t.Context())
		if err != nil || len(old) != 1 || len(old[0]) != 80 {
			t.Errorf("history: got %d journals, %v, want one of 80 entries", len(old), err)
		}
	})
}

// TestKubeGrowsWhileAnswersAreLost does so on a bad line.
func TestKubeGrowsWhileAnswersAreLost(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		p.small = true
		k, l := p.store()
		r := rand.New(rand.NewPCG(5, 6))
		j := open(t, k, "run-1")
		l.set(func(q *http.Request) fate {
			if strings.Contains(q.URL.Path, "leases") {
				return ok
			}
			return fate(r.IntN(4) % 3)
		})
		for i, last := 0, -1; i < 40; {
			if err := j.Append(t.Context(), noisy(r, fmt.Sprint(i))); err != nil {
				t.Log(i, err)
			} else {
				last = i
			}
			if i++; last < i-3 {
				t.Fatalf("three appends in a row failed at %d", i)
			}
		}
		l.set(nil)
		must(t, j.Append(t.Context(), noisy(r, "40")))
		must(t, j.Close(t.Context(), 0))
		got := names(t, k)
		if !slices.IsSortedFunc(got, func(a, b string) int { x, _ := strconv.Atoi(a); y, _ := strconv.Atoi(b); return cmp.Compare(x, y+1) }) {
			t.Errorf("got %v, want each entry at most once and in order", got)
		}
	})
}

func TestKubeMissesASegment(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		p.small = true
		k, _ := p.store()
		j := open(t, k, "run-1")
		r := rand.New(rand.NewPCG(3, 4))
		for range 20 {
			must(t, j.Append(t.Context(), noisy(r, "x")))
		}
		must(t, j.Close(t.Context(), 0))
		p.server.mu.Lock()
		delete(p.server.objects, "secrets/headgate-shop-journal-1")
		p.server.mu.Unlock()
		if _, err := k.Peek(t.Context()); err == nil || !strings.Contains(err.Error(), "headgate-shop-journal-1") {
			t.Errorf("peek: got %v, want an error that names the missing segment", err)
		}
		if _, err := k.Open(t.Context(), pipeline.Info{ID: "run-2"}); err == nil || errors.Is(err, pipeline.ErrLocked) {
			t.Errorf("open: got %v, want an error about the missing segment", err)
		}
		if holder, _, _ := unstructured.NestedString(p.server.object(lockKey).Object, "spec", "holderIdentity"); holder != "" {
			t.Errorf("the lock is left with %s", holder)
		}
	})
}

func TestKubeKeepsALimitedHistoryAndOneAppendIsOneRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		k, _ := p.store()
		for i := range 8 {
			j := open(t, k, "run-1")
			must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.StepPassed, Name: fmt.Sprint(i)}))
			before := p.server.calls["PUT secrets"] + p.server.calls["GET secrets"]
			must(t, j.Append(t.Context(), pipeline.Event{Type: pipeline.Finished}))
			if n := p.server.calls["PUT secrets"] + p.server.calls["GET secrets"] - before; n != 1 {
				t.Errorf("one append made %d requests", n)
			}
			must(t, j.Reset(t.Context()))
			must(t, j.Close(t.Context(), 0))
		}
		all, err := k.History(t.Context())
		if err != nil || len(all) != 5 || all[0][0].Name != "7" || all[4][0].Name != "3" {
			t.Errorf("history: got %v, %v, want 7 to 3", all, err)
		}
	})
}

func TestKubeForbidden(t *testing.T) {
	inBubble(t, func(t *testing.T, p *kubePlace) {
		p.server.full = true
		k, _ := p.store()
		_, err := k.Open(t.Context(), pipeline.Info{ID: "run-1"})
		forbidden, ok := errors.AsType[*journal.ForbiddenError](err)
		if !ok || !strings.Contains(forbidden.Hint(), "leases") {
			t.Errorf("got %v, want a ForbiddenError with a hint", err)
		}
	})
}

func open(t *testing.T, s pipeline.Store, run string) pipeline.Journal {
	t.Helper()
	j, err := s.Open(t.Context(), pipeline.Info{ID: run, Pipeline: "shop"})
	must(t, err)
	return j
}

func names(t *testing.T, s pipeline.Store) []string {
	t.Helper()
	events, err := s.Peek(t.Context())
	must(t, err)
	var all []string
	for _, e := range events {
		all = append(all, e.Name)
	}
	return all
}
