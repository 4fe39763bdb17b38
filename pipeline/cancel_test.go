package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// slowJournal hangs in Close and, once cut off, in Append.
type slowStore struct {
	memoryStore
	hang *atomic.Bool
}

type slowJournal struct {
	pipeline.Journal
	hang *atomic.Bool
}

func (s slowStore) Open(ctx context.Context, info pipeline.Info) (pipeline.Journal, error) {
	j, err := s.memoryStore.Open(ctx, info)
	return slowJournal{j, s.hang}, err
}

func (j slowJournal) Append(ctx context.Context, e pipeline.Event) error {
	if j.hang.Load() {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return j.Journal.Append(ctx, e)
}

func (j slowJournal) Close(context.Context, time.Duration) error {
	time.Sleep(time.Minute)
	return nil
}

// cancelIn runs b, cancels it after a while, and returns how it ended and how
// long after the cancellation.
func cancelIn(t *testing.T, b *bench, after time.Duration) (pipeline.Result, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	var at time.Time
	time.AfterFunc(after, func() { at = time.Now(); cancel(pipeline.ErrCancelled) })
	result := b.Run(ctx)
	return result, time.Since(at)
}

// However much hangs, a cancelled run has tried everything that users feel
// and is at its end six seconds later.
func TestCancelledRunIsSafeInTime(t *testing.T) {
	two := func(ctx context.Context, s *pipeline.Scope) error {
		return errors.Join(s.Do(ctx, change("route", "50")), s.Do(ctx, change("flag", "50")))
	}
	for _, c := range []struct {
		name         string
		deaf         bool // the stage does not hear
		stuck        bool // its urgent undo hangs
		deafUndo     bool // and does not hear either
		journal      bool // hangs from the cancellation on
		ending       pipeline.Ending
		alsoPutsBack string
	}{
		{name: "nothing hangs", ending: pipeline.CancelledInt, alsoPutsBack: "flag"},
		{name: "stage", deaf: true, ending: pipeline.CancelledInt, alsoPutsBack: "flag"},
		{name: "undo", stuck: true, ending: pipeline.RollbackIncomplete, alsoPutsBack: "route"},
		{name: "undo that does not hear", deafUndo: true, ending: pipeline.RollbackIncomplete, alsoPutsBack: "route"},
		{name: "journal", journal: true, ending: pipeline.RollbackIncomplete, alsoPutsBack: "route"},
		{name: "all", deaf: true, deafUndo: true, journal: true, ending: pipeline.RollbackIncomplete, alsoPutsBack: "route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hang atomic.Bool
				b := newBench(stage("a", plain(func(ctx context.Context, s *pipeline.Scope) error {
					if err := two(ctx, s); err != nil {
						return err
					}
					err := s.Sleep(ctx, time.Hour)
					hang.Store(c.journal)
					if c.deaf {
						time.Sleep(time.Minute)
						if s.Do(ctx, change("route", "100")) == nil {
							t.Error("a stage that was left behind changed something")
						}
						s.Warn("still here")
					}
					return err
				})))
				b.Store = slowStore{memoryStore{b.journal, b.life}, &hang}
				ended := false
				b.Sinks = []pipeline.Sink{sinkFunc(func(e pipeline.Event) {
					if ended {
						t.Errorf("told of %s after the end", e.Type)
					}
					ended = e.Type == pipeline.RunEnded
				})}
				b.Undoers["thing"] = undoing(func(ctx context.Context, thing pipeline.Thing, _ bool) error {
					switch {
					case thing.Name == "flag" && c.deafUndo:
						time.Sleep(time.Minute)
						return nil
					case thing.Name == "flag" && c.stuck:
						<-ctx.Done()
						return context.Cause(ctx)
					}
					b.undone = append(b.undone, thing.Name)
					return nil
				})
				result, took := cancelIn(t, b, time.Minute)
				want(t, result, c.ending)
				if took > 6*time.Second {
					t.Errorf("took %s", took)
				}
				if !slices.Contains(b.undone, c.alsoPutsBack) {
					t.Errorf("put back only %q", b.undone)
				}
				time.Sleep(2 * time.Minute) // until those that were left behind have ended
			})
		})
	}
}

func TestCancelledWhilePuttingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(stage("a", plain(func(ctx context.Context, s *pipeline.Scope) error {
			pods := change("pods", "5")
			pods.Urgent = false
			return errors.Join(s.Do(ctx, change("route", "50")), s.Do(ctx, pods), errors.New("gate failed"))
		})))
		b.Undoers["thing"] = undoing(func(ctx context.Context, thing pipeline.Thing, _ bool) error {
			if thing.Name == "pods" {
				return pipeline.RealClock{}.Sleep(ctx, 10*time.Minute) // a long drain
			}
			b.undone = append(b.undone, thing.Name)
			return nil
		})
		result, took := cancelIn(t, b, time.Minute)
		want(t, result, pipeline.CancelledInt)
		if took > 6*time.Second || !slices.Equal(b.undone, []string{"route"}) || b.journal.state.Phase != pipeline.Stopped {
			t.Errorf("took %s, put back %q, journal says %s", took, b.undone, b.journal.state.Phase)
		}
		if result.Hint == "" {
			t.Error("no word of what recovers it")
		}
	})
}

