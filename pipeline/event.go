package pipeline

import (
	"encoding/json"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// EventType says what an [Event] reports.
type EventType string

// The durable events, which the journal keeps.
const (
	// RunStarted is the first entry of a journal and carries Run.
	RunStarted EventType = "run-started"
	// RunResumed marks that another process took the run over; carries Run.
	RunResumed EventType = "run-resumed"
	// StageStarted, StagePassed, StageFailed and StageSkipped follow one
	// stage. StagePassed carries Outputs, the last two a Reason.
	StageStarted EventType = "stage-started"
	StagePassed  EventType = "stage-passed"
	StageFailed  EventType = "stage-failed"
	StageSkipped EventType = "stage-skipped"
	// StepPassed marks a step inside a stage that need not be repeated.
	StepPassed EventType = "step-passed"
	// Marked fixes a moment (Name, Time), such as the first traffic.
	Marked EventType = "marked"
	// Changing is written before a change, with what the thing was.
	Changing EventType = "changing"
	// Changed is written after it was made.
	Changed EventType = "changed"
	// Committed is the moment after which nothing is undone.
	Committed EventType = "committed"
	// Finished ends a run that was delivered.
	Finished EventType = "finished"
	// RollingBack is written before the first undo; nothing goes forward
	// after it. Stage is set when it concerns that stage's changes alone.
	RollingBack EventType = "rolling-back"
	// Undone is written after a thing was put back.
	Undone EventType = "undone"
	// RolledBack ends a run (or, with Stage, a stage) that was put back.
	RolledBack EventType = "rolled-back"
	// Interrupted says that a cancelled run made traffic safe and left the
	// rest to recovery.
	Interrupted EventType = "interrupted"
)

// The passing events, which only reporters see.
const (
	// Progress is one line about what is waited for (Message).
	Progress EventType = "progress"
	// Output is one line printed by a command of the user's (Message).
	Output EventType = "output"
	// Judged carries the Verdict of one look of a gate.
	Judged EventType = "judged"
	// TrafficShifted carries Name (the route), Track and Weight.
	TrafficShifted EventType = "traffic-shifted"
	// Evidence carries what was found out about a failure (Message, many
	// lines), collected before the rollback.
	EvidenceFound EventType = "evidence"
	// UndoFailed reports an undo that will be tried again (Reason).
	UndoFailed EventType = "undo-failed"
	// Warned is something a person should read (Message).
	Warned EventType = "warning"
	// RunEnded is the last event of every process; carries Result.
	RunEnded EventType = "run-ended"
)

// Durable reports whether the journal keeps events of this type.
func (t EventType) Durable() bool {
	switch t {
	case Progress, Output, Judged, TrafficShifted, EvidenceFound, UndoFailed, Warned, RunEnded:
		return false
	default: // what is not known to be passing is kept
		return true
	}
}

// Event is one thing that happened in a run. Which fields are set depends on
// Type; unset ones are left out of the JSON form.
type Event struct {
	// Time is the run's time, in UTC.
	Time time.Time `json:"time"`
	Type EventType `json:"type"`
	// Stage is the name of the stage concerned, empty for the run as a whole.
	Stage string `json:"stage,omitempty"`
	// Name is what a step, mark, or route is called.
	Name string `json:"name,omitempty"`
	// Change is set on Changing, Changed and Undone.
	Change *Record `json:"change,omitempty"`
	// Outputs are those of a stage that passed.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Reason says why something failed or is put back.
	Reason string `json:"reason,omitempty"`
	// Message is text for people.
	Message string `json:"message,omitempty"`
	// Pos is the place in the pipeline file that a warning is about, where that
	// is known.
	Pos source.Pos `json:"pos,omitzero"`
	// Until is when what is waited for is over, and Deadline when it is given
	// up, by the run's time; set on Progress where that is known.
	Until    time.Time `json:"until,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Verdict is that of a gate's look.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Track and Weight (0 to 100) say what share a track gets.
	Track  string   `json:"track,omitempty"`
	Weight *float64 `json:"weight,omitempty"`
	// Run is who runs; set on RunStarted and RunResumed.
	Run *Info `json:"run,omitempty"`
	// Result is how the process ended; set on RunEnded.
	Result *Result `json:"result,omitempty"`
}

// Thing names something in the world that a run changes.
type Thing struct {
	// Kind selects the [Undoer], such as "route", "track", "flag".
	Kind string `json:"kind"`
	// Name tells it apart from all other things of its kind.
	Name string `json:"name"`
}

// String returns "kind name".
func (t Thing) String() string { return t.Kind + " " + t.Name }

// Record is a change as the journal keeps it: all that is needed to make the
// thing again what it was, without the process that changed it.
type Record struct {
	Thing Thing `json:"thing"`
	// Key tells apart the changes of one stage; the same key is the same
	// change when a run is resumed.
	Key string `json:"key"`
	// Was is the thing before the stage's first change of it; only the first
	// Changing of a thing in a stage carries it.
	Was json.RawMessage `json:"was,omitempty"`
	// To is what it shall become, for people and for the check of drift.
	To json.RawMessage `json:"to,omitempty"`
	// Urgent marks what users feel at once, such as traffic or a flag: put
	// back first and also when there are only seconds left.
	Urgent bool `json:"urgent,omitempty"`
}

// Info tells which run this is.
type Info struct {
	// ID is unique to the run, such as the CI's own run id and attempt.
	ID string `json:"id"`
	// Pipeline is the file's name for itself.
	Pipeline string `json:"pipeline"`
	// Commit, Branch, URL and Number are the CI's, empty where unknown.
	Commit string `json:"commit,omitempty"`
	Branch string `json:"branch,omitempty"`
	URL    string `json:"url,omitempty"`
	Number string `json:"number,omitempty"`
	// Digest is the SHA-256 of the pipeline file and of the variables given,
	// in hexadecimal; a run is resumed only by the same.
	Digest string `json:"digest,omitempty"`
}
