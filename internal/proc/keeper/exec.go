package keeper

import (
	"time"

	"github.com/headgate-dev/headgate/internal/proc/group"
)

// outputWait is how long the output of an execution may go on after its end,
// in what it has left behind.
const outputWait = 500 * time.Millisecond

// exec runs a program beside the one that is kept.
func (k *keeper) exec(e execution) {
	var out head
	cmd, err := k.command(e.Args)
	if err == nil {
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = outputWait
	}
	ended, err := k.run(cmd, err)
	if err != nil {
		k.tell(message{Exec: &executed{ID: e.ID, Result: Result{Code: -1, Failed: err.Error()}}})
		return
	}
	k.mu.Lock()
	k.execs[e.ID] = cmd
	k.mu.Unlock()
	go func() { // ends with the program, or with this process
		end := endOf(<-ended)
		k.mu.Lock()
		delete(k.execs, e.ID)
		finishing := k.finishing
		k.mu.Unlock()
		g := group.Of(cmd)
		leave(g)
		g.Close()
		if finishing {
			return // killed by us; who waits is told that the program has ended
		}
		k.tell(message{Exec: &executed{ID: e.ID, Result: Result{Code: end.Code, Signal: end.Signal, Output: out.text}}})
	}()
}

// cancel kills an execution with all of its group.
func (k *keeper) cancel(id int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cmd := k.execs[id]; cmd != nil {
		g := group.Of(cmd)
		g.Kill()
		g.Close()
	}
}

// head keeps the beginning of what is written to it.
type head struct{ text []byte }

// Write never fails.
func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), maxOutput-len(h.text))]...)
	return len(p), nil
}
