package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a line of foreign text, in runes.
const maxLine = 4000

// clean makes one line of foreign text harmless for a terminal and a log: no
// control characters, no escape sequences, no line end, and no "##[", which
// some runners take for a command anywhere in a line.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			i += escapeLength(s[i:])
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '\t', r == '\n', r == '\r':
			r = ' '
		case unicode.IsControl(r), isBidi(r):
			continue
		}
		if n++; n > maxLine {
			b.WriteString(" […]")
			i = len(s)
			continue
		}
		b.WriteRune(r)
	}
	return strings.ReplaceAll(b.String(), "##[", "# #[")
}

// cleanLines cuts a text into clean lines, without those at the end that are
// empty.
func cleanLines(s string) []string {
	s = strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n\t ")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		// A carriage return overwrites: what counts is what comes last.
		if at := strings.LastIndexByte(strings.TrimRight(lines[i], "\r"), '\r'); at >= 0 {
			lines[i] = lines[i][at+1:]
		}
		lines[i] = strings.TrimRight(clean(strings.ReplaceAll(lines[i], "\t", "    ")), " ")
	}
	return lines
}

// Lines cuts foreign text into lines that neither move a cursor nor command a
// CI's runner, for those who print it outside of a report.
func Lines(s string) []string {
	lines := cleanLines(s)
	for i := range lines {
		lines[i] = noCommand(lines[i])
	}
	return lines
}

// noCommand makes of a line one that no runner takes for a command; it matters
// where nothing but spaces stands before it.
func noCommand(line string) string {
	if strings.HasPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::") {
		return `\` + line
	}
	return line
}

// escapeLength returns the length of the escape sequence that s begins with.
func escapeLength(s string) int {
	if len(s) < 2 {
		return 1
	}
	switch s[1] {
	case '[': // CSI, up to a final byte
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', '_', '^': // a string, up to BEL or ST
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == '\\' && s[i-1] == 0x1b {
				return i + 1
			}
		}
		return len(s)
	}
	return 2
}

// isBidi reports the runes that can make text read otherwise than it is.
func isBidi(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// offset writes a time since the beginning as m:ss or h:mm:ss.
func offset(d time.Duration) string {
	s := int(max(0, d).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// took writes a duration for people.
func took(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

// number writes a value with as many digits as people can use; whole numbers
// with all.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e12 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func percent(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + "%" }
