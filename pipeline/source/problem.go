package source

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is something wrong in a file.
type Problem struct {
	// File is the name of the file.
	File string `json:"file"`
	Pos  Pos    `json:"pos"`
	// Width is the number of runes concerned, at least 1 when the place is
	// known; it does not go beyond the line.
	Width int `json:"width,omitempty"`
	// Message says what is wrong, in one line.
	Message string `json:"message"`
	// Hint says what was expected or meant; it can be empty.
	Hint string `json:"hint,omitempty"`
	// Warning problems do not make a file wrong.
	Warning bool `json:"warning,omitempty"`
}

// Error returns "file:line:col: message".
func (p Problem) Error() string {
	if !p.Pos.IsValid() {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%s: %s", p.File, p.Pos, p.Message)
}

// In returns the problem as one of file f, its place moved inside it: what is
// out of the file is put at the nearest place in it, and what has no place at
// the given one.
func (p Problem) In(f File, otherwise Pos) Problem {
	if !p.Pos.IsValid() {
		p.Pos, p.Width = otherwise, 1
	}
	p.File = f.Name
	last := bytes.Count(f.Data, []byte("\n")) + 1
	p.Pos.Line = min(max(p.Pos.Line, 1), last)
	length := utf8.RuneCountInString(f.Line(p.Pos.Line))
	p.Pos.Col = min(max(p.Pos.Col, 1), max(length, 1))
	p.Width = min(max(p.Width, 1), max(length-p.Pos.Col+1, 1))
	return p
}

// Problems are all that is wrong in a file, sorted by place.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// HasErrors reports whether one of them is more than a warning.
func (ps Problems) HasErrors() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning })
}

// Err returns the problems as an error, nil when there are only warnings.
func (ps Problems) Err() error {
	if ps.HasErrors() {
		return ps
	}
	return nil
}

// Sorted returns the problems in the order of the file, each once: what is
// used several times by way of an alias is wrong only once.
func (ps Problems) Sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool {
		return a.File == b.File && a.Pos == b.Pos && a.Message == b.Message
	})
}

// tooMany bounds how many problems of one file are kept.
const tooMany = 1000
