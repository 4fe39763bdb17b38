package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Phase is how far a run has come.
type Phase string

// The phases, in the order in which a run can pass through them.
const (
	// NotStarted: the journal has no entry.
	NotStarted Phase = ""
	// Running: stages are under way or were when the process died.
	Running Phase = "running"
	// PuttingBack: a rollback has begun and not ended.
	PuttingBack Phase = "rolling-back"
	// Stopped: cancelled, users are safe, the rest waits for recovery.
	Stopped Phase = "interrupted"
	// Ended well or put back: nothing is left to do.
	EndedDelivered  Phase = "delivered"
	EndedRolledBack Phase = "rolled-back"
)

// State is the fold of a journal's events: all that a process needs to know
// to resume a run, to put it back, or to report it. The zero value is that of
// an empty journal.
type State struct {
	Run   Info
	Phase Phase
	// Started and Updated are the times of the first and the last event.
	Started, Updated time.Time
	// Reason is that of the rollback, if there is one.
	Reason string
	// Stages are those that have begun, in order.
	Stages []*StageState
	// Committed says that at least one commit was written.
	Committed bool

	changes []*changeState
	seq     int
}

// StageState is how far one stage has come.
type StageState struct {
	Name string
	// Status is the type of its latest event: StageStarted, StagePassed,
	// StageFailed, StageSkipped, or RolledBack for a stage put back alone.
	Status EventType
	// Committed says that a commit covers it: nothing of it is undone.
	Committed bool
	// Finished says that its finish is done.
	Finished bool
	Outputs  map[string]string
	Reason   string
	steps    map[string]bool
	marks    map[string]time.Time
}

type changeState struct {
	stage  string
	record Record
	was    json.RawMessage
	keys   map[string]bool // key → made
	last   int             // when it was last begun, in events
	final  bool            // made after its stage was committed
	undone bool
}

// finishStep is the name of the step that says a stage's finish is done.
const finishStep = "finish"

// Replay folds events. An order that no run can produce is an error: a
// journal that was tampered with or torn is not acted upon.
func Replay(events []Event) (*State, error) {
	s := &State{}
	for i, e := range events {
		if err := s.Apply(e); err != nil {
			return nil, fmt.Errorf("replay journal: entry %d: %w", i+1, err)
		}
	}
	return s, nil
}

// Unfinished reports whether something is left to do for a run.
func (s *State) Unfinished() bool {
	switch s.Phase {
	case NotStarted, EndedDelivered, EndedRolledBack:
		return false
	default:
		return true
	}
}

// Apply takes one durable event into account; passing ones change nothing.
// It depends on nothing but the state and the event.
func (s *State) Apply(e Event) error {
	if !e.Type.Durable() {
		return nil
	}
	if err := s.legal(e); err != nil {
		return err
	}
	if !s.Unfinished() && s.Phase != NotStarted {
		return nil // ended, and said twice
	}
	if s.Started.IsZero() {
		s.Started = e.Time
	}
	s.Updated = e.Time
	s.seq++
	switch e.Type {
	case RunStarted:
		s.Phase = Running
		s.takeRun(e)
	case RunResumed:
		s.takeRun(e)
	case StageStarted, StagePassed, StageFailed, StageSkipped, StepPassed, Marked:
		s.applyStage(e)
	case Changing, Changed, Undone:
		s.applyChange(e)
	case Committed:
		s.commit()
	case RollingBack:
		if e.Stage == "" {
			s.Phase, s.Reason = PuttingBack, e.Reason
		}
	case RolledBack:
		s.applyRolledBack(e)
	case Interrupted:
		s.Phase = Stopped
		if s.Reason == "" {
			s.Reason = e.Reason
		}
	case Finished:
		s.Phase = EndedDelivered
	default: // a passing event changes nothing
	}
	return nil
}

