package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"
)

// The bounds of what an expression may cost.
const (
	maxCost   = 1_000_000
	maxNodes  = 1000
	maxLevels = 50
)

// program is a compiled expression; it is made ready at its first use.
type program struct {
	checked *cel.Ast
	once    sync.Once
	ready   cel.Program
	err     error
}

// newLanguage returns the CEL environment of all expressions of a file. Which
// names are allowed where is checked by [names].
func newLanguage(extra []string) (*cel.Env, error) {
	text := cel.MapType(cel.StringType, cel.StringType)
	opts := []cel.EnvOption{
		ext.Strings(), cel.OptionalTypes(), cel.ExpressionNodeLimit(maxNodes), cel.ExpressionNestingDepthLimit(maxLevels),
		cel.Variable(nameVars, text), cel.Variable(nameEnv, text), cel.Variable(nameSecrets, text),
		cel.Variable(nameRun, text), cel.Variable(nameStages, cel.MapType(cel.StringType, text)),
	}
	for _, name := range extra {
		opts = append(opts, cel.Variable(name, cel.StringType))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("make expression language: %w", err)
	}
	return env, nil
}

// compile checks an expression that is not a path. What it returns has its
// offsets in the expression's own text.
func (e *expression) compile(env *cel.Env, n *names, condition bool) []span {
	parsed, issues := env.Parse(e.text)
	if issues.Err() != nil {
		return []span{e.syntax(issues)}
	}
	w := &walker{names: n, info: parsed.NativeRep().SourceInfo(), expression: e}
	w.walk(parsed.NativeRep().Expr(), nil)
	if len(w.mistakes) > 0 {
		return w.mistakes
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		var out []span
		for _, issue := range issues.Errors() {
			s := typeWords(issue.Message, env)
			// The place of a call is that of its parenthesis.
			s.offset = max(0, s.offset+e.runeOffset(issue.Location.Line(), issue.Location.Column()))
			out = append(out, s)
		}
		return out
	}
	if s := resultType(checked.OutputType(), condition); s != nil {
		s.offset, s.width = e.trimmed()
		return []span{*s}
	}
	e.checked = checked
	return nil
}

// resultType reports an expression that gives something else than is needed.
func resultType(t *cel.Type, condition bool) *span {
	if condition {
		if t.IsExactType(cel.BoolType) {
			return nil
		}
		s := &span{message: fmt.Sprintf("the condition is %s, where true or false is needed", typeName(t.String()))}
		if t.IsExactType(cel.StringType) {
			s.hint = `compare it with something, such as == "true"`
		}
		return s
	}
	if slices.ContainsFunc([]*cel.Type{cel.StringType, cel.IntType, cel.UintType, cel.DoubleType, cel.BoolType}, t.IsExactType) {
		return nil
	}
	return &span{message: fmt.Sprintf("the expression is %s, where text is needed", typeName(t.String()))}
}

// trimmed returns where the expression's text begins and how long it is,
// blanks around it left out.
func (e *expression) trimmed() (offset, width int) {
	lead := len(e.text) - len(strings.TrimLeft(e.text, " \t\n"))
	return lead, len([]rune(strings.TrimSpace(e.text)))
}

// runeOffset turns a line, from 1, and a column, from 0, into an offset.
func (e *expression) runeOffset(line, column int) int {
	offset := 0
	for l := range strings.Lines(e.text) {
		if line <= 1 {
			break
		}
		offset += len([]rune(l))
		line--
	}
	return offset + max(column, 0)
}

// walker checks the names in a parsed expression.
type walker struct {
	names      *names
	info       *ast.SourceInfo
	expression *expression
	mistakes   []span
}

