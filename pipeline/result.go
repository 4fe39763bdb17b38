package pipeline

import "fmt"

// Ending says how a run, or one process of it, came to its end. Its numbers
// are the exit codes of the command.
type Ending int

// The endings.
const (
	// Delivered: the new release is live and cleaned up after.
	Delivered Ending = 0
	// FailedUnchanged: failed before anything was changed.
	FailedUnchanged Ending = 1
	// WrongFile: the file or the command line is wrong.
	WrongFile Ending = 2
	// FailedRolledBack: failed, and everything is as it was.
	FailedRolledBack Ending = 3
	// RollbackIncomplete: something could not be put back or recorded; a
	// person is needed.
	RollbackIncomplete Ending = 4
	// DeliveredNotFinished: committed, but the finish failed; running again
	// completes it.
	DeliveredNotFinished Ending = 5
	// Locked: another run holds the lock, or something newer is live.
	Locked Ending = 6
	// Unfinished: an unfinished run was found and the policy says stop.
	Unfinished Ending = 7
	// Changes: plan --exit-code found that there are changes.
	Changes Ending = 10
	// Interrupted by SIGINT and made safe.
	CancelledInt Ending = 130
	// Interrupted by SIGTERM and made safe.
	CancelledTerm Ending = 143
)

// Endings lists all of them.
func Endings() []Ending {
	return []Ending{
		Delivered, FailedUnchanged, WrongFile, FailedRolledBack, RollbackIncomplete,
		DeliveredNotFinished, Locked, Unfinished, Changes, CancelledInt, CancelledTerm,
	}
}

// String returns the word that outputs and reports use.
func (e Ending) String() string {
	switch e {
	case Delivered:
		return "delivered"
	case FailedUnchanged:
		return "failed"
	case WrongFile:
		return "wrong-file"
	case FailedRolledBack:
		return "rolled-back"
	case RollbackIncomplete:
		return "rollback-incomplete"
	case DeliveredNotFinished:
		return "not-finished"
	case Locked:
		return "locked"
	case Unfinished:
		return "unfinished"
	case Changes:
		return "changes"
	case CancelledInt, CancelledTerm:
		return "cancelled"
	}
	return fmt.Sprintf("ending(%d)", int(e))
}

// Result is how one process of a run ended.
type Result struct {
	Ending Ending `json:"ending"`
	// Stage is the one that failed, if any.
	Stage string `json:"stage,omitempty"`
	// Reason is one sentence, empty when delivered.
	Reason string `json:"reason,omitempty"`
	// Hint says what a person can do next.
	Hint string `json:"hint,omitempty"`
	// Findings are those of a preflight that stopped the run.
	Findings []Finding `json:"findings,omitempty"`
	// Err is the error behind Reason; it is not serialized.
	Err error `json:"-"`
}