// legal refuses what no run writes. It is lax where a process that died
// between two writes may leave a gap, and strict where going on would be
// dangerous.
func (s *State) legal(e Event) error {
	switch {
	case e.Type == RunStarted && s.Phase != NotStarted:
		return fmt.Errorf("%s in a journal that has begun", e.Type)
	case e.Type != RunStarted && s.Phase == NotStarted:
		return fmt.Errorf("%s before %s", e.Type, RunStarted)
	case s.Phase == EndedDelivered && e.Type == Finished, s.Phase == EndedRolledBack && backward(e.Type):
		return nil // written again, since the answer to the first was lost
	case s.Phase == EndedDelivered || s.Phase == EndedRolledBack:
		return fmt.Errorf("%s after the end of the run", e.Type)
	}
	forward := e.Type == Changing || e.Type == Committed || e.Type == Finished ||
		e.Type == StageStarted || e.Type == StagePassed
	// After an interruption only what is committed goes on, to its finish.
	if forward && (s.Phase == PuttingBack || (s.Phase == Stopped && !s.Committed)) {
		return fmt.Errorf("%s after the rollback has begun", e.Type)
	}
	if e.Type == Finished && !s.Committed {
		return fmt.Errorf("%s without %s", e.Type, Committed)
	}
	needsStage := slices.Contains([]EventType{StageStarted, StagePassed, StageFailed, StageSkipped, StepPassed, Marked, Changing, Changed}, e.Type)
	if needsStage && e.Stage == "" {
		return fmt.Errorf("%s without a stage", e.Type)
	}
	needsChange := e.Type == Changing || e.Type == Changed || e.Type == Undone
	if needsChange && (e.Change == nil || e.Change.Thing == Thing{}) {
		return fmt.Errorf("%s without a thing", e.Type)
	}
	if e.Type == Changed {
		return s.wasBegun(e)
	}
	return nil
}

func backward(t EventType) bool {
	return t == RollingBack || t == Undone || t == RolledBack || t == Interrupted
}

func (s *State) wasBegun(e Event) error {
	c := s.change(e.Stage, e.Change.Thing)
	if c == nil || c.undone {
		return fmt.Errorf("%s of %s, which was not begun", e.Type, e.Change.Thing)
	}
	if _, begun := c.keys[e.Change.Key]; !begun {
		return fmt.Errorf("%s %q of %s, which was not begun", e.Type, e.Change.Key, e.Change.Thing)
	}
	return nil
}

func (s *State) takeRun(e Event) {
	if e.Run != nil {
		s.Run = *e.Run
	}
}

// Stage returns the state of the stage of that name, or nil.
func (s *State) Stage(name string) *StageState {
	for _, st := range s.Stages {
		if st.Name == name {
			return st
		}
	}
	return nil
}

func (s *State) stage(name string) *StageState {
	if st := s.Stage(name); st != nil {
		return st
	}
	st := &StageState{Name: name, Status: StageStarted, steps: map[string]bool{}, marks: map[string]time.Time{}}
	s.Stages = append(s.Stages, st)
	return st
}

func (s *State) applyStage(e Event) {
	st := s.stage(e.Stage)
	switch e.Type {
	case StepPassed:
		st.steps[e.Name] = true
		st.Finished = st.Finished || (e.Name == finishStep && st.Committed)
	case Marked:
		if _, ok := st.marks[e.Name]; !ok {
			st.marks[e.Name] = e.Time
		}
	default:
		st.Status, st.Reason = e.Type, e.Reason
		if e.Outputs != nil {
			st.Outputs = e.Outputs
		}
	}
}

func (s *State) commit() {
	s.Committed = true
	for _, st := range s.Stages {
		if st.Status == StagePassed || st.Status == StageSkipped {
			st.Committed = true
		}
	}
}

func (s *State) applyRolledBack(e Event) {
	// It stands for every undo before it that could not be recorded.
	for _, c := range s.changes {
		if s.revocable(c) && (e.Stage == "" || e.Stage == c.stage) {
			c.undone = true
		}
	}
	if e.Stage == "" {
		s.Phase = EndedRolledBack
		return
	}
	st := s.stage(e.Stage)
	st.Status = RolledBack
	if st.Reason == "" {
		st.Reason = e.Reason
	}
}

