package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// tone is how a line is meant; colours follow it.
type tone int

const (
	neutral tone = iota
	quiet
	good
	bad
	caution
)

// line is one line of text about an event.
type line struct {
	tone tone
	text string
	// under marks lines that belong to the one before and have no time.
	under bool
	// foreign marks what programs of the user's wrote.
	foreign bool
}

// repeatVerdict is how long the same verdict of a gate is not said again.
const repeatVerdict = 30 * time.Second

// teller puts events into words, one after another.
type teller struct {
	start   time.Time
	begun   map[string]time.Time
	said    map[string]saidVerdict
	tracks  map[string]string // by route, those that get traffic
	waiting string            // what is waited for, "" when nothing is
	stage   string            // the one that runs
	verbose bool
	// began says that the run was seen from its beginning, changed that it may
	// have changed something.
	began, changed bool
	failure        string // why a stage failed
}

// unchanged reports whether the run is known to have changed nothing.
func (t *teller) unchanged() bool { return t.began && !t.changed }

type saidVerdict struct {
	outcome pipeline.Outcome
	at      time.Time
}

func newTeller(verbose bool) *teller {
	return &teller{begun: map[string]time.Time{}, said: map[string]saidVerdict{}, tracks: map[string]string{}, verbose: verbose}
}

// tell returns the lines about e; none when it says nothing to people.
func (t *teller) tell(e pipeline.Event) []line {
	if t.start.IsZero() {
		t.start = e.Time
	}
	switch e.Type {
	case pipeline.RunStarted, pipeline.RunResumed:
		return t.run(e)
	case pipeline.StageStarted, pipeline.StagePassed, pipeline.StageFailed, pipeline.StageSkipped:
		return t.stageLines(e)
	case pipeline.StepPassed, pipeline.Marked, pipeline.Changed:
		return nil
	case pipeline.Changing:
		t.changed = true
		return t.about(e, quiet, "change "+thing(e))
	case pipeline.Judged:
		return t.judged(e)
	case pipeline.Progress:
		t.waiting = clean(e.Message)
		return t.about(e, neutral, t.waiting)
	case pipeline.Output:
		return []line{{text: prefix(clean(e.Stage), " | ") + strings.TrimRight(clean(e.Message), " "), tone: quiet, foreign: true}}
	case pipeline.TrafficShifted:
		t.tracks[e.Name] = clean(e.Track)
		if e.Weight != nil && *e.Weight == 0 {
			delete(t.tracks, e.Name)
		}
		return t.about(e, neutral, traffic(e))
	case pipeline.EvidenceFound:
		return append(t.about(e, neutral, "evidence"), indented(e.Message)...)
	case pipeline.Warned:
		return t.about(e, caution, "warning: "+clean(warning(e)))
	case pipeline.RunEnded:
		return t.ended(e)
	default:
		return t.putBack(e)
	}
}

func (t *teller) run(e pipeline.Event) []line {
	if e.Run == nil {
		return nil
	}
	t.began, t.changed = true, t.changed || e.Type == pipeline.RunResumed
	text := "run " + clean(e.Run.ID) + " of " + clean(e.Run.Pipeline)
	if e.Type == pipeline.RunResumed {
		text = "resuming " + text
	}
	if e.Run.Commit != "" {
		text += ", commit " + shortCommit(clean(e.Run.Commit))
	}
	if e.Run.Branch != "" {
		text += " on " + clean(e.Run.Branch)
	}
	lines := []line{{text: text}}
	if e.Run.URL != "" {
		lines = append(lines, line{text: "see " + clean(e.Run.URL), tone: quiet, under: true})
	}
	return lines
}

func (t *teller) stageLines(e pipeline.Event) []line {
	t.waiting = ""
	if e.Type == pipeline.StageStarted {
		t.begun[e.Stage], t.stage = e.Time, e.Stage
		return t.about(e, neutral, "started")
	}
	t.stage = ""
	after := ""
	if at, ok := t.begun[e.Stage]; ok {
		after = took(e.Time.Sub(at))
	}
	switch e.Type {
	case pipeline.StagePassed:
		lines := t.about(e, good, strings.TrimSpace("passed "+prefix("in ", after)))
		for _, name := range slices.Sorted(maps.Keys(e.Outputs)) {
			lines = append(lines, line{text: clean(name) + " = " + clean(e.Outputs[name]), tone: quiet, under: true})
		}
		return lines
	case pipeline.StageSkipped:
		return t.about(e, quiet, "skipped"+prefix(": ", clean(e.Reason)))
	default:
		t.failure = e.Reason
		return t.about(e, bad, "failed"+prefix(" after ", after)+prefix(": ", clean(e.Reason)))
	}
}

// wayBack says what the undoing of a route means for the traffic.
func (t *teller) wayBack(e pipeline.Event) string {
	if e.Change == nil || e.Change.Thing.Kind != routeKind || t.tracks[e.Change.Thing.Name] == "" {
		return ""
	}
	track := t.tracks[e.Change.Thing.Name]
	delete(t.tracks, e.Change.Thing.Name)
	return ": traffic is 0% to " + track + " again"
}

// routeKind is the kind of thing that splits traffic.
const routeKind = "route"

