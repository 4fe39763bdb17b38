package source

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Render writes the problems for people: each with its place, the line, a
// mark under what is concerned, and the hint.
func (ps Problems) Render(f File) string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		p.render(&b, f)
	}
	return b.String()
}

func (p Problem) render(b *strings.Builder, f File) {
	kind := "error"
	if p.Warning {
		kind = "warning"
	}
	place := p.File
	if p.Pos.IsValid() {
		place += ":" + p.Pos.String()
	}
	fmt.Fprintf(b, "%s: %s: %s\n", clean(place), kind, clean(p.Message))
	gutter := "  "
	if p.Pos.IsValid() && p.File == f.Name {
		number := fmt.Sprintf("%4d", p.Pos.Line)
		gutter = strings.Repeat(" ", len(number)+1)
		line, marks := snippet(head(f.Line(p.Pos.Line), p.Pos.Col+shownWidth), p.Pos.Col, p.Width)
		if line != "" {
			fmt.Fprintf(b, "%s | %s\n%s| %s\n", number, line, gutter, marks)
		}
	}
	if p.Hint != "" {
		fmt.Fprintf(b, "%s= %s\n", gutter, clean(p.Hint))
	}
}

// head returns at least the first n runes of a text, without looking at more
// of it than needed: a line can be as long as a file.
func head(text string, n int) string {
	end := min(len(text), utf8.UTFMax*n)
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	return text[:end]
}

// The most of a line that is shown, and how much of it before the mark when
// the line is longer.
const (
	shownWidth  = 110
	shownBefore = 50
)

// snippet returns the line, cut around the place if it is long, and the line
// of marks below it. Col counts runes from 1.
func snippet(text string, col, width int) (line, marks string) {
	runes := []rune(clean(text))
	start := min(max(col-1, 0), len(runes))
	end := min(start+max(width, 1), len(runes))
	var lead string
	if len(runes) > shownWidth {
		if start > shownBefore {
			cut := start - shownBefore
			runes, start, end = runes[cut:], start-cut, end-cut
			lead = "…"
		}
		if len(runes) > shownWidth {
			runes = append(runes[:shownWidth:shownWidth], '…')
			end = min(end, shownWidth)
		}
	}
	cells := &runewidth.Condition{StrictEmojiNeutral: true}
	var under strings.Builder
	under.WriteString(strings.Repeat(" ", len([]rune(lead))))
	for _, r := range runes[:start] {
		if r == '\t' {
			under.WriteByte('\t')
			continue
		}
		under.WriteString(strings.Repeat(" ", cells.RuneWidth(r)))
	}
	wide := 1
	if start < end {
		wide = max(1, cells.StringWidth(string(runes[start:end])))
	}
	under.WriteByte('^')
	under.WriteString(strings.Repeat("~", wide-1))
	return strings.TrimRight(lead+string(runes), " \t"), under.String()
}

// clean replaces what could harm a terminal or change the order of a line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == '\n':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF', r == '\u2028', r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
