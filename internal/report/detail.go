package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/headgate-dev/headgate/pipeline"
)

// labels is the width of the column of labels in the detail of a stage.
const labels = 9

// label begins a line of detail.
func (v *view) label(text string) string {
	return "   " + v.ink(faint, v.pad(text, max(labels, ansi.StringWidth(text)+1)))
}

// under begins a line that belongs to the one before it.
func under() string { return strings.Repeat(" ", 3+labels) }

// detail is what there is to see of a stage below its line.
func (v *view) detail(s *stageAccount, active bool) []string {
	lines := v.split(s)
	for _, g := range v.a.gates {
		if g.stage == s.name {
			lines = append(lines, v.gate(g)...)
		}
	}
	if active && s.waiting != nil {
		lines = append(lines, v.waiting(s)...)
	}
	return append(lines, v.output(s)...)
}

// split shows what share of the traffic each track has.
func (v *view) split(s *stageAccount) []string {
	last := map[string]trafficAccount{}
	var routes []string
	for _, t := range v.a.traffic {
		if t.stage != s.name {
			continue
		}
		if _, known := last[t.route]; !known {
			routes = append(routes, t.route)
		}
		last[t.route] = t
	}
	var lines []string
	for _, route := range routes {
		t := last[route]
		if v.whole {
			for i, t := range v.wrap(v.course(s, route), v.size.width-3-labels-1) {
				if i == 0 {
					lines = append(lines, v.label("traffic")+t)
				} else {
					lines = append(lines, under()+t)
				}
			}
			continue
		}
		if t.weight == nil {
			lines = append(lines, v.label("traffic")+v.ink(careful, "an unknown share to "+clean(t.track)))
			continue
		}
		text := fmt.Sprintf("%s %s  %s %s", clean(t.track), percent(*t.weight), other(t.track), percent(100-*t.weight))
		room := min(40, v.size.width-3-labels-2-ansi.StringWidth(text)-1)
		if room >= 8 {
			text = v.bar(room, *t.weight/100, accent) + "  " + text
		}
		lines = append(lines, v.label("traffic")+text)
	}
	return lines
}

// course tells which shares the track that began to get traffic has had.
func (v *view) course(s *stageAccount, route string) string {
	var weights []string
	track := ""
	for _, t := range v.a.traffic {
		if t.stage != s.name || t.route != route {
			continue
		}
		if track == "" {
			track = t.track
		}
		switch {
		case t.weight == nil:
			weights = append(weights, "unknown")
		case t.track != track:
			weights = append(weights, percent(100-*t.weight))
		default:
			weights = append(weights, percent(*t.weight))
		}
	}
	if n := len(weights); n > 12 {
		weights = append(append(weights[:6:6], v.more), weights[n-5:]...)
	}
	return clean(track) + " " + strings.Join(weights, " "+v.arrow+" ")
}

// other is the track that has what a track has not.
func other(track string) string {
	switch track {
	case "canary":
		return "stable"
	case "stable":
		return "canary"
	case "blue":
		return "green"
	case "green":
		return "blue"
	}
	return "the rest"
}

// gate shows a gate and its checks.
func (v *view) gate(g *gateAccount) []string {
	color := inkOf(g.last)
	word := g.last.Outcome.String()
	if g.last.Outcome == pipeline.Inconclusive && early(g.last) {
		word = "too early to judge"
	}
	lines := []string{v.label("gate") + clean(g.last.Gate) + "  " + v.ink(color, word) + v.ink(faint, "  "+counted(g.looks, "look"))}
	lines = append(lines, v.checks(g)...)
	if g.last.Outcome != pipeline.Pass {
		for _, t := range v.some(v.wrap(clean(gathered(g.last)), v.size.width-7), 3) {
			lines = append(lines, "     "+v.ink(color, t))
		}
	}
	if v.whole || v.o.Verbose {
		lines = append(lines, v.queries(g)...)
	}
	return lines
}

// queries are what was asked: of the checks that failed, or of all.
func (v *view) queries(g *gateAccount) []string {
	var lines []string
	for _, m := range g.last.Evidence {
		if m.Query == "" || m.Outcome != pipeline.Fail && !v.o.Verbose {
			continue
		}
		lines = append(lines, "     "+v.ink(faint, "asked "+clean(m.Query)))
	}
	return lines
}

func inkOf(verdict pipeline.Verdict) ink {
	switch {
	case verdict.Outcome == pipeline.Pass:
		return well
	case verdict.Outcome == pipeline.Fail:
		return ill
	case early(verdict):
		return faint
	}
	return careful
}

// waiting shows what is waited for, and how long yet.
func (v *view) waiting(s *stageAccount) []string {
	w, room := s.waiting, v.size.width-3-labels-1
	text, why, _ := strings.Cut(clean(w.text), "; ")
	var lines []string
	for _, t := range v.wrap(text, room) {
		lines = append(lines, under()+t)
	}
	lines[0] = v.label("now") + strings.TrimPrefix(lines[0], under())
	switch gone := brief(v.elapsed(w.since)); {
	case !w.until.IsZero():
		left, all := max(0, w.until.Sub(v.now)), max(1, w.until.Sub(w.since))
		note := brief(left) + " left"
		if n := min(40, room-2-10); n >= 8 {
			note = v.bar(n, 1-float64(left)/float64(all), accent) + "  " + note
		}
		lines = append(lines, under()+note)
	case !w.deadline.IsZero():
		lines = v.append(lines, "for "+gone+", at most "+brief(max(0, w.deadline.Sub(v.now)))+" more")
	case w.since.Sub(s.started) > time.Second: // else it is the time of the stage
		lines = v.append(lines, "for "+gone)
	}
	if why == "" {
		return lines
	}
	for _, t := range v.some(v.wrap(why, room), 4) {
		lines = append(lines, under()+v.ink(careful, t))
	}
	return lines
}

// append adds a note to the last line where there is room, else below it.
func (v *view) append(lines []string, note string) []string {
	last := len(lines) - 1
	if ansi.StringWidth(lines[last])+2+ansi.StringWidth(note) < v.size.width {
		lines[last] += "  " + v.ink(faint, note)
		return lines
	}
	return append(lines, under()+v.ink(faint, note))
}

// output is the end of what a stage's commands printed. Where it is drawn for
// the last time, only that of a stage that failed is of interest.
func (v *view) output(s *stageAccount) []string {
	n := min(8, max(1, v.size.height/6))
	if v.whole {
		n = 0
		if s.status != pipeline.StagePassed {
			n = maxTail
		}
	}
	shown := s.output.last(n)
	var lines []string
	if v.whole && len(shown) < s.output.total && len(shown) > 0 {
		lines = append(lines, "   "+v.ink(faint, fmt.Sprintf("the last %d of %d lines of its output", len(shown), s.output.total)))
	}
	for _, text := range shown {
		text = strings.TrimRight(text, " ")
		if !v.whole {
			text = ansi.Truncate(text, max(1, v.size.width-6), v.cut)
		}
		lines = append(lines, "   "+v.ink(faint, v.rule+" "+text))
	}
	return lines
}