func (s *State) applyChange(e Event) {
	if e.Type == Undone {
		for _, c := range s.changes {
			if c.record.Thing == e.Change.Thing && (e.Stage == "" || e.Stage == c.stage) && s.revocable(c) {
				c.undone = true
			}
		}
		return
	}
	c := s.change(e.Stage, e.Change.Thing)
	if e.Type == Changed {
		c.keys[e.Change.Key] = true
		return
	}
	if c == nil || c.undone {
		c = &changeState{stage: e.Stage, record: *e.Change, was: e.Change.Was, keys: map[string]bool{}}
		st := s.stage(e.Stage)
		c.final = st.Committed
		s.changes = append(s.changes, c)
	}
	if _, known := c.keys[e.Change.Key]; !known {
		c.keys[e.Change.Key] = false
	}
	c.last = s.seq
	c.record.To, c.record.Key = e.Change.To, e.Change.Key
	c.record.Urgent = c.record.Urgent || e.Change.Urgent
}

// standing returns, for each thing, the newest change that was not put back,
// of whatever stage: it is the one that the world shows.
func (s *State) standing() []*changeState {
	newest := map[Thing]*changeState{}
	var things []Thing
	for _, c := range s.changes {
		if c.undone {
			continue
		}
		was, ok := newest[c.record.Thing]
		if !ok {
			things = append(things, c.record.Thing)
		}
		if !ok || c.last > was.last {
			newest[c.record.Thing] = c
		}
	}
	all := make([]*changeState, 0, len(things))
	for _, t := range things {
		all = append(all, newest[t])
	}
	return all
}

// change returns the newest record of a thing in a stage that is of the
// stage's present side of the commit, or nil.
func (s *State) change(stage string, thing Thing) *changeState {
	st := s.Stage(stage)
	committed := st != nil && st.Committed
	for _, c := range slices.Backward(s.changes) {
		if c.stage == stage && c.record.Thing == thing && c.final == committed {
			return c
		}
	}
	return nil
}

// revocable reports whether a rollback would put the change back.
func (s *State) revocable(c *changeState) bool {
	st := s.Stage(c.stage)
	return !c.final && (st == nil || !st.Committed)
}

// made reports whether the change with that key is known to have been made
// and not been put back since.
func (s *State) made(stage string, thing Thing, key string) bool {
	c := s.change(stage, thing)
	return c != nil && !c.undone && c.keys[key]
}

// Pending are the changes that a rollback has to put back, each thing once,
// with what it was before the first of them: the urgent ones first, and in
// both groups the last-changed thing first. With a stage named, only its own.
func (s *State) Pending(stage string) []PendingUndo {
	first := map[Thing]*PendingUndo{}
	var things []Thing
	for _, c := range s.changes {
		if c.undone || !s.revocable(c) || (stage != "" && c.stage != stage) {
			continue
		}
		p, ok := first[c.record.Thing]
		if !ok {
			p = &PendingUndo{Thing: c.record.Thing, Was: c.was}
			first[c.record.Thing] = p
			things = append(things, c.record.Thing)
		}
		p.Urgent = p.Urgent || c.record.Urgent
		p.last = max(p.last, c.last)
		p.Stages = append(p.Stages, c.stage)
	}
	out := make([]PendingUndo, 0, len(things))
	for _, t := range things {
		out = append(out, *first[t])
	}
	slices.SortStableFunc(out, func(a, b PendingUndo) int {
		if a.Urgent != b.Urgent {
			if a.Urgent {
				return -1
			}
			return 1
		}
		return b.last - a.last
	})
	return out
}

// PendingUndo is one thing that a rollback has to put back.
type PendingUndo struct {
	Thing  Thing
	Was    json.RawMessage
	Urgent bool
	// Stages are those that changed it.
	Stages []string
	last   int
}
