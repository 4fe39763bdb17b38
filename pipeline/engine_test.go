package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// plain is a stage made of a function.
type plain func(ctx context.Context, s *pipeline.Scope) error

func (p plain) Run(ctx context.Context, s *pipeline.Scope) error { return p(ctx, s) }

// finishing also has a finish.
type finishing struct {
	plain
	finish plain
}

func (f finishing) Finish(ctx context.Context, s *pipeline.Scope) error { return f.finish(ctx, s) }

// contained puts back itself alone.
type contained struct{ plain }

func (contained) ContainsFailure() bool { return true }

// asking has a preflight.
type asking struct {
	plain
	ask func(ctx context.Context)
}

func (a asking) Preflight(ctx context.Context, _ *pipeline.Scope) []pipeline.Finding {
	a.ask(ctx)
	return nil
}

// undoing is an undoer made of a function.
type undoing func(ctx context.Context, thing pipeline.Thing, hurry bool) error

func (u undoing) Undo(ctx context.Context, thing pipeline.Thing, _ json.RawMessage, hurry bool) error {
	return u(ctx, thing, hurry)
}

// matching says what a world would that shows the last write of each thing.
type matching struct {
	undoing
	shown map[string]string
}

func (m matching) Matches(_ context.Context, thing pipeline.Thing, to json.RawMessage) (bool, error) {
	return m.shown[thing.Name] == strings.Trim(string(to), `"`), nil
}

type sinkFunc func(e pipeline.Event)

func (f sinkFunc) Handle(e pipeline.Event) { f(e) }

// bench is a small run on a journal in memory.
type bench struct {
	*pipeline.Runner
	journal *memory
	undone  []string
	life    *life
}

func newBench(stages ...*pipeline.Stage) *bench {
	b := &bench{journal: &memory{}}
	b.life = &life{fate: &fate{}, w: oldWorld(), m: b.journal}
	b.Runner = &pipeline.Runner{
		Pipeline: &pipeline.Pipeline{Name: "user-service", Stages: stages},
		Info:     pipeline.Info{ID: "run-1", Commit: "c0ffee", Digest: "d1"},
		Store:    memoryStore{b.journal, b.life}, Clock: pipeline.RealClock{},
		Undoers: map[string]pipeline.Undoer{"thing": undoing(func(_ context.Context, thing pipeline.Thing, _ bool) error {
			b.undone = append(b.undone, thing.Name)
			return nil
		})},
		Options: pipeline.Options{Recover: "headgate recover"},
	}
	return b
}

// wrote puts entries into the journal, as an earlier process of the run.
func (b *bench) wrote(t *testing.T, events ...pipeline.Event) {
	t.Helper()
	info := b.Info
	for _, e := range slices.Concat([]pipeline.Event{{Type: pipeline.RunStarted, Run: &info}}, events) {
		if err := b.journal.state.Apply(e); err != nil {
			t.Fatal(err)
		}
		b.journal.events = append(b.journal.events, e)
	}
}

func stage(name string, task pipeline.Task) *pipeline.Stage {
	return &pipeline.Stage{Name: name, Task: task, Changes: true}
}

func passes(context.Context, *pipeline.Scope) error { return nil }

func fails(context.Context, *pipeline.Scope) error { return errors.New("gate failed") }

func change(name, to string) pipeline.Change {
	return pipeline.Change{
		Thing: pipeline.Thing{Kind: "thing", Name: name}, Key: to, Was: "was", To: to, Urgent: true,
		Make: func(context.Context) error { return nil },
	}
}

func changes(name, to string) plain {
	return func(ctx context.Context, s *pipeline.Scope) error { return s.Do(ctx, change(name, to)) }
}

// made are the entries of a change.
func made(stage, name, to string) []pipeline.Event {
	quoted, _ := json.Marshal(to)
	thing := pipeline.Thing{Kind: "thing", Name: name}
	return []pipeline.Event{
		{Type: pipeline.StageStarted, Stage: stage},
		{Type: pipeline.Changing, Stage: stage, Change: &pipeline.Record{Thing: thing, Key: to, Was: []byte(`"was"`), To: quoted, Urgent: true}},
		{Type: pipeline.Changed, Stage: stage, Change: &pipeline.Record{Thing: thing, Key: to}},
	}
}

func want(t *testing.T, r pipeline.Result, ending pipeline.Ending) {
	t.Helper()
	if r.Ending != ending {
		t.Fatalf("ended %s, want %s: %+v", r.Ending, ending, r)
	}
}

