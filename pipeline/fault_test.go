package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// The fault schedules: every single fault and every pair of faults, at every
// point where a run touches the world or its journal, in every situation. A
// fault is a death (from then on that life of the run changes nothing and
// hears only errors) or an error, either before the call has had its effect
// or after it, a journal that cannot be written for the rest of that life, a
// lock that is lost, or a cancellation.
//
// The core was broken on purpose to see that these tests notice; breaks_test.go
// lists the breaks, and the tool there repeats them.

type fault int

const (
	noFault fault = iota
	deathBefore
	deathAfter
	errorBefore
	errorAfter
	journalAway
	lockLost
	cancelBefore
	cancelAfter
)

var allFaults = []fault{deathBefore, deathAfter, errorBefore, errorAfter, journalAway, lockLost, cancelBefore, cancelAfter}

func (f fault) String() string {
	return [...]string{"none", "death before", "death after", "error before", "error after", "journal away", "lock lost", "cancel before", "cancel after"}[f]
}

var (
	errDead  = errors.New("this life is over")
	errFault = errors.New("dealt fault")
)

// fate deals faults at numbered points, over all lives of a run.
type fate struct {
	plan  map[int]fault
	point int
	lives int
	names []string
}

// life is one process: after its death nothing it does has an effect.
type life struct {
	fate *fate
	w    *world
	m    *memory
	dead bool
	// away is true when its journal cannot be written any more, and excused
	// when it could not be written once.
	away, excused bool
	// opened says that it has had the lock, lost that it has not any more.
	opened, lost bool
	lose         func()
	stop         func()
	cancelled    time.Time
}

func (l *life) cancel() {
	if l.stop != nil && l.cancelled.IsZero() {
		l.cancelled = time.Now()
		l.stop()
	}
}

// at is called wherever the outside is touched; effect is what happens there.
func (l *life) at(name string, effect func() error) error {
	if l.dead {
		return errDead
	}
	f := l.fate.plan[l.fate.point]
	l.fate.point++
	l.fate.names = append(l.fate.names, name)
	store := strings.HasPrefix(name, "journal ") || strings.HasPrefix(name, "store ")
	l.away = l.away || f == journalAway
	l.excused = l.excused || l.away || (store && f != noFault && (!l.cancelled.IsZero() || (f != cancelBefore && f != cancelAfter)))
	switch {
	case l.lost && store:
		return fmt.Errorf("write: %w", pipeline.ErrLockLost)
	case l.lost:
		l.w.broken = append(l.w.broken, name+": changed after the lock was lost")
		return errFault
	case store && l.away:
		return errFault
	}
	switch f {
	case deathBefore:
		l.dead = true
		return errDead
	case errorBefore:
		return errFault
	case cancelBefore:
		l.cancel()
		return pipeline.ErrCancelled
	case lockLost:
		if l.lose != nil {
			l.lost = true
			l.lose()
			if store {
				return fmt.Errorf("write: %w", pipeline.ErrLockLost)
			}
		}
	default: // nothing comes before the effect
	}
	err := effect()
	if !store {
		l.w.covered(l.m, name)
	}
	switch f {
	case deathAfter:
		l.dead = true
		return errDead
	case errorAfter:
		return errFault
	case cancelAfter:
		l.cancel()
		return pipeline.ErrCancelled
	default: // nothing comes after it
	}
	return err
}

// situation is a course that a release takes.
type situation struct {
	name      string
	badWeight int  // the rollout's gate fails there
	badFlag   bool // the later stage fails
	contained bool // and puts back itself alone
	commit    bool // a commit stands between the two
	cancelAt  int  // cancelled when this weight was reached
	cancelOn  int  // cancelled when the flag was at this
	badSettle bool // the stage after the flag fails
	// new and flag are how the world must end without faults.
	new  bool
	flag int
}

