package report

import (
	"cmp"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// way is what a run is about just now; the zero value is its way forward.
type way struct {
	// stage is the one that did something last and has not ended since.
	stage string
	// committed and back say that nothing is undone any more, or that all is.
	committed, back bool
	// of is the stage whose changes alone are put back, "" for the run.
	of      string
	why     string
	failing map[string]string // by thing, undos that are tried again
	// interrupted is why the rest is left to a recovery.
	interrupted string
}

// waitAccount is something that is waited for.
type waitAccount struct {
	text string
	// since is when the wait began; the zero until or deadline is not known.
	since, until, deadline time.Time
}

// follow notes what a view of the run as it goes on needs.
func (a *account) follow(e pipeline.Event) {
	w := &a.way
	switch e.Type {
	case pipeline.StageStarted:
		w.stage = e.Stage
		*a.stage(e.Stage) = stageAccount{name: e.Stage, started: a.stage(e.Stage).started}
	case pipeline.StagePassed, pipeline.StageFailed, pipeline.StageSkipped:
		w.stage = ""
		s := a.stage(e.Stage)
		s.waiting = nil
		if e.Type != pipeline.StageFailed {
			s.output = tail{}
		}
	case pipeline.Progress:
		if e.Stage != "" {
			w.stage = e.Stage
			a.stage(e.Stage).wait(e)
		}
	case pipeline.Output:
		w.stage = e.Stage
		a.stage(e.Stage).output.add(e.Message)
	case pipeline.StepPassed, pipeline.TrafficShifted:
		if e.Stage != "" {
			a.stage(e.Stage).waiting = nil
		}
	case pipeline.Committed:
		w.committed = true
	case pipeline.RollingBack:
		*w = way{back: true, of: e.Stage, why: e.Reason, failing: map[string]string{}}
	case pipeline.UndoFailed:
		if w.failing != nil {
			w.failing[undoing(e)] = e.Reason
		}
	case pipeline.Undone:
		delete(w.failing, undoing(e))
	case pipeline.RolledBack:
		if e.Stage != "" {
			w.back = false
		}
	case pipeline.Interrupted:
		w.interrupted = cmp.Or(e.Reason, "interrupted")
	case pipeline.RunResumed:
		*w = way{}
	case pipeline.RunEnded:
		w.stage = ""
		for _, s := range a.stages {
			s.waiting = nil
		}
	default: // changes nothing of what the run is about
	}
}

// undoing is the name of the thing that an undo is about.
func undoing(e pipeline.Event) string {
	if e.Change != nil {
		return e.Change.Thing.String()
	}
	return e.Name
}

// wait takes a line about what is waited for. Lines with the same end are
// about the same wait.
func (s *stageAccount) wait(e pipeline.Event) {
	since := e.Time
	if w := s.waiting; w != nil && (same(w.until, e.Until) || same(w.deadline, e.Deadline)) {
		since = w.since
	}
	s.waiting = &waitAccount{text: e.Message, since: since, until: e.Until, deadline: e.Deadline}
}

// same reports whether two moments are known and one, but for rounding.
func same(a, b time.Time) bool {
	d := a.Sub(b)
	return !a.IsZero() && !b.IsZero() && max(d, -d) < time.Second
}

// checkAccount is what a check of a gate found, all the while.
type checkAccount struct {
	last   pipeline.Measurement
	series series
}

// look takes a verdict into account.
func (g *gateAccount) look(e pipeline.Event) {
	g.looks++
	g.last, g.at = *e.Verdict, e.Time
	for _, m := range e.Verdict.Evidence {
		c := g.check(m.Check)
		c.last = m
		c.series.add(m)
	}
}

func (g *gateAccount) check(name string) *checkAccount {
	for _, c := range g.checks {
		if c.last.Check == name {
			return c
		}
	}
	c := &checkAccount{}
	g.checks = append(g.checks, c)
	return c
}

// The bounds of what is kept of a command's output.
const (
	maxTail     = 200
	maxTailLine = 1000 // runes
)

// tail is the end of an output.
type tail struct {
	lines []string
	total int
}

func (t *tail) add(text string) {
	text = clean(text)
	if r := []rune(text); len(r) > maxTailLine {
		text = string(r[:maxTailLine]) + " […]"
	}
	t.total++
	if len(t.lines) >= 2*maxTail {
		t.lines = append(t.lines[:0], t.lines[len(t.lines)-maxTail+1:]...)
	}
	t.lines = append(t.lines, text)
}

// last returns up to n lines of the end.
func (t *tail) last(n int) []string { return t.lines[max(0, len(t.lines)-min(n, maxTail)):] }
