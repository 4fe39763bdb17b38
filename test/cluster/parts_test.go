package main

import (
	"path"
	"testing"
)

func testCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	return &cluster{source: ".", cache: dir, state: dir, out: t.Output()}
}

// allPrograms has a path for every program that up builds.
func allPrograms() map[string]string {
	programs := map[string]string{}
	for _, s := range sources() {
		if s.onDemand {
			continue
		}
		for _, p := range s.packages {
			programs[path.Base(p)] = "/built/" + path.Base(p)
		}
	}
	return programs
}

func TestPartsCanAllStart(t *testing.T) {
	parts := testCluster(t).parts(allPrograms())
	started := map[string]bool{}
	for range parts {
		for _, p := range parts {
			ready := true
			for _, need := range p.needs {
				ready = ready && started[need]
			}
			if ready {
				started[p.name] = true
			}
		}
	}
	for _, p := range parts {
		if !started[p.name] {
			t.Errorf("%s never starts: it needs %v", p.name, p.needs)
		}
	}
	if len(started) != len(parts) {
		t.Errorf("got %d names for %d parts, want each its own", len(started), len(parts))
	}
}

func TestPartsAreComplete(t *testing.T) {
	for _, p := range testCluster(t).parts(allPrograms()) {
		if (p.argv == nil) == (p.run == nil) {
			t.Errorf("%s: got argv %v and run %t, want one of the two", p.name, p.argv, p.run != nil)
		}
		if p.argv != nil && (p.argv[0] == "" || p.ready == nil) {
			t.Errorf("%s: got program %q, check %t, want both", p.name, p.argv[0], p.ready != nil)
		}
	}
}
