package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// document is a file that is being decoded.
type document struct {
	file  File
	lines []string
	types map[any]*declaration
}

// Load reads a file as one YAML document, and checks all that does not depend
// on a declaration. The node is usable when there are no errors.
func Load(f File) (Node, Problems) {
	if len(f.Data) > MaxSize {
		return Node{}, Problems{{
			File: f.Name, Pos: Pos{1, 1}, Width: 1,
			Message: fmt.Sprintf("the file is too large: %d bytes, where %d are allowed", len(f.Data), MaxSize),
		}}
	}
	if problems := checkText(f); len(problems) > 0 {
		return Node{}, problems
	}
	doc := &document{file: f, types: map[any]*declaration{}}
	data := bytes.TrimPrefix(f.Data, []byte(byteOrderMark))
	doc.lines = strings.Split(string(data), "\n")
	for i, l := range doc.lines {
		doc.lines[i] = strings.TrimSuffix(l, "\r")
	}
	root, problems := doc.parse(data)
	if len(problems) > 0 {
		return Node{}, problems
	}
	if problems := doc.checkGraph(root); len(problems) > 0 {
		return Node{}, problems.Sorted()
	}
	return Node{Pos: doc.pos(root), doc: doc, yaml: root}, nil
}

const byteOrderMark = "\uFEFF"

// parse returns the root of the only document.
func (doc *document) parse(data []byte) (*yaml.Node, Problems) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := dec.Decode(&first)
	if errors.Is(err, io.EOF) || err == nil && len(first.Content) == 0 {
		return nil, Problems{{File: doc.file.Name, Pos: Pos{1, 1}, Width: 1, Message: "the file is empty"}}
	}
	if err != nil {
		return nil, Problems{doc.syntaxProblem(data, err)}
	}
	err = dec.Decode(&second)
	switch {
	case err == nil:
		return nil, Problems{doc.problem(Pos{max(second.Line, 1), max(second.Column, 1)}, 3,
			"a second document begins here, where a file holds one", "take out the line ---, or put this part into a file of its own")}
	case !errors.Is(err, io.EOF):
		return nil, Problems{doc.syntaxProblem(data, err)}
	}
	root := first.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == nullTag {
		return nil, Problems{{File: doc.file.Name, Pos: Pos{1, 1}, Width: 1, Message: "the file is empty"}}
	}
	return root, nil
}

// problem makes a problem whose place lies inside the file.
func (doc *document) problem(pos Pos, width int, message, hint string) Problem {
	pos.Line = min(max(pos.Line, 1), len(doc.lines))
	length := utf8.RuneCountInString(doc.lines[pos.Line-1])
	pos.Col = min(max(pos.Col, 1), max(length, 1))
	width = min(max(width, 1), max(length-pos.Col+1, 1))
	return Problem{File: doc.file.Name, Pos: pos, Width: width, Message: message, Hint: hint}
}

// checkText finds what no YAML file may hold. It stops after a few: such a
// file is not text at all.
func checkText(f File) Problems {
	const enough = 5
	var problems Problems
	data := f.Data
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return Problems{{File: f.Name, Pos: Pos{1, 1}, Width: 1, Message: "the file is in UTF-16", Hint: "save it as UTF-8"}}
	}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if i := bytes.IndexByte(data, 0); i >= 0 {
		line := data[bytes.LastIndexByte(data[:i], '\n')+1 : i]
		return Problems{{
			File: f.Name, Pos: Pos{1 + bytes.Count(data[:i], []byte("\n")), 1 + utf8.RuneCount(line)}, Width: 1,
			Message: "a zero byte: this is not a text in UTF-8", Hint: "name a YAML file, and save it as UTF-8",
		}}
	}
	line, col := 1, 1
	for i := 0; i < len(data) && len(problems) < enough; {
		r, size := utf8.DecodeRune(data[i:])
		message, hint := "", ""
		switch {
		case r == utf8.RuneError && size == 1:
			message, hint = fmt.Sprintf("byte 0x%02x is not UTF-8", data[i]), "save the file as UTF-8"
		case r == '\r' && (i+1 >= len(data) || data[i+1] != '\n'):
			message, hint = "a carriage return without a line feed", "end lines with a line feed"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7F && r < 0xA0:
			message, hint = fmt.Sprintf("control character U+%04X", r), fmt.Sprintf(`in a text in double quotes it can be written as \x%02x`, r)
		case r == '\u2028', r == '\u2029', r == '\uFEFF', r == '\uFFFE', r == '\uFFFF':
			message, hint = fmt.Sprintf("invisible character U+%04X", r), fmt.Sprintf(`in a text in double quotes it can be written as \u%04x`, r)
		}
		if message != "" {
			problems = append(problems, Problem{File: f.Name, Pos: Pos{line, col}, Width: 1, Message: message, Hint: hint})
		}
		i += size
		col++
		if r == '\n' {
			line, col = line+1, 1
		}
	}
	return problems
}
