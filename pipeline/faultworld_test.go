package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

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

// covered checks that whatever is not as it was has its undo in the journal,
// unless a commit covers it.
func (w *world) covered(m *memory, what string) {
	committed := func(stage string) bool {
		st := m.state.Stage(stage)
		return st != nil && st.Committed
	}
	pending := map[string]bool{}
	for _, p := range m.state.Pending("") {
		pending[p.Thing.Kind] = p.Was != nil
	}
	if !committed("rollout") && ((w.weight != 0 && !pending["weight"]) || (w.canary != "" && !pending["canary"])) || !committed("flag") && w.flag != 5 && !pending["flag"] {
		w.broken = append(w.broken, what+": the journal does not hold the undo of what was changed")
	}
}

// memory is a journal whose writes are points of the fate.
type memory struct {
	events []pipeline.Event
	// state is what every prefix of them says.
	state pipeline.State
	// torn is why one of them cannot be replayed.
	torn error
}

type memoryStore struct {
	*memory
	life *life
}

func (s memoryStore) Peek(context.Context) (events []pipeline.Event, err error) {
	err = s.life.at("store peek", func() error { events = s.copy(); return nil })
	return events, err
}

func (s memoryStore) copy() []pipeline.Event {
	return append([]pipeline.Event(nil), s.events...)
}

func (s memoryStore) Open(context.Context, pipeline.Info) (pipeline.Journal, error) {
	j := &memoryJournal{memoryStore: s, lost: make(chan struct{})}
	err := s.life.at("store open", func() error { j.found = s.copy(); return nil })
	if err != nil {
		return nil, err
	}
	s.life.opened, s.life.lose = true, sync.OnceFunc(func() { close(j.lost) })
	return j, nil
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
		if err := j.state.Apply(back); err != nil {
			j.torn = errors.Join(j.torn, err)
		}
		return nil
	})
}

func (j *memoryJournal) Reset(context.Context) error {
	return j.life.at("journal reset", func() error {
		j.events, j.found, j.state = nil, nil, pipeline.State{}
		return nil
	})
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

// do makes c by effect; only Kind of its Thing is given.
func (r *rollout) do(ctx context.Context, s *pipeline.Scope, c pipeline.Change, effect func() error) error {
	c.Thing.Name, c.To = "user-service", c.Key
	c.Make = func(ctx context.Context) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return r.l.at(c.Thing.Kind+" "+c.Key, effect)
	}
	return s.Do(ctx, c)
}

func (r *rollout) Run(ctx context.Context, s *pipeline.Scope) error {
	if r.w.stable == "new" {
		return nil
	}
	if err := r.do(ctx, s, pipeline.Change{Thing: pipeline.Thing{Kind: "canary"}, Key: "create", Was: r.w.canary}, func() error { return r.w.setCanary("new") }); err != nil {
		return err
	}
	for _, weight := range []int{20, 50, 100} {
		err := r.do(ctx, s, pipeline.Change{Thing: pipeline.Thing{Kind: "weight"}, Key: fmt.Sprint(weight), Was: r.w.weight, Urgent: true}, func() error { return r.w.setWeight(weight) })
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
	if err := r.do(ctx, s, pipeline.Change{Thing: pipeline.Thing{Kind: "stable"}, Key: "promote"}, func() error { return r.w.setStable("new") }); err != nil {
		return err
	}
	if err := r.do(ctx, s, pipeline.Change{Thing: pipeline.Thing{Kind: "weight"}, Key: "back", Urgent: true}, func() error { return r.w.setWeight(0) }); err != nil {
		return err
	}
	return r.do(ctx, s, pipeline.Change{Thing: pipeline.Thing{Kind: "canary"}, Key: "remove"}, func() error { return r.w.setCanary("") })
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

// settle is a last look that fails.
type settle struct{}

func (settle) Run(ctx context.Context, s *pipeline.Scope) error {
	if err := s.Step(ctx, "look", func(context.Context) error { return nil }); err != nil {
		return err
	}
	return errors.New("gate failed at the end")
}

// undoer puts the world's things back.
type undoer struct {
	w *world
	l *life
}

func (u undoer) Undo(ctx context.Context, thing pipeline.Thing, was json.RawMessage, _ bool) error {
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
