package report

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/headgate-dev/headgate/pipeline"
)

// labels is the width of the column of labels in the detail of a stage.
const labels = 9

// label begins a line of detail.
func (v *view) label(text string) string {
	return "   " + v.ink(faint, pad(text, max(labels, ansi.StringWidth(text)+1)))
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
		lines = append(lines, v.waiting(s.waiting)...)
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
			lines = append(lines, v.label("traffic")+v.course(s, route))
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
	return clean(track) + " " + strings.Join(weights, v.ink(faint, " "+v.arrow+" "))
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
func (v *view) waiting(w *waitAccount) []string {
	text, why, _ := strings.Cut(clean(w.text), "; ")
	gone := v.elapsed(w.since)
	var lines []string
	for i, t := range v.wrap(text, v.size.width-3-labels-1) {
		if i == 0 {
			lines = append(lines, v.label("waiting")+t)
		} else {
			lines = append(lines, under()+t)
		}
	}
	switch {
	case !w.until.IsZero():
		left := max(0, w.until.Sub(v.now))
		all := max(1, w.until.Sub(w.since))
		note := brief(left) + " left"
		if room := min(40, v.size.width-3-labels-2-9); room >= 8 {
			note = v.bar(room, 1-float64(left)/float64(all), faint) + "  " + note
		}
		lines = append(lines, under()+note)
	case !w.deadline.IsZero():
		lines = append(lines, under()+v.ink(faint, "for "+brief(gone)+", at most "+brief(max(0, w.deadline.Sub(v.now)))+" yet"))
	default:
		lines = append(lines, under()+v.ink(faint, "for "+brief(gone)))
	}
	if why == "" {
		return lines
	}
	for _, t := range v.some(v.wrap(why, v.size.width-3-labels-1), 4) {
		lines = append(lines, under()+v.ink(careful, t))
	}
	return lines
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
