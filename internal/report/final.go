package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
)

// final returns the lines that stay on the screen after the end: the last
// frame without a bound on its height, and in full what a failure is about.
func (v *view) final() []string {
	v.whole = true
	lines := v.head()
	for _, r := range v.body() {
		lines = append(lines, r.text)
	}
	for _, n := range v.a.evidence {
		lines = append(lines, "", " "+v.ink(strong, "evidence")+v.ink(faint, prefix("  ", clean(n.stage))))
		for _, t := range cleanLines(n.text) {
			lines = append(lines, v.quoted(t)...)
		}
	}
	if warnings := v.warnings(len(v.a.warnings)); len(warnings) > 0 {
		lines = append(append(lines, ""), warnings...)
	}
	return append(lines, v.foot()...)
}

// quoted is a line of foreign text, on several where it is long.
func (v *view) quoted(text string) []string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	if len(indent) > v.size.width/3 {
		indent = ""
	}
	var lines []string
	for i, t := range v.wrap(strings.TrimLeft(text, " "), v.size.width-6-len(indent)) {
		if i > 0 {
			t = "  " + t
		}
		lines = append(lines, "   "+v.ink(faint, v.rule)+" "+indent+t)
	}
	return lines
}

// back shows what is put back.
func (v *view) back() []string {
	w := v.a.way
	if len(v.a.undone) == 0 && len(w.failing) == 0 && (!w.back || v.a.result != nil || len(v.a.traffic) == 0) {
		return nil
	}
	title := "put back"
	if w.back && v.a.result == nil {
		title = "putting back"
	}
	lines := []string{"", " " + v.ink(careful, v.painter.back) + " " + title}
	said := slices.ContainsFunc(v.a.stages, func(s *stageAccount) bool { return s.status == pipeline.StageFailed && s.reason == w.why })
	if w.back && v.a.result == nil && !said {
		for _, t := range v.some(v.wrap(clean(w.why), v.size.width-6), 2) {
			if t != "" {
				lines = append(lines, "     "+v.ink(faint, t))
			}
		}
	}
	for _, thing := range v.a.undone {
		lines = append(lines, "     "+v.ink(well, v.passed)+" "+clean(thing))
	}
	failing := make([]string, 0, len(w.failing))
	for thing := range w.failing {
		failing = append(failing, thing)
	}
	slices.Sort(failing)
	for _, thing := range failing {
		lines = append(lines, "     "+v.ink(ill, v.failed)+" "+clean(thing))
		for _, t := range v.some(v.wrap("not yet: "+clean(w.failing[thing]), v.size.width-8), 2) {
			lines = append(lines, "       "+v.ink(faint, t))
		}
	}
	return lines
}

// warnings are the last n of what a person should read.
func (v *view) warnings(n int) []string {
	var lines []string
	for _, w := range v.a.warnings[max(0, len(v.a.warnings)-n):] {
		for i, t := range v.some(v.wrap(prefix(clean(w.stage), ": ")+clean(w.text), v.size.width-4), 2) {
			sign := "  "
			if i == 0 {
				sign = v.warn + " "
			}
			lines = append(lines, " "+v.ink(careful, sign+t))
		}
	}
	if len(lines) > 0 && !v.whole {
		lines = append([]string{""}, lines...)
	}
	return lines
}

// ending says how the run ended, in the words of all reports.
func (v *view) ending() []string {
	t := newTeller(false)
	t.start, t.began = v.a.started, v.a.run.ID != ""
	var lines []string
	for _, l := range t.ended(pipeline.Event{Time: v.a.ended, Type: pipeline.RunEnded, Result: v.a.result}) {
		color, sign := v.endingInk()
		if l.under {
			color, sign = plain, " "
		}
		for i, text := range v.wrap(l.text, v.size.width-4) {
			if i > 0 {
				sign = " "
			}
			lines = append(lines, " "+v.ink(color, sign+" "+text))
		}
	}
	if at := v.where(); at != "" {
		lines = append(lines, "   "+v.ink(faint, "at "+at))
	}
	return lines
}

func (v *view) endingInk() (ink, string) {
	switch endingTone(v.a.result.Ending) {
	case good:
		return well, v.passed
	case caution:
		return careful, v.warn
	default:
		return ill, v.failed
	}
}

// where is the place in the file that the end of the run is about.
func (v *view) where() string {
	at := v.o.locate(v.a.result.Stage)
	if found := errorsOf(v.a.result.Findings); len(found) == 1 && found[0].Pos.IsValid() {
		at = Place{File: v.o.file(), Pos: found[0].Pos}
	}
	if !at.Pos.IsValid() {
		return ""
	}
	return strings.TrimPrefix(cmp.Or(at.File, "line")+":"+at.Pos.String(), "line:")
}
