package demo

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// say prints a title and sentences, in lines that are not too long.
func (s Stage) say(title, text string) {
	var b strings.Builder
	b.WriteString("\n")
	if title != "" {
		b.WriteString(s.bold(title) + "\n")
	}
	width := s.Width
	if width <= 0 || width > 80 {
		width = 80
	}
	for _, line := range wrap(text, width) {
		b.WriteString(line + "\n")
	}
	b.WriteString("\n")
	_, _ = fmt.Fprint(s.Out, b.String()) // the story goes on without readers
}

func (s Stage) bold(text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// wrap breaks a text between words, at most width characters a line where
// words let it.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if length > 0 && length+1+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	if length > 0 {
		lines = append(lines, line)
	}
	return lines
}

// requests writes a number of them with groups of digits: "3 120 requests".
func requests(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	if n == 1 {
		return text + " request"
	}
	return text + " requests"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// versions says who answered.
func versions(s seen) string {
	answered := 0
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.versions)) {
		n := s.versions[name].Requests
		answered += n
		all = append(all, fmt.Sprintf("%s %d", name, n))
	}
	if rest := s.Requests - answered; rest > 0 {
		all = append(all, fmt.Sprintf("nobody %d", rest))
	}
	return strings.Join(all, ", ")
}
