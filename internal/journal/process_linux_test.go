package journal

import (
	"os"
	"os/exec"
	"testing"
)

func TestProcessDead(t *testing.T) {
	me := thisProcess()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	alive := me
	alive.PID, alive.Start = child.Process.Pid, startOf(child.Process.Pid)
	if alive.dead(me) {
		t.Error("a process that lives counts as dead")
	}
	reused := alive
	reused.Start = "1"
	if !reused.dead(me) {
		t.Error("a process whose number another one has now counts as alive")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // until the kernel has ended it; it is not waited for yet
		if gone(alive.PID) {
			break
		}
	}
	if !alive.dead(me) {
		t.Error("a killed process that was not waited for counts as alive")
	}
	_ = child.Wait()
	if !alive.dead(me) {
		t.Error("a killed process counts as alive")
	}
	if me.dead(me) {
		t.Error("this process counts as dead")
	}
	unsure := map[string]func(p *process){
		"on another machine":          func(p *process) { p.Boot = "other" },
		"in another container":        func(p *process) { p.Space = "pid:[1]" },
		"of a system without boot id": func(p *process) { p.Boot = "" },
		"with no start time":          func(p *process) { p.Start = "" },
		"without number":              func(p *process) { p.PID = 0 },
		"that is a group":             func(p *process) { p.PID = -os.Getpid() },
	}
	for name, change := range unsure {
		p := alive
		change(&p)
		if p.dead(me) {
			t.Errorf("a process %s counts as dead", name)
		}
	}
	for _, text := range []string{"", "x", "{}", "[]", `{"pid":"1"}`} {
		if parseProcess(text).dead(me) {
			t.Errorf("process %q counts as dead", text)
		}
	}
	if got := parseProcess(me.String()); got != me {
		t.Errorf("got %+v, want %+v", got, me)
	}
}
