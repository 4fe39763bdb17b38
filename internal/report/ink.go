package report

import (
	"image/color"
	"math"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// ink is what a piece of a frame means; colours follow it.
type ink int

const (
	plain ink = iota
	faint
	strong
	accent
	well
	ill
	careful
)

// Background is that of the terminal.
type Background int

// The backgrounds. Colours for an unknown one can be read on both others.
const (
	UnknownBackground Background = iota
	DarkBackground
	LightBackground
)

// BackgroundOf reads what some terminals say of their colours in COLORFGBG.
// Terminals are not asked: an answer that comes late would be taken for typed.
func BackgroundOf(getenv func(string) string) Background {
	all := strings.Split(getenv("COLORFGBG"), ";")
	n, err := strconv.Atoi(all[len(all)-1])
	switch {
	case err != nil || n < 0 || n > 15:
		return UnknownBackground
	case n < 7 || n == 8:
		return DarkBackground
	}
	return LightBackground
}

// colours are of the 256 that terminals know; with 16 the nearest are taken.
func colours(b Background) map[ink]color.Color {
	names := map[ink]string{faint: "244", accent: "32", well: "29", ill: "167", careful: "172"}
	switch b {
	case DarkBackground:
		names = map[ink]string{faint: "245", accent: "74", well: "78", ill: "203", careful: "215"}
	case LightBackground:
		names = map[ink]string{faint: "242", accent: "25", well: "28", ill: "124", careful: "130"}
	case UnknownBackground:
	}
	out := map[ink]color.Color{}
	for i, name := range names {
		out[i] = lipgloss.Color(name)
	}
	return out
}

// glyphs are the signs of a frame.
type glyphs struct {
	passed, failed, open, skipped, back, warn string
	spin                                      []string
	full, empty                               string // of bars
	spark                                     []string
	missing                                   string
	rule, more, below, above, cut, arrow      string
}

func newGlyphs(ascii bool) glyphs {
	if ascii {
		return glyphs{
			passed: "+", failed: "x", open: ".", skipped: "-", back: "<", warn: "!",
			spin: []string{"|", "/", "-", "\\"}, full: "=", empty: "-",
			spark: strings.Split("_.,-=+*#", ""), missing: " ", rule: "|", more: "...", below: "v", above: "^", cut: "~", arrow: ">",
		}
	}
	return glyphs{
		passed: "✓", failed: "✗", open: "·", skipped: "–", back: "↩", warn: "!",
		spin: strings.Split("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", ""), full: "━", empty: "─",
		spark: strings.Split("▁▂▃▄▅▆▇█", ""), missing: "·", rule: "│", more: "…", below: "↓", above: "↑", cut: "…", arrow: "→",
	}
}

// painter makes pieces of frames.
type painter struct {
	glyphs
	styles map[ink]lipgloss.Style
}

func newPainter(o LiveOptions) painter {
	p := painter{glyphs: newGlyphs(o.ASCII)}
	if !o.Color {
		return p
	}
	p.styles = map[ink]lipgloss.Style{strong: lipgloss.NewStyle().Bold(true)}
	for i, c := range colours(o.Background) {
		style := lipgloss.NewStyle().Foreground(c)
		p.styles[i] = style.Bold(i == ill)
	}
	return p
}

// ink paints text, which must be one line.
func (p painter) ink(i ink, text string) string {
	style, ok := p.styles[i]
	if !ok || text == "" {
		return text
	}
	return style.Render(text)
}

// bar is a bar of a width of which a share, from 0 to 1, is full.
func (p painter) bar(width int, share float64, i ink) string {
	n := int(math.Round(math.Min(1, math.Max(0, share)) * float64(width)))
	if share > 0 && n == 0 {
		n = 1 // a little is not nothing
	}
	if share < 1 && n == width {
		n = width - 1
	}
	return p.ink(i, strings.Repeat(p.full, n)) + p.ink(faint, strings.Repeat(p.empty, width-n))
}

// spinner is where the sign of what goes on has turned to.
func (p painter) spinner(elapsed time.Duration) string {
	n := int(max(0, elapsed)/spinEvery) % len(p.spin)
	return p.spin[n]
}

// spinEvery is how long a spinner rests.
const spinEvery = 120 * time.Millisecond