// walk checks e, in which the names in local have a meaning of their own.
func (w *walker) walk(e ast.Expr, local []string) {
	if parts := w.chain(e); parts != nil {
		if !slices.Contains(local, parts[0].name) {
			w.path(parts)
		}
		return
	}
	switch e.Kind() {
	case ast.SelectKind:
		w.walk(e.AsSelect().Operand(), local)
	case ast.CallKind:
		c := e.AsCall()
		if c.IsMemberFunction() {
			w.walk(c.Target(), local)
		}
		for _, a := range c.Args() {
			w.walk(a, local)
		}
	case ast.ListKind:
		for _, a := range e.AsList().Elements() {
			w.walk(a, local)
		}
	case ast.MapKind:
		for _, a := range e.AsMap().Entries() {
			w.walk(a.AsMapEntry().Key(), local)
			w.walk(a.AsMapEntry().Value(), local)
		}
	case ast.ComprehensionKind:
		w.comprehension(e.AsComprehension(), local)
	default: // a literal holds no names
	}
}

func (w *walker) comprehension(c ast.ComprehensionExpr, local []string) {
	w.walk(c.IterRange(), local)
	w.walk(c.AccuInit(), local)
	inner := append(slices.Clone(local), c.IterVar(), c.IterVar2(), c.AccuVar())
	w.walk(c.LoopCondition(), inner)
	w.walk(c.LoopStep(), inner)
	w.walk(c.Result(), inner)
}

// path reports a mistake in a path, and a hyphen that was read as a minus.
func (w *walker) path(parts []part) {
	s := w.names.path(parts, false)
	if s == nil {
		return
	}
	for _, st := range w.names.stages {
		if strings.Contains(st.name, "-") && strings.Contains(w.expression.text, nameStages+"."+st.name) {
			s.hint = fmt.Sprintf("the hyphen reads as a minus: write %s", nameStages+member(st.name))
		}
	}
	w.mistakes = append(w.mistakes, *s)
}

// chain returns the names of a.b["c"], nil when e is no such path.
func (w *walker) chain(e ast.Expr) []part {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		return []part{{name, w.offset(e), len([]rune(name))}}
	case ast.SelectKind:
		sel := e.AsSelect()
		if parts := w.chain(sel.Operand()); parts != nil {
			// The place of a selection is that of its point.
			return append(parts, part{sel.FieldName(), w.offset(e) + 1, len([]rune(sel.FieldName()))})
		}
	case ast.CallKind:
		c := e.AsCall()
		if name := c.FunctionName(); (name == "_[_]" || name == "_[?_]" || name == "_?._") && len(c.Args()) == 2 {
			if key, ok := literalText(c.Args()[1]); ok {
				if parts := w.chain(c.Args()[0]); parts != nil {
					return append(parts, part{key, w.offset(c.Args()[1]), len([]rune(key)) + 2})
				}
			}
		}
	default: // no path
	}
	return nil
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().Value().(string)
	return text, ok
}

func (w *walker) offset(e ast.Expr) int {
	if r, ok := w.info.GetOffsetRange(e.ID()); ok {
		return int(r.Start)
	}
	return 0
}

// syntax says in plain words where an expression cannot be read.
func (e *expression) syntax(issues *cel.Issues) span {
	first := issues.Errors()[0]
	message := strings.TrimPrefix(first.Message, "Syntax error: ")
	out := span{offset: e.runeOffset(first.Location.Line(), first.Location.Column()), width: 1, message: "the expression cannot be read here"}
	m := offending().FindStringSubmatch(message)
	switch {
	case strings.Contains(message, "limit"):
		out.message = "the expression is too large"
	case m == nil:
	case m[1] == "<EOF>":
		out.message = "the expression ends too early"
	case strings.HasPrefix(m[1], `"`) || strings.HasPrefix(m[1], `'`):
		out.message = "a text in quotes is not closed"
		if strings.HasPrefix(message, "extraneous") || strings.HasPrefix(message, "mismatched") {
			out.message = "unexpected text in quotes"
		}
	default:
		word := strings.TrimSpace(m[1])
		out.message, out.width = fmt.Sprintf("unexpected %q", word), max(len([]rune(word)), 1)
		out.hint = operatorHint(word)
	}
	return out
}

var offending = pattern(`(?s)(?:input|at:) '(.*?)'(?: expecting.*)?$`)

// operatorHint knows the operators of other languages.
func operatorHint(word string) string {
	switch word {
	case "and", "&":
		return "write && for and"
	case "or", "|":
		return "write || for or"
	case "not":
		return "write ! for not"
	case "=":
		return "write == to compare"
	}
	return ""
}
