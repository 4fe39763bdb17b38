package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// event is what is read of a line of `--report json=-`.
type event struct {
	Time   time.Time
	Type   string
	Name   string
	Change *struct {
		Thing struct{ Kind string }
		Key   string
	}
}

// boundaries end the phases of a canary, in their order.
var boundaries = []struct {
	phase string
	ends  func(e event) bool
}{
	{"start, preflight and lock", func(e event) bool { return e.Type == "stage-started" }},
	{"canary's pods ready", func(e event) bool { return e.Type == "step-passed" && strings.HasSuffix(e.Name, "pods ready") }},
	{"weights 20 to 100", func(e event) bool { return e.Type == "committed" }},
	{"stable drained", func(e event) bool { return e.Type == "changing" && e.is("workload") }},
	{"stable updated and ready", func(e event) bool { return e.Type == "changing" && e.is("route") }},
	{"traffic back", func(e event) bool { return e.Type == "marked" && e.Name == "drain canary" }},
	{"canary drained", func(e event) bool { return e.Type == "changing" && e.is("track") }},
	{"canary removed", func(e event) bool { return e.Type == "changed" && e.is("track") }},
}

func (e event) is(thing string) bool { return e.Change != nil && e.Change.Thing.Kind == thing }

// phases gathers where the time of runs goes.
type phases struct {
	of   []sample
	rest sample
}

func newPhases() *phases { return &phases{of: make([]sample, len(boundaries))} }

// add takes a run that took so long, whose first event is that of its start.
// A run whose events cannot be understood adds nothing.
func (p *phases) add(took time.Duration, events []event) {
	if len(events) == 0 {
		return
	}
	began, next := events[0].Time, 0
	last := began
	var found []time.Duration
	for _, e := range events[1:] {
		// A phase begins where the one before ended; later boundaries may be
		// met by earlier events.
		if next < len(boundaries) && boundaries[next].ends(e) {
			found = append(found, e.Time.Sub(last))
			last = e.Time
			next++
		}
	}
	if next < len(boundaries) {
		return
	}
	for i, d := range found {
		p.of[i] = append(p.of[i], d)
	}
	p.rest = append(p.rest, took-last.Sub(began))
}

func (p *phases) print(out io.Writer) {
	for i, b := range boundaries {
		fmt.Fprintf(out, "  %-28s %s\n", b.phase, short(p.of[i].median()))
	}
	fmt.Fprintf(out, "  %-28s %s\n", "the rest, to the end", short(p.rest.median()))
}
