package main

import "testing"

func TestIdleTimeIsRead(t *testing.T) {
	before, ok := parseCPU("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4 5\n")
	if !ok {
		t.Fatal("not understood")
	}
	after, _ := parseCPU("cpu  125 0 125 1200 450 0 0 0 50 0\n")
	if got, want := after.idleSince(before), 850.0/900; got != want {
		t.Errorf("idle for %v of the time, want %v", got, want)
	}
	if got := before.idleSince(before); got != 0 {
		t.Errorf("idle for %v of no time, want 0", got)
	}
	for _, stat := range []string{"", "cpu", "cpu a b c d e f", "intr 1 2 3 4 5 6"} {
		if c, ok := parseCPU(stat); ok {
			t.Errorf("%q was read as %v", stat, c)
		}
	}
}