// A commit whose answer is lost by a cancellation may stand: nothing is put back.
func TestCancelledInTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(stage("a", changes("route", "100")))
		b.Store = lateCommit{memoryStore{b.journal, b.life}}
		result, _ := cancelIn(t, b, time.Second)
		want(t, result, pipeline.DeliveredNotFinished)
		if len(b.undone) > 0 {
			t.Errorf("put back %q though the commit stands", b.undone)
		}
	})
}

// lateCommit writes the commit and never answers.
type lateCommit struct{ memoryStore }

type lateJournal struct{ pipeline.Journal }

func (s lateCommit) Open(ctx context.Context, info pipeline.Info) (pipeline.Journal, error) {
	j, err := s.memoryStore.Open(ctx, info)
	return lateJournal{j}, err
}

func (j lateJournal) Append(ctx context.Context, e pipeline.Event) error {
	err := j.Journal.Append(ctx, e)
	if e.Type == pipeline.Committed {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return err
}

func TestCancelledBeforeTheLock(t *testing.T) {
	for name, store := range map[string]func(s memoryStore) pipeline.Store{
		"looking": func(s memoryStore) pipeline.Store { return hangingStore{s, true} },
		"opening": func(s memoryStore) pipeline.Store { return hangingStore{s, false} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(stage("a", changes("route", "100")))
				b.wrote(t)
				b.Store = store(memoryStore{b.journal, b.life})
				result, took := cancelIn(t, b, time.Second)
				want(t, result, pipeline.CancelledInt)
				if took > time.Second {
					t.Errorf("took %s", took)
				}
				if name == "opening" && result.Hint == "" {
					t.Error("no word of the unfinished run")
				}
			})
		})
	}
}

type hangingStore struct {
	memoryStore
	peek bool
}

func (s hangingStore) Peek(ctx context.Context) ([]pipeline.Event, error) {
	if !s.peek {
		return s.memoryStore.Peek(ctx)
	}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (s hangingStore) Open(ctx context.Context, _ pipeline.Info) (pipeline.Journal, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// One thing that hangs must not eat the time of the others.
func TestHangingUndoLeavesTimeForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(stage("a", changes("route", "50")), stage("b", changes("flag", "50")), stage("c", plain(fails)))
		b.Undoers["thing"] = undoing(func(ctx context.Context, thing pipeline.Thing, _ bool) error {
			if thing.Name == "flag" {
				<-ctx.Done()
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.undone = append(b.undone, thing.Name)
			return nil
		})
		want(t, b.Run(t.Context()), pipeline.RollbackIncomplete)
		if !slices.Equal(b.undone, []string{"route"}) {
			t.Errorf("put back %q", b.undone)
		}
	})
}

func TestStageThatDoesNotHearItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := stage("a", plain(func(context.Context, *pipeline.Scope) error { time.Sleep(24 * time.Hour); return nil }))
		deaf.Timeout = source.Duration{Value: time.Minute}
		b := newBench(deaf)
		began := time.Now()
		result := b.Run(t.Context())
		want(t, result, pipeline.FailedUnchanged)
		if took := time.Since(began); took > 2*time.Minute || result.Reason != "timed out after 1m0s" {
			t.Errorf("took %s: %s", took, result.Reason)
		}
		time.Sleep(25 * time.Hour)
	})
}

// A timeout ends a sleep in virtual time at its moment, also under a gate.
func TestTimeoutInVirtualTime(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := pipeline.NewVirtualClock(start)
	slow := stage("a", plain(func(ctx context.Context, s *pipeline.Scope) error {
		watch := func(ctx context.Context) error {
			for {
				if err := s.Sleep(ctx, 7*time.Second); err != nil {
					return nil
				}
			}
		}
		return s.While(ctx, watch, func(ctx context.Context) error { return s.Sleep(ctx, time.Hour) })
	}))
	slow.Timeout = source.Duration{Value: time.Minute}
	b := newBench(slow)
	b.Clock = clock
	result := b.Run(t.Context())
	want(t, result, pipeline.FailedUnchanged)
	if after := clock.Now().Sub(start); after != time.Minute || !errors.As(result.Err, new(*pipeline.TimeoutError)) {
		t.Errorf("ended after %s: %v", after, result.Err)
	}
}

// What breaks down beside a stage, in an undo or in a reporter does not take
// the run, and with it the rollback, away.
func TestBreakdowns(t *testing.T) {
	b := newBench(stage("a", plain(func(ctx context.Context, s *pipeline.Scope) error {
		if err := s.Do(ctx, change("route", "50")); err != nil {
			return err
		}
		return s.While(ctx, func(context.Context) error { panic("gate") }, func(ctx context.Context) error { return s.Sleep(ctx, time.Hour) })
	})))
	b.Clock = pipeline.NewVirtualClock(time.Now())
	b.Sinks = []pipeline.Sink{sinkFunc(func(pipeline.Event) { panic("sink") })}
	tried := 0
	b.Undoers["thing"] = undoing(func(context.Context, pipeline.Thing, bool) error {
		if tried++; tried == 1 {
			panic("undo")
		}
		return nil
	})
	want(t, b.Run(t.Context()), pipeline.FailedRolledBack)
}