var situations = []situation{
	{name: "all well", new: true, flag: 100},
	{name: "gate fails at the first step", badWeight: 20, flag: 5},
	{name: "gate fails at the last step", badWeight: 100, flag: 5},
	{name: "later stage fails", badFlag: true, flag: 5},
	{name: "later stage fails and is contained", badFlag: true, contained: true, new: true, flag: 5},
	{name: "later stage fails after a commit", badFlag: true, commit: true, new: true, flag: 5},
	{name: "last stage fails after a commit", badSettle: true, commit: true, new: true, flag: 5},
	{name: "cancelled in the middle of a soak", cancelAt: 50, flag: 5},
	{name: "cancelled after a commit", commit: true, cancelOn: 50, new: true, flag: 5},
}

// live runs one life and returns how it ended.
func live(t *testing.T, sit situation, l *life, repair bool) pipeline.Result {
	t.Helper()
	w, m := l.w, l.m
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	l.stop = func() { cancel(pipeline.ErrCancelled) }
	canary := &rollout{w: w, l: l, bad: sit.badWeight, soak: 5 * time.Minute}
	flag := &ramp{w: w, l: l, bad: sit.badFlag, contained: sit.contained}
	// A gate that has failed may think better of it: nobody may ask it again.
	if failed := m.state.Stage("rollout"); failed != nil && failed.Status == pipeline.StageFailed {
		canary.bad = 0
	}
	if failed := m.state.Stage("flag"); failed != nil && (failed.Status == pipeline.StageFailed || failed.Status == pipeline.RolledBack) {
		flag.bad = false
	}
	soon := func(at int) func(int) {
		return func(reached int) {
			if reached == at {
				go func() { time.Sleep(time.Minute); l.cancel() }()
			}
		}
	}
	canary.reached, flag.reached = soon(sit.cancelAt), soon(sit.cancelOn)
	stages := []*pipeline.Stage{{Name: "rollout", Task: canary, Changes: true, Timeout: source.Duration{Value: time.Hour}}}
	if sit.commit {
		stages = append(stages, &pipeline.Stage{Name: "commit", Task: commitTask{}, Changes: true})
	}
	stages = append(stages, &pipeline.Stage{Name: "flag", Task: flag, Changes: true})
	if sit.badSettle {
		stages = append(stages, &pipeline.Stage{Name: "settle", Task: settle{}, Changes: true})
	}
	u := undoer{w: w, l: l}
	r := &pipeline.Runner{
		Pipeline: &pipeline.Pipeline{Name: "user-service", Stages: stages},
		Info:     pipeline.Info{ID: "run-1", Pipeline: "user-service", Commit: "c0ffee", Digest: "d1"},
		Store:    memoryStore{m, l}, Clock: pipeline.RealClock{},
		Undoers: map[string]pipeline.Undoer{"canary": u, "weight": u, "flag": u},
		Options: pipeline.Options{Recover: "headgate recover"},
	}
	if repair {
		return r.Recover(ctx)
	}
	return r.Run(ctx)
}

// racing is true under the race detector, which is twenty times slower: it
// gets every single fault and every 61st pair.
var racing bool

// every says which share of the pairs is dealt: one of so many. All of them,
// some minutes on two processors, are dealt with HEADGATE_FAULTS=all.
func every() int {
	switch {
	case os.Getenv("HEADGATE_FAULTS") == "all":
		return 1
	case racing:
		return 61
	}
	return 7
}

