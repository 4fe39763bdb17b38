package keeper_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/headgate-dev/headgate/internal/proc/keeper"
)

// family starts a child in the same group, a grandchild in a group of its own,
// one in a session of its own and one there that has lost its parents; their
// numbers go to the file $PIDS. All are deaf to SIGTERM.
const family = `trap '' TERM
echo $$ >>$PIDS
sleep 61 & echo $! >>$PIDS
sh -c 'sh -m -c "sleep 62 & echo \$! >>$PIDS; wait"' &
setsid sh -c 'echo $$ >>$PIDS; sleep 63; true' &
(setsid sh -c 'sleep 64 & echo $! >>$PIDS' &)
while [ $(wc -l <$PIDS) -lt 5 ]; do sleep 0.02; done
echo ready
`

func TestTheWholeFamilyEndsWithItsProgram(t *testing.T) {
	tests := []struct {
		name, last string
		act        func(*keeper.Process)
	}{
		{"that ends", "", nil},
		{"that crashes", "kill -9 $$", nil},
		{"that is killed", "sleep 65; true", (*keeper.Process).Kill},
		{"whose keeper is asked to end", "sleep 65; true", func(p *keeper.Process) { signalKeeper(p, unix.SIGTERM) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, said := script(family + tt.last)
			pids := filepath.Join(t.TempDir(), "pids")
			p.Env = append(p.Env, "PIDS="+pids)
			process := start(t, p)
			hear(t, said, "ready")
			if tt.act != nil {
				tt.act(process)
			}
			if end := process.End(); end.Lost || end.Left != 0 {
				t.Errorf("got %+v", end)
			}
			gone(t, pids)
		})
	}
}

// signalKeeper sends a signal to the parent of a program.
func signalKeeper(p *keeper.Process, s syscall.Signal) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		panic(err)
	}
	parent, err := strconv.Atoi(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[1])
	if err != nil {
		panic(err)
	}
	_ = unix.Kill(parent, s)
}

// TestAKeeperThatIsKilled cannot end all, but the program and its group do,
// and it is told.
func TestAKeeperThatIsKilled(t *testing.T) {
	p, said := script("trap '' TERM; sleep 60 & echo $! >>$PIDS; echo $$ >>$PIDS; echo ready; wait")
	pids := filepath.Join(t.TempDir(), "pids")
	p.Env = append(p.Env, "PIDS="+pids)
	process := start(t, p)
	hear(t, said, "ready")
	signalKeeper(process, unix.SIGKILL)
	if end := process.End(); !end.Lost {
		t.Errorf("got %+v, want lost", end)
	}
	gone(t, pids)
}

// TestTheWholeFamilyEndsWhenThisProcessIsKilled starts this program again,
// which starts the family and is killed.
func TestTheWholeFamilyEndsWhenThisProcessIsKilled(t *testing.T) {
	if os.Getenv("KEEPER_TEST_RUN") != "" {
		p, said := script(family + "sleep 65; true")
		start(t, p)
		hear(t, said, "ready")
		fmt.Println("ready")
		select {}
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	pids := filepath.Join(t.TempDir(), "pids")
	c.Env = append(os.Environ(), "KEEPER_TEST_RUN=1", "PIDS="+pids)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var read bytes.Buffer
	for buf := make([]byte, 1000); !strings.Contains(read.String(), "ready\n"); {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("%v after %s", err, read.String())
		}
		read.Write(buf[:n])
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	gone(t, pids)
}
