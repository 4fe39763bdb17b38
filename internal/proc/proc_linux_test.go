package proc_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"github.com/headgate-dev/headgate/internal/proc"
	"github.com/headgate-dev/headgate/stages"
)

// TestProgramEndsWhenThisProcessIsKilled starts this program again, which
// runs a program, and kills it.
func TestProgramEndsWhenThisProcessIsKilled(t *testing.T) {
	if os.Getenv("PROC_TEST_RUN") != "" {
		err := proc.Runner{}.Run(t.Context(), stages.Command{
			Args:   []string{"sh", "-c", "echo $$; exec sleep 60"},
			Output: func(line string) { fmt.Println(line) },
		})
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), "PROC_TEST_RUN=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		pid, _ = strconv.Atoi(lines.Text())
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if pid == 0 || !ended(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

// TestProgramOutlivesTheThreadThatWouldHaveStartedIt ends threads while a
// program runs: it must not take that for the death of this process.
func TestProgramOutlivesTheThreadThatWouldHaveStartedIt(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		done <- proc.Runner{}.Run(t.Context(), stages.Command{Args: []string{"sleep", "0.5"}})
	}()
	for range 200 {
		ended := make(chan struct{})
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			close(ended)
		}()
		<-ended
	}
	if err := <-done; err != nil {
		t.Errorf("got %v", err)
	}
}
