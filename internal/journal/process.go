package journal

import (
	"encoding/json"
	"os"
)

// process tells one process from all others on all machines, as far as the
// system allows. It serves to see at once that the holder of a lock was
// killed on this very machine, without waiting for its lease to run out.
type process struct {
	// Boot changes with every start of the machine and is empty where the
	// system has no such thing; then nothing can be said about the process.
	Boot string `json:"boot,omitempty"`
	// Space is the PID namespace, Start the moment the process began, which
	// tells it from a later one with the same PID.
	Space string `json:"space,omitempty"`
	PID   int    `json:"pid"`
	Start string `json:"start,omitempty"`
}

// thisProcess describes the process that calls it.
func thisProcess() process {
	pid := os.Getpid()
	return process{Boot: bootID(), Space: pidSpace(), PID: pid, Start: startOf(pid)}
}

// dead reports whether p is known to have ended. What is not certain is not
// dead: another machine, another container, a system that does not tell.
func (p process) dead(me process) bool {
	if p.Boot == "" || p.Start == "" || p.PID <= 0 || p.Boot != me.Boot || p.Space != me.Space {
		return false
	}
	return gone(p.PID) || (p.PID != me.PID && startOf(p.PID) != "" && startOf(p.PID) != p.Start)
}

// String returns the form that annotations hold.
func (p process) String() string {
	b, _ := json.Marshal(p) // strings and an int cannot fail
	return string(b)
}

// parseProcess reads what String wrote; anything else is nobody.
func parseProcess(s string) process {
	var p process
	if json.Unmarshal([]byte(s), &p) != nil {
		return process{}
	}
	return p
}
