package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// TestPhasesAddUp shows that the parts of a run are all of it.
func TestPhasesAddUp(t *testing.T) {
	lines := []string{
		`{"type":"started"}`, `{"type":"stage-started"}`,
		`{"type":"changing","change":{"thing":{"kind":"track"},"key":"5 pods"}}`,
		`{"type":"step-passed","name":"5 pods ready"}`,
		`{"type":"changing","change":{"thing":{"kind":"route"},"key":"weight 20%"}}`,
		`{"type":"committed"}`,
		`{"type":"changing","change":{"thing":{"kind":"workload"},"key":"take the release"}}`,
		`{"type":"changing","change":{"thing":{"kind":"route"},"key":"back to stable"}}`,
		`{"type":"marked","name":"drain canary"}`,
		`{"type":"changing","change":{"thing":{"kind":"track"},"key":"remove"}}`,
		`{"type":"changed","change":{"thing":{"kind":"track"},"key":"remove"}}`,
		`{"type":"run-ended"}`,
	}
	var events []event
	for i, line := range lines {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		e.Time = time.Unix(int64(i*i), 0)
		events = append(events, e)
	}
	p := newPhases()
	took := 200 * time.Second
	p.add(took, events)
	sum := p.rest.median()
	for i, s := range p.of {
		if len(s) != 1 {
			t.Errorf("phase %q has %d values", boundaries[i].phase, len(s))
		}
		sum += s.median()
	}
	if sum != took {
		t.Errorf("the phases take %s, want %s", sum, took)
	}
	p.add(took, events[:4]) // Does not end.
	if len(p.rest) != 1 {
		t.Error("a run that did not end was counted")
	}
	var out bytes.Buffer
	p.print(&out)
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != len(boundaries)+1 {
		t.Errorf("%d lines: %s", n, out.String())
	}
}