// What an earlier process began is brought to its end, whatever its condition
// says now and whatever part this process was asked for.
func TestResumeDoesNotLeaveOutWhatWasBegun(t *testing.T) {
	never := source.Expr{Raw: "false"}
	for name, options := range map[string]pipeline.Options{
		"from a later stage": {From: "last"}, "until an earlier stage": {Until: "first"}, "with a condition": {},
	} {
		t.Run(name, func(t *testing.T) {
			again := false
			rollout := stage("rollout", plain(func(ctx context.Context, s *pipeline.Scope) error {
				again = true
				return changes("route", "50")(ctx, s)
			}))
			if name == "with a condition" {
				rollout.If = never
			}
			b := newBench(stage("first", plain(passes)), rollout, stage("last", plain(passes)))
			b.Options = options
			b.wrote(t, slices.Concat([]pipeline.Event{{Type: pipeline.StageStarted, Stage: "first"}, {Type: pipeline.StagePassed, Stage: "first"}},
				made("rollout", "route", "50"))...)
			want(t, b.Run(t.Context()), pipeline.Delivered)
			if !again {
				t.Error("the stage that was begun was left half done, and delivered")
			}
		})
	}
}

func TestResumeWhenTwoStagesChangeOneThing(t *testing.T) {
	b := newBench(stage("a", changes("flag", "50")), stage("b", changes("flag", "100")))
	b.wrote(t, slices.Concat(made("a", "flag", "50"), []pipeline.Event{{Type: pipeline.StagePassed, Stage: "a"}}, made("b", "flag", "100"))...)
	b.Undoers["thing"] = matching{b.Undoers["thing"].(undoing), map[string]string{"flag": "100"}}
	want(t, b.Run(t.Context()), pipeline.Delivered)
}

// A process that died after it had put back a contained stage has decided.
func TestContainedFailureIsNotTriedAgain(t *testing.T) {
	b := newBench(stage("a", changes("route", "100")), stage("b", contained{func(context.Context, *pipeline.Scope) error {
		t.Error("the stage that failed ran again")
		return nil
	}}))
	b.wrote(t, slices.Concat(made("a", "route", "100"), []pipeline.Event{{Type: pipeline.StagePassed, Stage: "a"}}, made("b", "flag", "50"), []pipeline.Event{
		{Type: pipeline.StageFailed, Stage: "b", Reason: "gate failed"}, {Type: pipeline.RollingBack, Stage: "b"}, {Type: pipeline.RolledBack, Stage: "b"},
	})...)
	first := b.Run(t.Context())
	want(t, first, pipeline.FailedRolledBack)
	if first.Reason != "gate failed" {
		t.Errorf("reason %q", first.Reason)
	}
	want(t, b.Run(t.Context()), pipeline.FailedRolledBack) // and neither is it green the third time
	if len(b.undone) != 0 {
		t.Errorf("put back %q, though RolledBack stands for it", b.undone)
	}
}

// endingStore is a store in which the run that was seen ends before the lock
// is had.
type endingStore struct{ memoryStore }

func (s endingStore) Open(ctx context.Context, info pipeline.Info) (pipeline.Journal, error) {
	s.events = append(s.events, pipeline.Event{Type: pipeline.RollingBack}, pipeline.Event{Type: pipeline.RolledBack})
	return s.memoryStore.Open(ctx, info)
}

func TestEarlierRunEndsWhileTheLockIsTaken(t *testing.T) {
	b := newBench(stage("a", changes("route", "100")))
	b.wrote(t)
	b.Info.ID = "run-2"
	b.Store = endingStore{memoryStore{b.journal, b.life}}
	want(t, b.Run(t.Context()), pipeline.Delivered)
}

func TestLostLockStopsARecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(stage("a", finishing{passes, func(ctx context.Context, s *pipeline.Scope) error {
			b.life.lose()
			if err := s.Sleep(ctx, time.Minute); err == nil {
				t.Error("the finish went on without the lock")
			}
			return context.Cause(ctx)
		}}))
		b.wrote(t, slices.Concat(made("a", "route", "100"), []pipeline.Event{{Type: pipeline.StagePassed, Stage: "a"}, {Type: pipeline.Committed}})...)
		want(t, b.Recover(t.Context()), pipeline.Locked)
	})
}

func TestLostLockStopsAnUndoUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(stage("a", plain(func(ctx context.Context, s *pipeline.Scope) error {
			if err := s.Do(ctx, change("route", "50")); err != nil {
				return err
			}
			return errors.New("gate failed")
		})))
		b.Undoers["thing"] = undoing(func(ctx context.Context, _ pipeline.Thing, _ bool) error {
			b.life.lose()
			if (pipeline.RealClock{}).Sleep(ctx, 30*time.Second) == nil { // the drain
				t.Error("an undo went on without the lock")
			}
			return context.Cause(ctx)
		})
		want(t, b.Run(t.Context()), pipeline.Locked)
	})
}

func TestLostLockInAPreflight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(stage("a", asking{passes, func(ctx context.Context) {
			b.life.lose()
			<-ctx.Done()
		}}))
		b.wrote(t)
		b.Options.OnUnfinished = pipeline.PolicyRollback // so that it has the lock already
		b.Info.ID = "run-2"
		want(t, b.Run(t.Context()), pipeline.Locked)
	})
}
