package source

import "strings"

// Template is text that may hold expressions in ${{ }}. Package pipeline
// checks and evaluates them.
type Template struct {
	Raw string
	Pos Pos
}

// IsSet reports whether the file or a default gave a text.
func (t Template) IsSet() bool { return t.Pos.IsValid() || t.Raw != "" }

// HasExpressions reports whether the text is more than what stands there.
func (t Template) HasExpressions() bool { return strings.Contains(t.Raw, opening) }

// UnmarshalScalar implements [Scalar].
func (t *Template) UnmarshalScalar(text string) error {
	t.Raw = text
	return nil
}

// Expectation implements [Scalar].
func (t *Template) Expectation() string { return "text" }

// Schema implements [Scalar].
func (t *Template) Schema() map[string]any { return textSchema() }

func (t *Template) literal() {}

// Script is text for a shell. Expressions are refused in it, so that no value
// from outside can become a command.
type Script struct {
	Value string
	Pos   Pos
}

// IsSet reports whether the file or a default gave a text.
func (s Script) IsSet() bool { return s.Pos.IsValid() || s.Value != "" }

// UnmarshalScalar implements [Scalar].
func (s *Script) UnmarshalScalar(text string) error {
	s.Value = text
	if strings.Contains(text, opening) {
		return &expressionInScript{strings.Index(text, opening)}
	}
	return nil
}

// expressionInScript carries the byte offset of the expression.
type expressionInScript struct{ offset int }

func (e *expressionInScript) Error() string {
	return "expressions are refused in scripts, since a value could become a command"
}

func (e *expressionInScript) Hint() string {
	return `give the value a name under env: of the stage, and write "$NAME" in the script`
}

// Expectation implements [Scalar].
func (s *Script) Expectation() string { return "a script" }

// Schema implements [Scalar].
func (s *Script) Schema() map[string]any {
	return map[string]any{"type": "string", "not": map[string]any{"pattern": `\$\{\{`}}
}

func (s *Script) literal() {}

// Expr is an expression that stands by itself, as after if:.
type Expr struct {
	Raw string
	Pos Pos
}

// IsSet reports whether the file or a default gave an expression.
func (e Expr) IsSet() bool { return e.Pos.IsValid() || e.Raw != "" }

// UnmarshalScalar implements [Scalar].
func (e *Expr) UnmarshalScalar(text string) error {
	e.Raw = text
	return nil
}

// Expectation implements [Scalar].
func (e *Expr) Expectation() string { return "an expression" }

// Schema implements [Scalar].
func (e *Expr) Schema() map[string]any { return textSchema() }

func (e *Expr) literal() {}

// opening and closing stand around an expression in a [Template].
const (
	opening = "${{"
	closing = "}}"
)