// outlive starts lives until the run has ended, and checks what must hold.
// It returns how many points there were.
func outlive(t *testing.T, sit situation, plan map[int]fault) int {
	t.Helper()
	w, m, f := oldWorld(), &memory{}, &fate{plan: plan}
	bound := len(plan) + 1
	if sit.cancelAt > 0 || sit.cancelOn > 0 {
		bound += len(plan) + 1 // each life may be cancelled and need a recovery
	}
	var result pipeline.Result
	ended, repair := false, false
	problem := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s, faults %v: "+format+"\nlast: %+v\nworld: %+v\npoints: %q",
			append(append([]any{sit.name, plan}, args...), result, *w, f.names)...)
	}
	for f.lives = 0; f.lives < bound && !ended; f.lives++ {
		l := &life{fate: f, w: w, m: m}
		result = live(t, sit, l, repair)
		if !l.dead && !l.lost {
			survived(w, m, l, result, problem)
		}
		if (result.Ending == pipeline.Locked) != l.lost && !l.dead {
			problem("the lock was lost: %v", l.lost)
		}
		ended = !l.dead && (result.Ending == pipeline.Delivered || result.Ending == pipeline.FailedRolledBack ||
			(result.Ending == pipeline.FailedUnchanged && !m.state.Unfinished()))
		repair = !ended && (repair || result.Ending == pipeline.CancelledInt)
	}
	if !ended {
		problem("not ended after %d lives", f.lives)
	}
	for _, b := range w.broken {
		problem("%s", b)
	}
	if m.torn != nil {
		problem("journal does not replay: %v", m.torn)
	}
	judge(sit, w, result, problem)
	if result.Ending == pipeline.FailedUnchanged && f.lives == 1 && w.changes > 0 {
		problem("says unchanged, and is not")
	}
	if m.state.Unfinished() {
		problem("journal says that the run is unfinished: %s", m.state.Phase)
	}
	if m.state.Phase != pipeline.NotStarted && len(m.state.Pending("")) > 0 {
		problem("journal of an ended run has something to put back: %v", m.state.Pending(""))
	}
	before := w.changes
	if again := live(t, sit, &life{fate: &fate{}, w: w, m: m}, true); w.changes != before {
		problem("a recovery of an ended run changed the world and ended %s", again.Ending)
	}
	return f.point
}

// survived checks what must hold at the end of every life that was neither
// killed nor cut off.
func survived(w *world, m *memory, l *life, result pipeline.Result, problem func(string, ...any)) {
	if result.Ending == pipeline.RollbackIncomplete && !l.excused {
		problem("an undo that failed now and then was given up")
	}
	if l.cancelled.IsZero() {
		return
	}
	if took := time.Since(l.cancelled); took > 6*time.Second {
		problem("ended %s after it was cancelled", took)
	}
	if result.Ending != pipeline.CancelledInt || !l.opened || m.state.Committed {
		return
	}
	if w.weight != 0 || w.flag != 5 {
		problem("cancelled, and users are not back where they were")
	}
	changing := slices.ContainsFunc(m.events, func(e pipeline.Event) bool { return e.Type == pipeline.Changing })
	if m.state.Phase == pipeline.Running && changing && !l.excused {
		problem("cancelled, and the journal does not say so")
	}
}

func judge(sit situation, w *world, result pipeline.Result, problem func(string, ...any)) {
	isOld, isNew := w.is("old", 5), w.stable == "new" && w.canary == "" && w.weight == 0
	switch {
	case !isOld && !isNew:
		problem("the world is neither old nor new")
	case isNew && !sit.new:
		problem("a bad version was delivered")
	case isNew && (sit.badFlag || sit.badSettle) && w.flag != 5:
		problem("a bad flag was left on")
	case isNew && result.Ending == pipeline.Delivered && w.flag != sit.flag:
		problem("delivered with the flag at %d", w.flag)
	case isOld && result.Ending == pipeline.Delivered && result.Reason != "nothing is unfinished":
		problem("says delivered and is old")
	}
}

// TestFaultSchedules deals every single fault first, and every pair only when
// nothing was found, so that what is broken shows soon.
func TestFaultSchedules(t *testing.T) {
	points := map[string][]int{} // by situation and first fault: how many points there were
	for _, sit := range situations {
		synctest.Test(t, func(t *testing.T) {
			first := outlive(t, sit, nil)
			for at := range first {
				for _, a := range allFaults {
					points[sit.name] = append(points[sit.name], outlive(t, sit, map[int]fault{at: a}))
				}
			}
		})
	}
	for _, sit := range situations {
		t.Run(sit.name, func(t *testing.T) {
			t.Parallel()
			for single, n := range points[sit.name] {
				first, a := single/len(allFaults), allFaults[single%len(allFaults)]
				synctest.Test(t, func(t *testing.T) { pairs(t, sit, n, first, a) })
				if t.Failed() {
					return
				}
			}
		})
	}
}

// pairs follows one fault by every second one.
func pairs(t *testing.T, sit situation, points, first int, a fault) {
	pair, share := first, every()
	for second := first + 1; second < points; second++ {
		for _, b := range allFaults {
			if pair++; pair%share != 0 {
				continue
			}
			outlive(t, sit, map[int]fault{first: a, second: b})
		}
	}
}
