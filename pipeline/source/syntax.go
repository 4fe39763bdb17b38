package source

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// syntaxProblem turns the reader's error into a problem with an exact place.
// The reader names the line where a construct began, and no column; where it
// stopped is found by handing it the file again one byte at a time.
func (doc *document) syntaxProblem(data []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	began := 0
	if m := reportedLine().FindStringSubmatch(text); m != nil {
		began, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if m := unknownAnchor().FindStringSubmatch(text); m != nil {
		return doc.problem(doc.find("*"+m[1]), utf8.RuneCountInString(m[1])+1,
			fmt.Sprintf("alias *%s has no anchor before it", short(m[1])), "an anchor is written &"+short(m[1])+", above its first use")
	}
	pos, read := doc.stopped(data)
	if tab, ok := doc.tabIndent(pos); ok && (strings.Contains(text, "tab") || strings.Contains(text, "start any token")) {
		return doc.problem(tab, 1, "a tab is used for indentation", "indent with spaces")
	}
	message, hint := plainWords(text)
	pos = doc.narrow(pos, read, began, text)
	return doc.problem(pos, doc.wordWidth(pos), message, hint)
}

// narrow finds the sign that an error is about, near the place where the
// reader stopped, having read so many runes of that line. Began is the line
// that the reader named, perhaps that of the beginning of what it could not
// read.
func (doc *document) narrow(pos Pos, read, began int, text string) Pos {
	line := doc.lines[pos.Line-1]
	before := string([]rune(line)[:min(read, utf8.RuneCountInString(line))])
	at := func(n, index int) Pos {
		return Pos{n, utf8.RuneCountInString(doc.lines[n-1][:index]) + 1}
	}
	for _, sign := range signs() {
		if !strings.Contains(text, sign.part) {
			continue
		}
		for _, n := range []int{pos.Line, pos.Line - 1} {
			if n < 1 {
				continue
			}
			if m := sign.form.FindStringSubmatchIndex(doc.lines[n-1]); m != nil {
				return at(n, m[2])
			}
		}
	}
	switch {
	case strings.Contains(text, "escape"), strings.Contains(text, "hexdecimal"):
		if i := strings.LastIndexByte(before, '\\'); i >= 0 {
			return at(pos.Line, i)
		}
	case strings.Contains(text, "mapping values are not allowed"):
		if i := strings.LastIndexByte(before, ':'); i >= 0 {
			return at(pos.Line, i)
		}
	case strings.Contains(text, "unexpected end of stream"), strings.Contains(text, "unexpected document indicator"):
		for _, n := range []int{began, 1} {
			if n < 1 || n > len(doc.lines) {
				continue
			}
			if m := openQuote().FindAllStringSubmatchIndex(doc.lines[n-1], -1); m != nil {
				return at(n, m[len(m)-1][2])
			}
		}
	case strings.Contains(text, "could not find expected ':'"):
		n := began
		if n < 1 || n >= pos.Line {
			n = max(pos.Line-1, 1)
		}
		return at(n, len(doc.lines[n-1])-len(strings.TrimLeft(doc.lines[n-1], " \t-")))
	case strings.Contains(text, "directive"), strings.Contains(text, "incompatible"):
		for i, l := range doc.lines {
			if strings.HasPrefix(l, "%") {
				return Pos{i + 1, 1}
			}
		}
	}
	return pos
}

// wordWidth is the width of the word at a place.
func (doc *document) wordWidth(pos Pos) int {
	runes := []rune(doc.lines[pos.Line-1])
	n := 0
	for i := pos.Col - 1; i < len(runes) && !strings.ContainsRune(" \t:,]}", runes[i]); i++ {
		n++
	}
	return max(n, 1)
}

// sign is what an error of the reader is about, by a part of its text: the
// first group of the form is the place.
type sign struct {
	part string
	form *regexp.Regexp
}

func signs() []sign {
	return []sign{
		{"start any token", regexp.MustCompile("(?:^|[:,{\\[-])[ \t]*([@`%])")},
		{"alphabetic or numeric", regexp.MustCompile(`([*&])(?:[^A-Za-z0-9_-]|$)`)},
		{"did not find expected key", regexp.MustCompile(`["'\]}][ \t]+([^ \t,:#\]}])`)},
		{"block sequence entries", regexp.MustCompile(`:[ \t]+(-)(?:[ \t]|$)`)},
		{"mapping keys are not allowed", regexp.MustCompile(`(\?)(?:[ \t]|$)`)},
		{"indentation indicator", regexp.MustCompile(`([|>][-+0-9]*)[ \t]*$`)},
		{"comment or line break", regexp.MustCompile(`[|>][-+0-9]*[ \t]+([^# \t])`)},
		{"expected '>'", regexp.MustCompile(`(!<)`)},
	}
}

var openQuote = pattern(`(?:^|[ ,{\[])(["'])`)

var (
	reportedLine  = pattern(`^line ([0-9]+): `)
	unknownAnchor = pattern(`^unknown anchor '(.*)' referenced`)
)

// plainWords says what an error of the reader means.
func plainWords(text string) (message, hint string) {
	for _, w := range []struct{ part, message, hint string }{
		{"mapping values are not allowed", "a value cannot stand here: there is a colon too many, or the indentation is wrong", "put text with a colon in quotes"},
		{"did not find expected key", "something stands here that does not belong to what is around it", "check the indentation against the lines above, and that quotes and brackets are closed"},
		{"did not find expected '-' indicator", "expected an entry of the list here, beginning with -", "check the indentation against the lines above"},
		{"did not find expected ',' or '}'", "expected a comma or } here", "close the { of the mapping"},
		{"did not find expected ',' or ']'", "expected a comma or ] here", "close the [ of the list"},
		{"could not find expected ':'", "expected a colon after a key", "write key: value"},
		{"found character that cannot start any token", "this character cannot begin a value", "put the text in quotes"},
		{"found unexpected end of stream", "the file ends inside a text in quotes", "close the quotes"},
		{"found unexpected document indicator", "a document ends inside a text in quotes", "close the quotes"},
		{"unknown escape character", `unknown escape after \`, `write \\ for a backslash, or use single quotes`},
		{"escape code", `wrong escape after \`, `after \x stand 2, after \u 4 hexadecimal digits`},
		{"hexdecimal number", `wrong escape after \`, `after \x stand 2, after \u 4 hexadecimal digits`},
		{"block sequence entries are not allowed", "an entry of a list cannot stand here", "put the list on lines of its own"},
		{"mapping keys are not allowed", "a key cannot stand here", ""},
		{"tab character", "a tab is used for indentation", "indent with spaces"},
		{"exceeded max depth", "nested too deep", ""},
		{"alphabetic or numeric character", "a name must follow here", "put text that begins with & or * in quotes"},
		{"did not find expected node content", "a value is missing here", ""},
		{"did not find expected <document start>", "the file goes on after its end", "check the indentation, and that every line is part of the mapping"},
		{"comment or line break", "something stands where the line should end", ""},
		{"indentation indicator", "the indentation given after | or > is wrong", "leave the number out"},
		{"expected '>'", "tags, words that begin with !, are not supported", "put text that begins with ! in quotes"},
		{"incompatible", "directives, lines that begin with %, are not supported", "take the line out"},
		{"directive", "directives, lines that begin with %, are not supported", "put text that begins with % in quotes"},
		{"tag", "tags, words that begin with !, are not supported", "put text that begins with ! in quotes"},
		{"control characters", "a control character", ""},
	} {
		if strings.Contains(text, w.part) {
			return w.message, w.hint
		}
	}
	return "this is not YAML", ""
}

// slowReader hands out one byte at a time and counts them.
type slowReader struct {
	data []byte
	n    int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.n >= len(r.data) || len(p) == 0 {
		return 0, io.EOF
	}
	p[0] = r.data[r.n]
	r.n++
	return 1, nil
}

// stopped returns the place at which the reader gives up, and how many runes
// of that line it had read.
func (doc *document) stopped(data []byte) (pos Pos, runes int) {
	r := &slowReader{data: data}
	dec := yaml.NewDecoder(r)
	var err error
	for err == nil {
		var n yaml.Node
		err = dec.Decode(&n)
	}
	read := strings.TrimRight(string(data[:r.n]), " \t\r\n")
	line := strings.Count(read, "\n") + 1
	if errors.Is(err, io.EOF) || line > len(doc.lines) {
		return Pos{1, 1}, 0
	}
	text := doc.lines[line-1]
	end := strings.ToValidUTF8(read[strings.LastIndexByte(read, '\n')+1:], "")
	runes = utf8.RuneCountInString(end)
	if len(end) < len(text) {
		// It stopped within the line: there, not at its beginning.
		return Pos{line, max(runes, 1)}, runes
	}
	return Pos{line, 1 + len(text) - len(strings.TrimLeft(text, " \t"))}, runes
}

// tabIndent looks for a tab in the indentation of the line, or of one next to
// it.
func (doc *document) tabIndent(pos Pos) (Pos, bool) {
	for _, line := range []int{pos.Line, pos.Line - 1, pos.Line + 1} {
		if line < 1 || line > len(doc.lines) {
			continue
		}
		text := doc.lines[line-1]
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t-"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 {
			return Pos{line, i + 1}, true
		}
	}
	return Pos{}, false
}

// find returns the place of the first occurrence of a text.
func (doc *document) find(text string) Pos {
	for i, l := range doc.lines {
		if before, _, ok := strings.Cut(l, text); ok {
			return Pos{i + 1, utf8.RuneCountInString(before) + 1}
		}
	}
	return Pos{1, 1}
}
