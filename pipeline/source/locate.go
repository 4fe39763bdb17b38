package source

import (
	"strconv"
	"strings"
)

// cursor walks over the runes of a file; a line end is one '\n'.
type cursor struct {
	lines     []string
	line, col int // from 0
	runes     []rune
}

func (c *cursor) load() {
	c.runes = nil
	if c.line < len(c.lines) {
		c.runes = []rune(c.lines[c.line])
	}
}

func (c *cursor) peek() (rune, bool) {
	if c.col < len(c.runes) {
		return c.runes[c.col], true
	}
	if c.line+1 < len(c.lines) {
		return '\n', true
	}
	return 0, false
}

func (c *cursor) next() {
	if c.col < len(c.runes) {
		c.col++
		return
	}
	c.line++
	c.col = 0
	c.load()
}

func (c *cursor) pos() Pos { return Pos{c.line + 1, c.col + 1} }

// Locator finds places inside texts of a file.
type Locator struct{ lines []string }

// NewLocator returns a locator for a file.
func NewLocator(f File) *Locator {
	lines := strings.Split(strings.TrimPrefix(string(f.Data), byteOrderMark), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return &Locator{lines}
}

// Find returns the place of the rune at the given offset of a text whose
// value begins at pos, whatever way it is written: plain, in quotes with
// escapes, as a block, folded or not. It is exact for runes that are not
// blank, and returns pos when the text does not stand there.
func (l *Locator) Find(pos Pos, text string, offset int) Pos {
	if pos.Line < 1 || pos.Line > len(l.lines) || pos.Col < 1 {
		return pos
	}
	c := &cursor{lines: l.lines, line: pos.Line - 1, col: pos.Col - 1}
	c.load()
	quote, ok := c.start()
	if !ok {
		return pos
	}
	i := 0
	var at Pos
	for _, want := range text {
		if i > offset {
			break
		}
		found, ok := c.match(want, quote)
		if !ok {
			return pos
		}
		at = found
		i++
	}
	if i <= offset {
		at = c.pos()
	}
	if at.IsValid() {
		return at
	}
	return pos
}

// start goes to the first rune of the content and returns the quote, 0 for
// none.
func (c *cursor) start() (quote rune, ok bool) {
	r, ok := c.peek()
	switch {
	case !ok:
		return 0, false
	case r == '"', r == '\'':
		c.next()
		return r, true
	case r == '|', r == '>':
		for ok && r != '\n' {
			c.next()
			r, ok = c.peek()
		}
		return 0, ok
	}
	return 0, true
}

// match goes behind the rune that stands for want and returns its place.
func (c *cursor) match(want, quote rune) (Pos, bool) {
	blank := want == ' ' || want == '\n' || want == '\t'
	r, ok := c.peek()
	if blank && quote != '"' {
		at := c.pos()
		if ok && r == want {
			c.next()
		}
		return at, true
	}
	for ok && r != want && (r == ' ' || r == '\n' || r == '\t') {
		if blank && r == '\n' {
			break
		}
		c.next()
		r, ok = c.peek()
	}
	at := c.pos()
	switch {
	case ok && quote == '"' && r == '\\':
		return c.escape(want, blank)
	case ok && r == want:
		c.next()
		if quote == '\'' && want == '\'' {
			c.next() // it is written twice
		}
		return at, true
	}
	return at, blank // a blank that folding has made of a line end
}

// escape reads an escape sequence of a text in double quotes.
func (c *cursor) escape(want rune, blank bool) (Pos, bool) {
	at := c.pos()
	c.next()
	r, ok := c.peek()
	if !ok {
		return at, false
	}
	if r == '\n' { // a line that is joined with the next
		c.next()
		for r, ok = c.peek(); ok && (r == ' ' || r == '\t'); r, ok = c.peek() {
			c.next()
		}
		return c.match(want, '"')
	}
	c.next()
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[r]
	if digits == 0 {
		return at, simpleEscape(r) == want || blank
	}
	var hex strings.Builder
	for range digits {
		r, _ := c.peek()
		hex.WriteRune(r)
		c.next()
	}
	n, err := strconv.ParseUint(hex.String(), 16, 32)
	return at, err == nil && rune(n) == want
}

// simpleEscape returns what an escape of one letter stands for.
func simpleEscape(r rune) rune {
	const letters, values = "0abtnvfreNLP_", "\x00\a\b\t\n\v\f\r\x1b\u0085\u2028\u2029\u00a0"
	if i := strings.IndexRune(letters, r); i >= 0 {
		return []rune(values)[i]
	}
	return r
}
