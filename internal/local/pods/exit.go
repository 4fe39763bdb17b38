package pods

import (
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// outcome is what is known of a program's end besides its code.
type outcome struct {
	reason string // "" when it ended by itself
	why    string
	began  time.Time
}

// exit makes the account of an end.
func (c *container) exit(end keeper.End, o outcome) *Exit {
	e := &Exit{
		Code: end.Code, Signal: end.Signal, Reason: o.reason,
		At: time.Now(), Ran: time.Since(o.began), Last: c.log.since(lastLines),
	}
	switch {
	case end.Lost:
		e.Code, e.Reason = -1, ReasonLost
	case e.Reason != "":
	case end.Code == 0:
		e.Reason = ReasonCompleted
	default:
		e.Reason = ReasonError
	}
	e.Message = e.how()
	if o.why != "" {
		e.Message = o.why + ", " + e.Message
	}
	if e.Reason == ReasonError && len(e.Last) > 0 {
		e.Message += "; its last line: " + short(e.Last[len(e.Last)-1])
	}
	if end.Left > 0 {
		e.Message += fmt.Sprintf("; %d of its processes could not be ended", end.Left)
	}
	return e
}

// how says how it ended and after what time.
func (e *Exit) how() string {
	after := " after " + roundly(e.Ran).String()
	switch {
	case e.Reason == ReasonLost:
		return "what keeps it was killed" + after
	case e.Signal != "" && (e.Reason == ReasonError || e.Reason == ReasonCompleted):
		return "killed by " + e.Signal + after
	case e.Signal != "":
		return "ended by " + e.Signal + after
	}
	return fmt.Sprintf("exit code %d", e.Code) + after
}

// roundly leaves of a duration what people want to read.
func roundly(d time.Duration) time.Duration {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond)
	case d < time.Minute:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// short cuts a line for a sentence.
func short(line string) string {
	const most = 200
	if r := []rune(line); len(r) > most {
		return string(r[:most]) + "…"
	}
	return line
}
