package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// programs are the expressions of a file, checked, by the text of the field.
type programs struct {
	language   *cel.Env
	templates  map[string][]segment
	conditions map[string]*expression
}

// expressions checks all expressions of the file.
func (r *reading) expressions() {
	c := &checking{
		reading: r, locator: source.NewLocator(r.p.File),
		programs: &programs{templates: map[string][]segment{}, conditions: map[string]*expression{}},
		base:     r.names(),
	}
	for _, u := range r.uses {
		c.use(u)
	}
	r.p.programs, r.p.uses = c.programs, r.uses
}

// names returns what can be named in the file.
func (r *reading) names() names {
	n := names{vars: r.p.Vars.Keys(), secrets: r.p.Secrets.Keys()}
	for _, st := range r.p.Stages {
		s := stageName{name: st.Name}
		for _, k := range r.grammar.Kinds {
			if k.Name == st.Kind {
				for _, o := range k.Outputs {
					s.outputs = append(s.outputs, o.Name)
				}
			}
		}
		if o, ok := st.Task.(OutputNamer); ok {
			s.outputs = append(s.outputs, o.OutputNames()...)
		}
		n.stages = append(n.stages, s)
	}
	return n
}

// checking checks the expressions of one file.
type checking struct {
	*reading
	*programs
	locator *source.Locator
	base    names
}

// use checks one field.
func (c *checking) use(u use) {
	n := c.base
	n.before, n.extra = max(u.stage, 0), u.Vars
	if u.Alone {
		e, s := alone(u.Text)
		if s != nil {
			c.mistake(u, *s)
			return
		}
		if c.expression(u, e, &n) {
			c.conditions[u.Text] = e
		}
		return
	}
	segments, s := split(u.Text)
	if s != nil {
		c.mistake(u, *s)
		return
	}
	ok := true
	for _, g := range segments {
		if g.expr != nil && !c.expression(u, g.expr, &n) {
			ok = false
		}
	}
	if ok {
		c.templates[u.Text] = segments
	}
}

// expression checks one expression and reports whether it is right.
func (c *checking) expression(u use, e *expression, n *names) bool {
	if e.path != nil {
		s := n.path(e.path, true)
		if s == nil && u.Alone {
			offset, width := e.trimmed()
			s = &span{offset, width, "the condition is text, where true or false is needed", `compare it with something, such as == "true"`}
		}
		if s != nil {
			s.offset += e.offset
			c.mistake(u, *s)
		}
		return s == nil
	}
	if err := c.ensureLanguage(c.extraNames()); err != nil {
		c.mistake(u, span{message: err.Error()})
		return false
	}
	mistakes := e.compile(c.language, n, u.Alone)
	for _, s := range mistakes {
		s.offset += e.offset
		c.mistake(u, s)
	}
	return len(mistakes) == 0
}

// extraNames are the further names of all fields of the file.
func (c *checking) extraNames() []string {
	var out []string
	for _, u := range c.uses {
		for _, v := range u.Vars {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// ensureLanguage makes the language at its first use.
func (p *programs) ensureLanguage(extra []string) error {
	if p.language != nil {
		return nil
	}
	env, err := newLanguage(extra)
	p.language = env
	return err
}

// mistake reports a mistake at a place inside a field.
func (c *checking) mistake(u use, s span) {
	pos := c.locator.Find(u.Pos, u.Text, s.offset)
	c.report(source.Problem{Pos: pos, Width: s.width, Message: u.Path + ": " + s.message, Hint: s.hint})
}

// expand evaluates a text whose value must be known before the run: it can
// hold variables alone.
func (r *reading) expand(path, text string) (string, error) {
	if strings.HasPrefix(path, nameVars+".") {
		return "", &source.Mistake{
			Message: "the value of a variable is taken as it stands, without expressions",
			What:    "put the expression where the variable is used",
		}
	}
	segments, s := split(text)
	if s != nil {
		return "", &source.Mistake{Message: s.message, What: s.hint}
	}
	n := names{vars: r.p.Vars.Keys()}
	var b strings.Builder
	for _, g := range segments {
		if g.expr == nil {
			b.WriteString(g.text)
			continue
		}
		if g.expr.path == nil || g.expr.path[0].name != nameVars {
			return "", &source.Mistake{
				Message: "this value must be known before the run, so that only variables can stand in it",
				What:    "write ${{ vars.NAME }}, or the value itself",
			}
		}
		if s := n.path(g.expr.path, true); s != nil {
			return "", &source.Mistake{Message: s.message, What: s.hint}
		}
		v, ok := r.p.Vars.Get(g.expr.path[1].name)
		if !ok {
			return "", fmt.Errorf("there is no variable %q", g.expr.path[1].name)
		}
		b.WriteString(v.Value)
	}
	return b.String(), nil
}
