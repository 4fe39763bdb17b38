package report

import (
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/headgate-dev/headgate/pipeline"
)

// view draws an account at one moment.
type view struct {
	painter
	a    *account
	o    LiveOptions
	size size
	now  time.Time
	// names is the width of the column of stages, 0 before it is known.
	names int
	// whole says that nothing may be left out: it is drawn for the last time.
	whole bool
}

type size struct{ width, height int }

// row is a line of a frame.
type row struct {
	text string
	// focus marks those of the stage that runs.
	focus bool
}

// frame returns the lines of a frame that fits the size.
func (v *view) frame() []string {
	head, body, foot := v.head(), v.body(), v.foot()
	if v.size.height < 12 {
		head = head[:1]
		if v.a.result == nil {
			foot = nil
		}
	}
	room := max(1, v.size.height-1-len(head)-len(foot)) // the cursor has the last line
	out := slices.Concat(head, v.window(body, room), foot)
	for i := range out {
		out[i] = ansi.Truncate(out[i], v.size.width, v.cut)
	}
	return out
}

// window returns so many of the rows that those in focus are seen.
func (v *view) window(rows []row, room int) []string {
	from, to := 0, len(rows)
	if len(rows) > room {
		first := max(0, slices.IndexFunc(rows, func(r row) bool { return r.focus }))
		last := len(rows) // of those in focus, the one after it
		for last > first+1 && !rows[last-1].focus && slices.ContainsFunc(rows, func(r row) bool { return r.focus }) {
			last--
		}
		from = max(0, min(first-1, last+1-room), last+1-room)
		if last-first >= room {
			from = first
		}
		from = min(from, len(rows)-room)
		to = from + room
	}
	var out []string
	for _, r := range rows[from:to] {
		out = append(out, r.text)
	}
	// What says that there is more never takes the place of what runs now.
	if from > 0 && room > 2 && !rows[from].focus {
		out[0] = v.ink(faint, " "+v.above+" "+counted(from+1, "more line"))
	}
	if to < len(rows) && room > 2 && (!rows[to-1].focus || rows[to].focus) {
		out[len(out)-1] = v.ink(faint, " "+v.below+" "+counted(len(rows)-to+1, "more line"))
	}
	return out
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(float64(n)) + " " + noun + "s"
}

// head says which run it is, and for how long it has gone on.
func (v *view) head() []string {
	run := v.a.run
	left := " " + v.ink(strong, clean(run.Pipeline))
	about := shortCommit(clean(run.Commit))
	if run.Branch != "" {
		about = strings.TrimSpace(about + " on " + clean(run.Branch))
	}
	left += v.ink(faint, prefix("  ", about))
	if v.a.resumed > 0 {
		left += v.ink(careful, "  resumed")
	}
	return []string{v.spread(left, v.ink(faint, offset(v.elapsed(v.a.started)))+" "), ""}
}

// elapsed is the time since then, up to the end of the run.
func (v *view) elapsed(since time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	if v.a.result != nil {
		return v.a.ended.Sub(since)
	}
	return v.now.Sub(since)
}

// spread puts two texts at the ends of a line; the left one gives way.
func (v *view) spread(left, right string) string {
	room := v.size.width - ansi.StringWidth(right) - 1
	if room < 1 {
		return left
	}
	left = ansi.Truncate(left, room, v.cut)
	return left + strings.Repeat(" ", max(1, room+1-ansi.StringWidth(left))) + right
}

// body is all between head and foot.
func (v *view) body() []row {
	var rows []row
	all := v.stages()
	v.names = v.column(all)
	for _, s := range all {
		focus := v.active(s)
		for _, text := range v.stage(s, focus) {
			rows = append(rows, row{text, focus})
		}
	}
	for _, text := range v.back() {
		rows = append(rows, row{text, v.a.result == nil})
	}
	if !v.whole {
		for _, text := range v.warnings(3) {
			rows = append(rows, row{text: text})
		}
	}
	return rows
}

// stages are those of the file, with what happened to them, and those that
// only the run knows.
func (v *view) stages() []*stageAccount {
	var all []*stageAccount
	for _, name := range v.o.Stages {
		s := &stageAccount{name: name}
		if i := slices.IndexFunc(v.a.stages, func(s *stageAccount) bool { return s.name == name }); i >= 0 {
			s = v.a.stages[i]
		}
		all = append(all, s)
	}
	for _, s := range v.a.stages {
		if s.name != "" && !slices.Contains(v.o.Stages, s.name) {
			all = append(all, s)
		}
	}
	return all
}

// active reports whether a stage is what the run is about.
func (v *view) active(s *stageAccount) bool {
	if v.a.way.stage != "" {
		return s.name == v.a.way.stage
	}
	return s.status == pipeline.StageFailed
}

