package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
// or after it, or a journal that cannot be written for the rest of that life.
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
)

var allFaults = []fault{deathBefore, deathAfter, errorBefore, errorAfter, journalAway}

func (f fault) String() string {
	return [...]string{"none", "death before", "death after", "error before", "error after", "journal away"}[f]
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
	dead bool
	// away is true when its journal cannot be written any more, and excused
	// when it could not be written once.
	away, excused bool
}

// at is called wherever the outside is touched; effect is what happens there.
func (l *life) at(name string, effect func() error) error {
	if l.dead {
		return errDead
	}
	f := l.fate.plan[l.fate.point]
	l.fate.point++
	l.fate.names = append(l.fate.names, name)
	journal := strings.HasPrefix(name, "journal ")
	l.away = l.away || f == journalAway
	l.excused = l.excused || l.away || (journal && f != noFault)
	if journal && l.away {
		return errFault
	}
	switch f {
	case deathBefore:
		l.dead = true
		return errDead
	case errorBefore:
		return errFault
	}
	err := effect()
	switch f {
	case deathAfter:
		l.dead = true
		return errDead
	case errorAfter:
		return errFault
	}
	return err
}

// world is what a run changes. It checks after every change that users are
// well; what it finds wrong is kept in broken.
type world struct {
	stable  string // version of the stable track
	canary  string // version of the canary, "" if there is none
	weight  int    // percentage that the canary gets
	flag    int
	changes int
	broken  []string
	// flagMayStay is set while the flag cannot be put back.
	flagMayStay bool
}

func oldWorld() *world { return &world{stable: "old", flag: 5} }

func (w *world) check(what string) error {
	w.changes++
	if w.weight > 0 && w.canary == "" {
		w.broken = append(w.broken, what+": traffic goes to a canary that is not running")
	}
	return nil
}

func (w *world) setWeight(n int) error {
	if n < w.weight && n != 0 {
		w.broken = append(w.broken, fmt.Sprintf("traffic went down from %d to %d, not to where it began", w.weight, n))
	}
	w.weight = n
	return w.check("weight")
}

func (w *world) setCanary(v string) error { w.canary = v; return w.check("canary") }
func (w *world) setFlag(n int) error      { w.flag = n; return w.check("flag") }

func (w *world) setStable(v string) error {
	if w.weight != 100 && w.stable != v {
		w.broken = append(w.broken, "stable was changed while it had traffic")
	}
	w.stable = v
	return w.check("stable")
}

func (w *world) is(version string, flag int) bool {
	return w.stable == version && w.canary == "" && w.weight == 0 && w.flag == flag
}

// memory is a journal whose writes are points of the fate.
type memory struct {
	events []pipeline.Event
}

type memoryStore struct {
	*memory
	life *life
}

func (s memoryStore) Peek(context.Context) ([]pipeline.Event, error) { return s.copy(), nil }
func (s memoryStore) copy() []pipeline.Event {
	return append([]pipeline.Event(nil), s.events...)
}

func (s memoryStore) Open(context.Context, pipeline.Info) (pipeline.Journal, error) {
	if s.life.dead {
		return nil, errDead
	}
	return &memoryJournal{memoryStore: s, found: s.copy(), lost: make(chan struct{})}, nil
}

type memoryJournal struct {
	memoryStore
	found []pipeline.Event
	lost  chan struct{}
}

func (j *memoryJournal) Events() []pipeline.Event { return j.found }
func (j *memoryJournal) Lost() <-chan struct{}    { return j.lost }

func (j *memoryJournal) Append(ctx context.Context, e pipeline.Event) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b, err := json.Marshal(e) // what is kept is what can be read back
	if err != nil {
		return err
	}
	return j.life.at("journal "+string(e.Type), func() error {
		var back pipeline.Event
		if err := json.Unmarshal(b, &back); err != nil {
			return err
		}
		j.events = append(j.events, back)
		return nil
	})
}

func (j *memoryJournal) Reset(context.Context) error {
	return j.life.at("journal reset", func() error { j.events, j.found = nil, nil; return nil })
}
func (j *memoryJournal) Close(context.Context, time.Duration) error { return nil }

// rollout is an honest small canary stage.
type rollout struct {
	w    *world
	l    *life
	bad  int // the gate fails at this weight; 0 = never
	soak time.Duration
	// reached is called when the weight has been set.
	reached func(weight int)
}