func (t *teller) putBack(e pipeline.Event) []line {
	switch e.Type {
	case pipeline.Committed, pipeline.Finished:
		if t.unchanged() {
			return nil // there is nothing that could be undone or cleaned up
		}
		if e.Type == pipeline.Finished {
			return t.about(e, good, "finished")
		}
		return t.about(e, good, "committed: from here on nothing is undone")
	case pipeline.RollingBack:
		t.waiting = "rollback"
		reason := clean(e.Reason)
		if e.Reason == t.failure {
			reason = "" // it was the line before
		}
		if t.unchanged() {
			return nil
		}
		return t.about(e, caution, "rolling back"+prefix(": ", reason))
	case pipeline.Undone:
		return t.about(e, neutral, "put back "+thing(e)+t.wayBack(e))
	case pipeline.UndoFailed:
		what := thing(e)
		if e.Change == nil {
			what = clean(e.Name)
		}
		return t.about(e, bad, strings.TrimSpace("not put back yet: "+what)+prefix(": ", clean(e.Reason)))
	case pipeline.RolledBack:
		t.waiting = ""
		if e.Stage != "" {
			return t.about(e, good, "put back; the run goes on")
		}
		if t.unchanged() {
			return nil
		}
		return t.about(e, good, "rolled back: all is as it was before the run")
	case pipeline.Interrupted:
		return t.about(e, caution, "interrupted, users are safe"+prefix(": ", clean(e.Reason)))
	default: // of a newer version
		return t.about(e, neutral, clean(string(e.Type)+prefix(": ", e.Message)+prefix(": ", e.Reason)))
	}
}

func (t *teller) ended(e pipeline.Event) []line {
	t.waiting, t.stage = "", ""
	if e.Result == nil {
		return nil
	}
	var before []line
	r := e.Result
	text := Outcome(r.Ending)
	switch {
	case r.Ending == pipeline.Delivered && !t.began && r.Reason != "":
		return []line{{text: clean(r.Reason), tone: good}} // a recovery that had nothing to do
	case r.Ending == pipeline.Delivered:
		text += " in " + took(e.Time.Sub(t.start))
	}
	if r.Stage != "" {
		text += prefix(": stage ", clean(r.Stage))
	}
	hint := r.Hint
	found := errorsOf(r.Findings)
	if len(found) == 1 { // it is the reason
		hint = cmp.Or(hint, found[0].Hint)
	} else {
		for _, f := range found {
			before = append(before, line{text: clean(findingText(f)), tone: bad, under: true})
		}
	}
	lines := append(before, line{text: text + prefix(": ", clean(r.Reason)), tone: endingTone(r.Ending)})
	if hint != "" {
		lines = append(lines, line{text: "hint: " + clean(hint), under: true})
	}
	return lines
}

// errorsOf returns the findings that stop a run, each once; warnings are told as they
// are found.
func errorsOf(all []pipeline.Finding) []pipeline.Finding {
	var out []pipeline.Finding
	for _, f := range all {
		if !f.Warning && !slices.Contains(out, f) { // stages that share a gate find the same
			out = append(out, f)
		}
	}
	return out
}

// warning says what a person should read, and where in the file.
func warning(e pipeline.Event) string {
	if e.Pos.IsValid() {
		return "line " + e.Pos.String() + ": " + e.Message
	}
	return e.Message
}

// findingText says in one line what a preflight found.
func findingText(f pipeline.Finding) string {
	text := f.Message
	if f.Pos.IsValid() {
		text = "line " + f.Pos.String() + ": " + text
	}
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// about is one line that begins with the event's stage.
func (t *teller) about(e pipeline.Event, tone tone, text string) []line {
	return []line{{text: prefix(clean(e.Stage), ": ") + text, tone: tone}}
}

// Outcome says an ending in words for people.
func Outcome(e pipeline.Ending) string {
	switch e {
	case pipeline.Delivered:
		return "delivered"
	case pipeline.FailedUnchanged:
		return "failed, nothing was changed"
	case pipeline.WrongFile:
		return "wrong file or usage"
	case pipeline.FailedRolledBack:
		return "failed and rolled back"
	case pipeline.RollbackIncomplete:
		return "ROLLBACK INCOMPLETE, a person is needed"
	case pipeline.DeliveredNotFinished:
		return "delivered, not finished"
	case pipeline.Locked:
		return "locked"
	case pipeline.Unfinished:
		return "an unfinished run was found"
	case pipeline.Changes:
		return "there are changes"
	case pipeline.CancelledInt, pipeline.CancelledTerm:
		return "cancelled and made safe"
	}
	return e.String()
}

func endingTone(e pipeline.Ending) tone {
	switch e {
	case pipeline.Delivered:
		return good
	case pipeline.DeliveredNotFinished, pipeline.CancelledInt, pipeline.CancelledTerm, pipeline.Changes:
		return caution
	default:
		return bad
	}
}

func outcomeTone(o pipeline.Outcome) tone {
	switch o {
	case pipeline.Pass:
		return good
	case pipeline.Fail:
		return bad
	case pipeline.Inconclusive:
	}
	return caution
}

func thing(e pipeline.Event) string {
	if e.Change == nil {
		return ""
	}
	return clean(e.Change.Thing.String())
}

func traffic(e pipeline.Event) string {
	w := "an unknown share"
	if e.Weight != nil {
		w = percent(*e.Weight)
	}
	return fmt.Sprintf("traffic: %s to %s%s", w, clean(e.Track), prefix(" by ", clean(e.Name)))
}

func indented(text string) []line {
	var lines []line
	for _, l := range cleanLines(text) {
		lines = append(lines, line{text: "| " + l, tone: quiet, under: true})
	}
	return lines
}

func shortCommit(c string) string {
	if len(c) == 40 || len(c) == 64 {
		return c[:12]
	}
	return c
}

// prefix joins two texts, or returns "" when one of them is empty.
func prefix(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return a + b
}
