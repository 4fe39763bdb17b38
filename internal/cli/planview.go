package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// planView is a plan as people and machines are shown it.
type planView struct {
	Pipeline string               `json:"pipeline"`
	File     string               `json:"file"`
	Offline  bool                 `json:"offline,omitempty"`
	Stages   []pipeline.StagePlan `json:"stages"`
	Findings []pipeline.Finding   `json:"findings,omitempty"`
	Totals   totals               `json:"totals"`
}

// totals are the sums over all stages that would run.
type totals struct {
	Writes int `json:"writes"`
	// Peak is the largest number of pods at once, by workload.
	Peak     map[string]int `json:"peak,omitempty"`
	Shortest time.Duration  `json:"shortest"`
	// Longest is 0 where a stage has no bound.
	Longest     time.Duration `json:"longest"`
	Permissions []string      `json:"permissions,omitempty"`
}

func newPlanView(p *pipeline.Pipeline, stages []pipeline.StagePlan, findings []pipeline.Finding) planView {
	v := planView{Pipeline: p.Name, File: p.File.Name, Stages: stages}
	for _, f := range findings {
		if !slices.Contains(v.Findings, f) { // stages that share a gate find the same
			v.Findings = append(v.Findings, f)
		}
	}
	v.Totals = total(stages)
	return v
}

func total(stages []pipeline.StagePlan) totals {
	t := totals{Peak: map[string]int{}}
	bounded := true
	for _, s := range stages {
		if s.Skipped != "" {
			continue
		}
		t.Writes += len(s.Plan.Writes)
		t.Shortest += s.Plan.Shortest
		t.Longest += s.Plan.Longest
		bounded = bounded && s.Plan.Longest > 0
		for w, n := range s.Plan.Peak {
			t.Peak[w] = max(t.Peak[w], n)
		}
		t.Permissions = append(t.Permissions, s.Plan.Permissions...)
	}
	if !bounded {
		t.Longest = 0
	}
	slices.Sort(t.Permissions)
	t.Permissions = slices.Compact(t.Permissions)
	return t
}

// planWriter writes a plan as text and keeps the first error.
type planWriter struct {
	to    io.Writer
	err   error
	write int // the number of the latest write
}

func (w *planWriter) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.to, format+"\n", args...)
	}
}

// block writes a text with an indent.
func (w *planWriter) block(indent, text string) {
	for l := range strings.Lines(text) {
		w.line("%s", strings.TrimRight(indent+strings.TrimRight(l, "\n"), " "))
	}
}

func (v planView) write(to io.Writer) error {
	w := &planWriter{to: to}
	w.line("plan of %s (%s), %s", v.Pipeline, v.File, count(len(v.Stages), "stage"))
	if v.Offline {
		w.line("offline: this is what the file alone tells")
	}
	for _, s := range v.Stages {
		w.line("")
		w.stage(s)
	}
	w.findings(v)
	w.totals(v.Totals)
	if w.err != nil {
		return errors.Join(errors.New("write plan"), w.err)
	}
	return nil
}

func (w *planWriter) stage(s pipeline.StagePlan) {
	w.line("%s (%s)", s.Stage, s.Kind)
	if s.Skipped != "" {
		w.line("  would be skipped: %s", s.Skipped)
		return
	}
	if s.Error != "" {
		w.line("  cannot be planned: %s", s.Error)
	}
	finishing := false
	for _, pw := range s.Plan.Writes {
		if pw.After == "finish" && !finishing {
			w.line("  after the commit:")
			finishing = true
		}
		w.write++
		w.line("  %3d. %s", w.write, written(pw))
		w.block("         ", pw.Diff)
	}
	if len(s.Plan.Writes) == 0 && s.Error == "" {
		w.line("  changes nothing")
	}
	for _, workload := range slices.Sorted(maps.Keys(s.Plan.Peak)) {
		w.line("  pods at once: %d of %s", s.Plan.Peak[workload], workload)
	}
	if s.Plan.Shortest > 0 || s.Plan.Longest > 0 {
		w.line("  takes %s", span(s.Plan.Shortest, s.Plan.Longest))
	}
	for _, m := range s.Plan.Queries {
		w.line("  asks %s", asked(m))
		w.block("         ", m.Query)
	}
	for _, u := range s.Plan.Unknown {
		w.line("  not known yet: %s", u)
	}
}

// written says in one line what a write does; some summaries say it all.
func written(pw pipeline.PlannedWrite) string {
	text := pw.Verb + " " + pw.Thing.String()
	switch {
	case pw.Summary == "":
		return text
	case strings.HasPrefix(pw.Summary, pw.Verb+" "):
		return pw.Summary
	}
	return text + ": " + pw.Summary
}

// asked says what a check would find now. Nothing is judged by a plan.
func asked(m pipeline.Measurement) string {
	text := m.Check + ": now " + m.Result
	if m.Value != nil {
		text = m.Check + ": now " + strconv.FormatFloat(*m.Value, 'g', 4, 64)
	}
	if m.Bound != "" {
		text += " (" + m.Bound + ")"
	}
	if m.Outcome == pipeline.Fail {
		text += ", which would fail"
	}
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

func (w *planWriter) findings(v planView) {
	if len(v.Findings) == 0 {
		return
	}
	w.line("")
	for _, f := range v.Findings {
		kind := "error"
		if f.Warning {
			kind = "warning"
		}
		place := v.File
		if f.Pos.IsValid() {
			place += ":" + f.Pos.String()
		}
		w.line("%s: %s: %s", place, kind, f.Message)
		if f.Hint != "" {
			w.line("  %s", f.Hint)
		}
	}
}

func (w *planWriter) totals(t totals) {
	w.line("")
	if len(t.Permissions) > 0 {
		w.line("permissions needed:")
		for _, p := range t.Permissions {
			w.line("  %s", p)
		}
	}
	parts := []string{count(t.Writes, "write")}
	for _, workload := range slices.Sorted(maps.Keys(t.Peak)) {
		parts = append(parts, fmt.Sprintf("up to %d pods of %s", t.Peak[workload], workload))
	}
	w.line("in all: %s, %s", strings.Join(parts, ", "), span(t.Shortest, t.Longest))
}

// span writes how long something takes.
func span(shortest, longest time.Duration) string {
	from := brief(shortest)
	if longest == 0 {
		return "at least " + from + ", with no bound"
	}
	if longest == shortest {
		return from
	}
	return from + " to " + brief(longest)
}

// brief writes a duration without units that are 0.
func brief(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
