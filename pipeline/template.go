package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// segment is a part of a template: text as it stands, or an expression.
type segment struct {
	text string
	// expr is nil for text.
	expr *expression
}

// maxExpression bounds the length of an expression in bytes.
const maxExpression = 4096

// span is a mistake in an expression, by runes of the text around it.
type span struct {
	offset, width int
	message, hint string
}

// split takes a template apart. The offsets of a mistake count runes of text.
func split(text string) ([]segment, *span) {
	var out []segment
	rest, at := text, 0
	for {
		before, after, found := strings.Cut(rest, "${{")
		if before != "" {
			out = append(out, segment{text: before})
		}
		if !found {
			return out, nil
		}
		at += utf8.RuneCountInString(before)
		end := closingBrace(after)
		if end < 0 {
			return nil, &span{at, 3, "${{ is not closed", "write }} behind the expression"}
		}
		e := newExpression(after[:end], at+3)
		if s := e.shape(); s != nil {
			return nil, s
		}
		out = append(out, segment{expr: e})
		at += 3 + utf8.RuneCountInString(after[:end]) + 2
		rest = after[end+2:]
	}
}

// alone reads the text of a condition, which may stand in ${{ }} as a whole.
func alone(text string) (*expression, *span) {
	trimmed := strings.TrimSpace(text)
	lead := utf8.RuneCountInString(text[:strings.Index(text, trimmed)])
	if !strings.HasPrefix(trimmed, "${{") {
		if ahead, _, ok := strings.Cut(text, "${{"); ok {
			return nil, &span{utf8.RuneCountInString(ahead), 3, "${{ stands inside an expression", "a condition is an expression as it stands: leave ${{ and }} out"}
		}
		e := newExpression(text, 0)
		return e, e.shape()
	}
	end := closingBrace(trimmed[3:])
	if end < 0 {
		return nil, &span{lead, 3, "${{ is not closed", "write }} behind the expression, or leave both out"}
	}
	if trimmed[3+end+2:] != "" {
		return nil, &span{lead, 3, "the condition goes on behind }}", "a condition is one expression: leave ${{ and }} out"}
	}
	e := newExpression(trimmed[3:3+end], lead+3)
	return e, e.shape()
}

// closingBrace returns the index of the }} that ends an expression, -1 if
// there is none. Braces in quotes, and those that the expression itself
// opened, do not end it.
func closingBrace(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'':
			end := closingQuote(s, i)
			if end < 0 {
				// The quote is not closed; whoever reads the expression says so.
				return strings.Index(s, "}}")
			}
			i = end
		case '{':
			depth++
		case '}':
			if depth == 0 && strings.HasPrefix(s[i:], "}}") {
				return i
			}
			depth = max(depth-1, 0)
		}
	}
	return -1
}

// closingQuote returns the index of the last byte of the text in quotes that
// begins at i, -1 if it does not end.
func closingQuote(s string, i int) int {
	raw := i > 0 && (s[i-1] == 'r' || s[i-1] == 'R')
	quote := s[i : i+1]
	if strings.HasPrefix(s[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for j := i + len(quote); j < len(s); j++ {
		switch {
		case s[j] == '\\' && !raw:
			j++
		case strings.HasPrefix(s[j:], quote):
			return j + len(quote) - 1
		case s[j] == '\n' && len(quote) == 1:
			return -1
		}
	}
	return -1
}

// expression is one expression of a file. Most are a path such as vars.image,
// which needs no CEL; the rest is compiled.
type expression struct {
	text string
	// offset is where it begins in the text around it, in runes.
	offset int
	path   []part
	program
}

// part is one name of a path with its place in the expression, in runes.
type part struct {
	name   string
	offset int
	width  int
}

func newExpression(text string, offset int) *expression {
	e := &expression{text: text, offset: offset}
	e.path = parsePath(text)
	return e
}

// shape reports an expression that is empty or too long.
func (e *expression) shape() *span {
	if strings.TrimSpace(e.text) == "" {
		return &span{max(e.offset-3, 0), utf8.RuneCountInString(e.text) + min(e.offset, 3) + 2, "the expression is empty", ""}
	}
	if len(e.text) > maxExpression {
		return &span{e.offset, 1, fmt.Sprintf("the expression is longer than %d bytes", maxExpression), ""}
	}
	return nil
}

// parsePath reads name.name["name"], and returns nil for anything else.
func parsePath(text string) []part {
	var out []part
	i, offset := 0, 0
	skip := func() {
		for i < len(text) && strings.IndexByte(" \t\n", text[i]) >= 0 {
			i, offset = i+1, offset+1
		}
	}
	for skip(); i < len(text); skip() {
		c := text[i]
		switch {
		case len(out) == 0 && isLetter(c):
		case len(out) > 0 && c == '.':
			i, offset = i+1, offset+1
			skip()
		case len(out) > 0 && c == '[':
			i, offset = i+1, offset+1
			skip()
			end := plainQuote(text[i:])
			if end < 0 {
				return nil
			}
			name := text[i+1 : i+end]
			out = append(out, part{name, offset, utf8.RuneCountInString(name) + 2})
			i, offset = i+end+1, offset+utf8.RuneCountInString(name)+2
			skip()
			if i >= len(text) || text[i] != ']' {
				return nil
			}
			i, offset = i+1, offset+1
			continue
		default:
			return nil
		}
		n := nameLength(text[i:])
		if n == 0 || len(out) == 0 && isWord(text[i:i+n]) {
			return nil
		}
		out = append(out, part{text[i : i+n], offset, n})
		i, offset = i+n, offset+n
	}
	return out
}

// plainQuote returns the index of the quote that ends the text in quotes that
// s begins with; -1 if it does not begin with one or holds escapes.
func plainQuote(s string) int {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return -1
	}
	end := strings.IndexByte(s[1:], s[0])
	if end <= 0 || strings.ContainsAny(s[1:1+end], "\\\n") {
		return -1
	}
	return end + 1
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func nameLength(s string) int {
	n := 0
	for n < len(s) && (isLetter(s[n]) || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

// isWord reports whether CEL gives the name a meaning of its own.
func isWord(name string) bool {
	switch name {
	case "true", "false", "null", "in":
		return true
	}
	return false
}

// err makes an error of a span, for what is not checked beforehand.
func (s *span) err() error {
	if s == nil {
		return nil
	}
	if s.hint != "" {
		return errors.New(s.message + "; " + s.hint)
	}
	return errors.New(s.message)
}
