package source

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Scalar is a value written as one word or text. Pointers to the value types
// of this package implement it, and so can types of other packages. Where the
// type is a struct with a field Pos of type [Pos], that gets the place.
type Scalar interface {
	// UnmarshalScalar sets the value from its text. Its error is a phrase that
	// goes on after "key: ", such as "a duration needs a unit, not 30"; when
	// it has a method Hint() string, that is shown too.
	UnmarshalScalar(text string) error
	// Expectation names what is expected, such as "a duration such as 30s".
	Expectation() string
	// Schema is the JSON Schema of the value.
	Schema() map[string]any
}

// numeric is implemented by scalars that min and max can bound.
type numeric interface{ number() float64 }

// unquoted is implemented by scalars that are never written in quotes.
type unquoted interface{ unquoted() }

// literal is implemented by scalars whose text may hold ${{ }} of its own
// meaning; all others are taken as written, or expanded before decoding.
type literal interface{ literal() }

// String is text, taken exactly as written: yes, 012 and 2026-01-01 are text.
type String struct {
	Value string
	Pos   Pos
}

// IsSet reports whether the file or a default gave a value.
func (s String) IsSet() bool { return s.Pos.IsValid() || s.Value != "" }

// String returns the text.
func (s String) String() string { return s.Value }

// UnmarshalScalar implements [Scalar].
func (s *String) UnmarshalScalar(text string) error {
	s.Value = text
	return nil
}

// Expectation implements [Scalar].
func (s *String) Expectation() string { return "text" }

// Schema implements [Scalar].
func (s *String) Schema() map[string]any { return textSchema() }

// textSchema is that of a text, which may look like another scalar.
func textSchema() map[string]any {
	return map[string]any{"type": []any{"string", "number", "boolean"}}
}

// Bool is true or false.
type Bool struct {
	Value bool
	Pos   Pos
}

// IsSet reports whether the file set it, or a default set it to true.
func (b Bool) IsSet() bool { return b.Pos.IsValid() || b.Value }

// UnmarshalScalar implements [Scalar].
func (b *Bool) UnmarshalScalar(text string) error {
	switch text {
	case "true":
		b.Value = true
	case "false":
		b.Value = false
	default:
		switch strings.ToLower(text) {
		case "yes", "y", "on", "true":
			return mistake(fmt.Sprintf("expected true or false, found %q", short(text)), "write true")
		case "no", "n", "off", "false":
			return mistake(fmt.Sprintf("expected true or false, found %q", short(text)), "write false")
		}
		return fmt.Errorf("expected true or false, found %q", short(text))
	}
	return nil
}

// Expectation implements [Scalar].
func (b *Bool) Expectation() string { return "true or false" }

// Schema implements [Scalar].
func (b *Bool) Schema() map[string]any { return map[string]any{"type": "boolean"} }

func (b *Bool) unquoted() {}

// Int is a whole number, written in decimal digits.
type Int struct {
	Value int
	Pos   Pos
}

// IsSet reports whether the file set it, or a default other than 0.
func (i Int) IsSet() bool { return i.Pos.IsValid() || i.Value != 0 }

// decimal is a whole number without leading zeros, which other readers take
// for octal.
var decimal = pattern(`^-?(0|[1-9][0-9]*)$`)

// UnmarshalScalar implements [Scalar].
func (i *Int) UnmarshalScalar(text string) error {
	if !decimal().MatchString(text) {
		if t := strings.TrimLeft(text, "0"); t != text && decimal().MatchString(t) {
			return mistake(fmt.Sprintf("expected a whole number, found %q with a leading zero", short(text)), "write "+t)
		}
		return fmt.Errorf("expected a whole number, found %q", short(text))
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return fmt.Errorf("%s is too large", short(text))
	}
	i.Value = int(n)
	return nil
}

// Expectation implements [Scalar].
func (i *Int) Expectation() string { return "a whole number" }

// Schema implements [Scalar].
func (i *Int) Schema() map[string]any { return map[string]any{"type": "integer"} }

func (i *Int) number() float64 { return float64(i.Value) }
func (i *Int) unquoted()       {}

// Float is a finite number.
type Float struct {
	Value float64
	Pos   Pos
}

// IsSet reports whether the file set it, or a default other than 0.
func (f Float) IsSet() bool { return f.Pos.IsValid() || f.Value != 0 }

// floating is a number in decimal digits, perhaps with an exponent.
var floating = pattern(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// UnmarshalScalar implements [Scalar].
func (f *Float) UnmarshalScalar(text string) error {
	if !floating().MatchString(text) {
		return fmt.Errorf("expected a number, found %q", short(text))
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(n, 0) {
		return fmt.Errorf("%s is too large", short(text))
	}
	f.Value = n
	return nil
}

// Expectation implements [Scalar].
func (f *Float) Expectation() string { return "a number" }

// Schema implements [Scalar].
func (f *Float) Schema() map[string]any { return map[string]any{"type": "number"} }

func (f *Float) number() float64 { return f.Value }
func (f *Float) unquoted()       {}

// Mistake is an error of a [Scalar] with a hint for the person who wrote it.
type Mistake struct{ Message, What string }

// Error returns the message.
func (m *Mistake) Error() string { return m.Message }

// Hint says what to write instead.
func (m *Mistake) Hint() string { return m.What }

func mistake(message, hint string) error { return &Mistake{message, hint} }

// hintOf returns the hint of an error, "" if it has none.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// short cuts a text of the user's for a message.
func short(text string) string {
	const most = 40
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