func (r *rollout) do(ctx context.Context, s *pipeline.Scope, thing, key string, urgent bool, was any, effect func() error) error {
	return s.Do(ctx, pipeline.Change{
		Thing: pipeline.Thing{Kind: thing, Name: "user-service"}, Key: key, Was: was, To: key, Urgent: urgent,
		Make: func(ctx context.Context) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return r.l.at(thing+" "+key, effect)
		},
	})
}

func (r *rollout) Run(ctx context.Context, s *pipeline.Scope) error {
	if r.w.stable == "new" {
		return nil
	}
	if err := r.do(ctx, s, "canary", "create", false, r.w.canary, func() error { return r.w.setCanary("new") }); err != nil {
		return err
	}
	for _, weight := range []int{20, 50, 100} {
		err := r.do(ctx, s, "weight", fmt.Sprint(weight), true, r.w.weight, func() error { return r.w.setWeight(weight) })
		if err != nil {
			return err
		}
		r.reached(weight)
		if r.bad == weight {
			return fmt.Errorf("gate failed at %d", weight)
		}
		err = s.Step(ctx, fmt.Sprintf("soak %d", weight), func(ctx context.Context) error { return s.Sleep(ctx, r.soak) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rollout) Finish(ctx context.Context, s *pipeline.Scope) error {
	if err := r.do(ctx, s, "stable", "promote", false, nil, func() error { return r.w.setStable("new") }); err != nil {
		return err
	}
	if err := r.do(ctx, s, "weight", "back", true, nil, func() error { return r.w.setWeight(0) }); err != nil {
		return err
	}
	return r.do(ctx, s, "canary", "remove", false, nil, func() error { return r.w.setCanary("") })
}

// ramp is an honest small flag stage.
type ramp struct {
	w         *world
	l         *life
	bad       bool
	contained bool
	reached   func(percentage int)
}

func (r *ramp) ContainsFailure() bool { return r.contained }

func (r *ramp) Run(ctx context.Context, s *pipeline.Scope) error {
	for _, n := range []int{50, 100} {
		err := s.Do(ctx, pipeline.Change{
			Thing: pipeline.Thing{Kind: "flag", Name: "new_profile"}, Key: fmt.Sprint(n), Was: r.w.flag, To: fmt.Sprint(n), Urgent: true,
			Make: func(ctx context.Context) error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return r.l.at(fmt.Sprintf("flag %d", n), func() error { return r.w.setFlag(n) })
			},
		})
		if err != nil {
			return err
		}
		if r.bad && n == 100 {
			return errors.New("gate failed on the flag")
		}
		r.reached(n)
		err = s.Step(ctx, fmt.Sprintf("soak %d", n), func(ctx context.Context) error { return s.Sleep(ctx, 5*time.Minute) })
		if err != nil {
			return err
		}
	}
	return nil
}

type commitTask struct{}

func (commitTask) Run(context.Context, *pipeline.Scope) error { return nil }
func (commitTask) Commits()                                   {}

// undoer puts the world's things back.
type undoer struct {
	w *world
	l *life
}

func (u undoer) Undo(ctx context.Context, thing pipeline.Thing, was json.RawMessage, hurry bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	tried := len(u.l.fate.names)
	defer func() {
		if thing.Kind == "flag" && tried < len(u.l.fate.names) {
			u.w.flagMayStay = u.w.flag != 5
		}
	}()
	return u.l.at("undo "+thing.Kind, func() error {
		var number int
		var text string
		if thing.Kind == "canary" {
			if err := json.Unmarshal(was, &text); err != nil {
				return err
			}
			return u.w.setCanary(text)
		}
		if err := json.Unmarshal(was, &number); err != nil {
			return err
		}
		if thing.Kind == "flag" {
			return u.w.setFlag(number)
		}
		if u.w.flag != 5 && !u.w.flagMayStay {
			u.w.broken = append(u.w.broken, "traffic was put back before the flag, which was changed last")
		}
		return u.w.setWeight(number)
	})
}

// Matches tells whether the world still is as a change left it.
func (u undoer) Matches(_ context.Context, thing pipeline.Thing, to json.RawMessage) (bool, error) {
	var key string
	if err := json.Unmarshal(to, &key); err != nil {
		return false, err
	}
	switch thing.Kind {
	case "canary":
		return (u.w.canary != "") == (key == "create"), nil
	case "flag":
		return fmt.Sprint(u.w.flag) == key, nil
	}
	return fmt.Sprint(u.w.weight) == key, nil
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
	{name: "cancelled in the middle of a soak", cancelAt: 50, flag: 5},
	{name: "cancelled after a commit", commit: true, cancelOn: 50, new: true, flag: 5},
}

// live runs one life and returns how it ended.
func live(t *testing.T, sit situation, w *world, m *memory, l *life, repair bool) pipeline.Result {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	canary := &rollout{w: w, l: l, bad: sit.badWeight, soak: 5 * time.Minute}
	flag := &ramp{w: w, l: l, bad: sit.badFlag, contained: sit.contained}
	soon := func(at int) func(int) {
		return func(reached int) {
			if reached == at {
				go func() { time.Sleep(time.Minute); cancel(pipeline.ErrCancelled) }()
			}
		}
	}
	canary.reached, flag.reached = soon(sit.cancelAt), soon(sit.cancelOn)
	stages := []*pipeline.Stage{{Name: "rollout", Task: canary, Changes: true, Timeout: source.Duration{Value: time.Hour}}}
	if sit.commit {
		stages = append(stages, &pipeline.Stage{Name: "commit", Task: commitTask{}, Changes: true})
	}
	stages = append(stages, &pipeline.Stage{Name: "flag", Task: flag, Changes: true})
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
// gets every single fault and every 23rd pair. All pairs are run without.
var racing bool

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
	for f.lives = 0; f.lives < bound && !ended; f.lives++ {
		l := &life{fate: f}
		result = live(t, sit, w, m, l, repair)
		if result.Ending == pipeline.RollbackIncomplete && !l.dead && !l.excused {
			t.Fatalf("%s, faults %v: an undo that failed now and then was given up: %+v\npoints: %q", sit.name, plan, result, f.names)
		}
		repair = result.Ending == pipeline.CancelledInt || (repair && l.dead)
		ended = !l.dead && (result.Ending == pipeline.Delivered || result.Ending == pipeline.FailedRolledBack || result.Ending == pipeline.FailedUnchanged)
	}
	problem := func(format string, args ...any) {
		t.Fatalf("%s, faults %v: "+format+"\nlast: %+v\nworld: %+v\npoints: %q",
			append(append([]any{sit.name, plan}, args...), result, *w, f.names)...)
	}
	if !ended {
		problem("not ended after %d lives", f.lives)
	}
	for _, b := range w.broken {
		problem("%s", b)
	}
	judge(sit, w, result, problem)
	state, err := pipeline.Replay(m.events)
	if err != nil {
		problem("journal does not replay: %v", err)
	} else if state.Unfinished() && ended && result.Ending != pipeline.FailedUnchanged {
		problem("journal says that the run is unfinished: %s", state.Phase)
	}
	before := w.changes
	if again := live(t, sit, w, m, &life{fate: &fate{}}, true); w.changes != before && ended {
		problem("a recovery of an ended run changed the world and ended %s", again.Ending)
	}
	return f.point
}

func judge(sit situation, w *world, result pipeline.Result, problem func(string, ...any)) {
	isOld, isNew := w.is("old", 5), w.stable == "new" && w.canary == "" && w.weight == 0
	switch {
	case !isOld && !isNew:
		problem("the world is neither old nor new")
	case isNew && !sit.new:
		problem("a bad version was delivered")
	case isNew && sit.badFlag && w.flag != 5:
		problem("a bad flag was left on")
	case isNew && result.Ending == pipeline.Delivered && w.flag != sit.flag:
		problem("delivered with the flag at %d", w.flag)
	case isOld && result.Ending == pipeline.Delivered && result.Reason != "nothing is unfinished":
		problem("says delivered and is old")
	case isNew && result.Ending == pipeline.FailedUnchanged && !sit.commit: // where an earlier life delivered up to the commit
		problem("says unchanged and is new")
	}
}

func TestFaultSchedules(t *testing.T) {
	for _, sit := range situations {
		t.Run(sit.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				points, pair := outlive(t, sit, nil), 0
				for first := range points {
					for _, a := range allFaults {
						n := outlive(t, sit, map[int]fault{first: a})
						for second := first + 1; second < n; second++ {
							for _, b := range allFaults {
								if pair++; racing && pair%23 != 0 {
									continue
								}
								outlive(t, sit, map[int]fault{first: a, second: b})
							}
						}
						if t.Failed() {
							return
						}
					}
				}
			})
		})
	}
}
