package route

import (
	"fmt"
	"strings"
)

// maxNginxDepth is how deep blocks of nginx's configuration may be nested.
const maxNginxDepth = 32

// nginxWord is one word of a directive: where it stands in the text, and what
// it says without quotes.
type nginxWord struct {
	start, end int
	text       string
}

// nginxDirective is one directive. Its text reaches from its first word to the
// end of its ; or }.
type nginxDirective struct {
	words      []nginxWord
	start, end int
	block      bool
	children   []*nginxDirective
}

// name is the first word.
func (d *nginxDirective) name() string { return d.words[0].text }

// nginxSyntaxError says where a text is no configuration of nginx.
type nginxSyntaxError struct {
	line int
	what string
}

func (e *nginxSyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// nginxParser reads words as nginx itself does: white space parts them,
// quotes and backslashes hold them together, # begins a comment where a word
// could begin, and a brace after $ belongs to the word.
type nginxParser struct {
	text string
	at   int
}

// parseNginx reads a configuration.
func parseNginx(text string) ([]*nginxDirective, error) {
	p := &nginxParser{text: text}
	root := &nginxDirective{block: true}
	open := []*nginxDirective{root}
	var words []nginxWord
	for {
		p.space()
		if p.at == len(p.text) {
			break
		}
		inner := open[len(open)-1]
		switch c := p.text[p.at]; c {
		case ';', '{':
			if len(words) == 0 {
				return nil, p.wrong(fmt.Sprintf("unexpected %q", c))
			}
			p.at++
			d := &nginxDirective{words: words, start: words[0].start, end: p.at, block: c == '{'}
			words = nil
			inner.children = append(inner.children, d)
			if d.block {
				open = append(open, d)
			}
			if len(open) > maxNginxDepth {
				return nil, p.wrong("blocks are nested too deep")
			}
		case '}':
			if len(words) > 0 || len(open) == 1 {
				return nil, p.wrong("unexpected \"}\"")
			}
			p.at++
			inner.end = p.at
			open = open[:len(open)-1]
		default:
			w, err := p.word()
			if err != nil {
				return nil, err
			}
			words = append(words, w)
		}
	}
	if len(words) > 0 || len(open) > 1 {
		return nil, p.wrong("it ends within a directive")
	}
	return root.children, nil
}

func (p *nginxParser) wrong(what string) error {
	return &nginxSyntaxError{line: 1 + strings.Count(p.text[:p.at], "\n"), what: what}
}

func isNginxSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// space goes on to where the next word may begin.
func (p *nginxParser) space() {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case isNginxSpace(c):
			p.at++
		case c == '#':
			if i := strings.IndexByte(p.text[p.at:], '\n'); i >= 0 {
				p.at += i
			} else {
				p.at = len(p.text)
			}
		default:
			return
		}
	}
}

// word reads one.
func (p *nginxParser) word() (nginxWord, error) {
	start := p.at
	if q := p.text[p.at]; q == '"' || q == '\'' {
		p.at++
		for p.at < len(p.text) && p.text[p.at] != q {
			if p.text[p.at] == '\\' {
				p.at++
			}
			p.at++
		}
		if p.at >= len(p.text) {
			p.at = len(p.text)
			return nginxWord{}, p.wrong("a quote is not closed")
		}
		inner := p.text[start+1 : p.at]
		p.at++
		if p.at < len(p.text) && !isNginxSpace(p.text[p.at]) && !strings.ContainsRune(";{)", rune(p.text[p.at])) {
			return nginxWord{}, p.wrong("unexpected text after a quote")
		}
		return nginxWord{start, p.at, unescapeNginx(inner)}, nil
	}
	for p.at < len(p.text) {
		c := p.text[p.at]
		if isNginxSpace(c) || c == ';' || c == '{' && (p.at == start || p.text[p.at-1] != '$') {
			break
		}
		if c == '\\' {
			p.at++
		}
		p.at++
	}
	p.at = min(p.at, len(p.text))
	return nginxWord{start, p.at, unescapeNginx(p.text[start:p.at])}, nil
}

// unescapeNginx takes backslashes away where nginx does.
func unescapeNginx(s string) string {
	return strings.NewReplacer(`\"`, `"`, `\'`, `'`, `\\`, `\`, `\t`, "\t", `\r`, "\r", `\n`, "\n").Replace(s)
}
