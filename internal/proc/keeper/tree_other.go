//go:build unix && !linux

package keeper

import (
	"os/exec"
	"time"

	"github.com/headgate-dev/headgate/internal/proc/group"
)

// own does nothing: this system gives orphans to its first process.
func (k *keeper) own() error { return nil }

// dieWithKeeper does nothing: this system has nothing of the kind.
func dieWithKeeper(*exec.Cmd) {}

// leave ends what an execution has left behind in its group, which could not
// be found later.
func leave(g group.Group) { g.Kill() }

// endAll kills the groups of the program and of what runs beside it. It
// returns 1 when something of the program's group is left.
func (k *keeper) endAll() int {
	k.mu.Lock()
	for _, cmd := range k.execs {
		group.Of(cmd).Kill()
	}
	k.mu.Unlock()
	for end := time.Now().Add(endLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		k.main.Kill()
		if !k.main.Alive() {
			return 0
		}
	}
	return 1
}