// stage is the line about a stage, and what there is to see of it below.
func (v *view) stage(s *stageAccount, active bool) []string {
	sign, color, note := v.open, faint, ""
	ended := s.ended
	switch s.status {
	case pipeline.StageStarted:
		sign, color, ended = v.spinner(v.elapsed(s.started)), accent, v.now
		if v.a.result != nil || v.a.way.back {
			sign, ended = v.warn, v.a.ended // it was broken off
			color = careful
		}
	case pipeline.StagePassed:
		sign, color = v.passed, well
		if active {
			sign, color, note = v.spinner(v.elapsed(s.started)), accent, "finishing"
		}
	case pipeline.StageFailed:
		sign, color, note = v.failed, ill, clean(s.reason)
		if r := v.a.result; r != nil && r.Stage == s.name && r.Reason == s.reason {
			note = "" // it is the last line
		}
	case pipeline.StageSkipped:
		sign, note = v.skipped, clean(s.reason)
	case pipeline.RolledBack:
		sign, color, note = v.painter.back, careful, "put back: "+clean(s.reason)
	default: // it has not begun
	}
	took := ""
	if !s.started.IsZero() {
		took = brief(ended.Sub(s.started))
	}
	name := v.pad(clean(s.name), v.names)
	if color == faint {
		name = v.ink(faint, name)
	}
	line := " " + v.ink(color, sign) + " " + name + "  " + v.ink(faint, lpad(took, 7))
	if took == "" && note == "" {
		line = " " + v.ink(color, sign) + " " + v.ink(color, clean(s.name))
	}
	lines := []string{line}
	if note != "" {
		tone := faint
		if s.status == pipeline.StageFailed {
			tone = plain
		}
		room := v.size.width - ansi.StringWidth(line) - 3
		if texts := v.wrap(note, room); room >= 30 && (v.whole || len(texts) == 1) {
			lines[0] += "  " + v.ink(tone, texts[0])
			for _, t := range texts[1:] {
				lines = append(lines, strings.Repeat(" ", ansi.StringWidth(line)+2)+v.ink(tone, t))
			}
		} else {
			for _, t := range v.some(v.wrap(note, v.size.width-6), 3) {
				lines = append(lines, "     "+v.ink(tone, t))
			}
		}
	}
	if active || v.whole {
		lines = append(lines, v.detail(s, active)...)
	}
	return lines
}

// column is the width of the column of stages.
func (v *view) column(all []*stageAccount) int {
	n := 8
	for _, s := range all {
		n = max(n, ansi.StringWidth(clean(s.name)))
	}
	return min(n, max(8, v.size.width/3))
}

// foot says how it stands.
func (v *view) foot() []string {
	if r := v.a.result; r != nil {
		return append([]string{""}, v.ending()...)
	}
	text := "Ctrl-C stops safely: users go back to the old version"
	switch {
	case v.a.way.interrupted != "":
		text = "interrupted, users are safe"
	case v.a.way.back:
		text = "putting back what the run changed"
	case v.a.way.committed:
		text = "committed: from here on nothing is undone"
	case v.o.Screen == nil:
		return nil
	}
	return []string{"", " " + v.ink(faint, text)}
}

// pad fills text up to a width, or cuts it.
func (v *view) pad(text string, width int) string {
	text = ansi.Truncate(text, width, v.cut)
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// lpad is pad on the left.
func lpad(text string, width int) string {
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text))) + text
}

// brief writes a duration that changes while people look: without jumping.
func brief(d time.Duration) string {
	if d < 10*time.Second && d >= 0 {
		return d.Truncate(100 * time.Millisecond).String()
	}
	return took(d)
}

// wrap cuts text into lines of a width, between words where that can be; there
// is always a line.
func (v *view) wrap(text string, width int) []string {
	width = max(10, width)
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for line == "" && ansi.StringWidth(word) > width {
			head := ansi.Truncate(word, width, "")
			if head == "" { // wider than a line is
				head = word
			}
			lines, word = append(lines, head), word[len(head):]
		}
		switch {
		case line == "":
			line = word
		case ansi.StringWidth(line)+1+ansi.StringWidth(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
			for ansi.StringWidth(line) > width {
				head := ansi.Truncate(line, width, "")
				if head == "" {
					break
				}
				lines, line = append(lines, head), line[len(head):]
			}
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// some returns the first n lines, and says when there are more.
func (v *view) some(lines []string, n int) []string {
	if v.whole || len(lines) <= n {
		return lines
	}
	lines = slices.Clone(lines[:n])
	lines[n-1] = strings.TrimRight(lines[n-1], " ") + " " + v.more
	return lines
}
