package source

import "fmt"

// Pos is a place in a file, both numbers counted from 1; the zero value means
// that the place is not known. Col counts runes, not bytes.
type Pos struct {
	Line int `json:"line"`
	Col  int `json:"col"`
}

// String returns "line:col".
func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }

// IsValid reports whether the place is known.
func (p Pos) IsValid() bool { return p.Line > 0 }
