package source

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// scalar decodes a word or text.
func (d *decoder) scalar(s slot, into Scalar, v reflect.Value) {
	if s.node.Kind != yaml.ScalarNode {
		d.reportHere(s, fmt.Sprintf("%s: expected %s, found %s", s.path, into.Expectation(), kindWords(s.node)), "")
		return
	}
	text := s.node.Value
	pos := d.doc.pos(s.node)
	quoted := s.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if _, ok := into.(literal); !ok && strings.Contains(text, opening) {
		expanded, ok := d.expand(s, text)
		if !ok {
			return
		}
		text, quoted = expanded, false
	}
	if _, ok := into.(unquoted); ok && quoted {
		d.report(s.node, fmt.Sprintf("%s: expected %s, found text in quotes", s.path, into.Expectation()), "leave the quotes out")
		return
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, text) {
		d.report(s.node, fmt.Sprintf("%s: %q is not known here", s.path, short(text)), Suggest(text, s.enum, "known"))
		return
	}
	if s.pattern != nil && !s.pattern.MatchString(text) {
		d.report(s.node, fmt.Sprintf("%s: %q does not have the right form", s.path, short(text)), expected(s.words))
		return
	}
	if s.bare && !quoted && floating().MatchString(text) {
		text += "%"
	}
	if err := into.UnmarshalScalar(text); err != nil {
		d.scalarError(s, err)
		return
	}
	if words := outside(into, s.rules); words != "" {
		d.report(s.node, fmt.Sprintf("%s: %s is out of range", s.path, short(text)), "expected "+words)
	}
	setScalarPos(v, pos)
	d.expression(s, into, pos)
}

// expand replaces the expressions of a text that must be known before it is
// decoded.
func (d *decoder) expand(s slot, text string) (string, bool) {
	if d.opt.Expand == nil {
		d.reportInside(s.node, strings.Index(text, opening), s.path+": expressions are not evaluated here", "write the value itself")
		return "", false
	}
	expanded, err := d.opt.Expand(s.path, text)
	if err != nil {
		d.reportInside(s.node, strings.Index(text, opening), s.path+": "+err.Error(), hintOf(err))
		return "", false
	}
	return expanded, true
}

func (d *decoder) scalarError(s slot, err error) {
	message, hint := s.path+": "+err.Error(), hintOf(err)
	if e, ok := errors.AsType[*expressionInScript](err); ok {
		d.reportInside(s.node, e.offset, message, hint)
		return
	}
	d.report(s.node, message, hint)
}

// reportInside adds a problem at a byte offset of a scalar's text, as wide as
// the expression that begins there.
func (d *decoder) reportInside(n *yaml.Node, offset int, message, hint string) {
	l := Locator{d.doc.lines}
	pos := l.Find(d.doc.pos(n), n.Value, utf8.RuneCountInString(n.Value[:offset]))
	width := len(opening)
	if end := strings.Index(n.Value[offset:], closing); end >= 0 {
		width = utf8.RuneCountInString(n.Value[offset:offset+end]) + len(closing)
	}
	d.add(d.doc.problem(pos, width, message, hint))
}

// expression tells about a text that package pipeline has to check.
func (d *decoder) expression(s slot, into Scalar, pos Pos) {
	if d.opt.Expression == nil {
		return
	}
	switch t := into.(type) {
	case *Template:
		if t.HasExpressions() {
			d.opt.Expression(Expression{Text: t.Raw, Pos: pos, Vars: s.vars, Path: s.path})
		}
	case *Expr:
		d.opt.Expression(Expression{Text: t.Raw, Pos: pos, Vars: s.vars, Path: s.path, Alone: true})
	}
}

// outside says what is expected of a number that is out of bounds, and ""
// when it is not.
func outside(into Scalar, r rules) string {
	n, ok := into.(numeric)
	if !ok {
		return ""
	}
	lowest, highest := math.Inf(-1), math.Inf(1)
	highText := r.max
	if m, ok := into.(interface{ defaultMax() float64 }); ok && r.max == "" {
		highest, highText = m.defaultMax(), "100%"
	}
	if r.min != "" {
		lowest = parseBound(into, r.min)
	}
	if r.max != "" {
		highest = parseBound(into, r.max)
	}
	value := n.number()
	if value >= lowest && value <= highest {
		return ""
	}
	switch {
	case r.min == "":
		return "at most " + highText
	case highText == "":
		return "at least " + r.min
	}
	return r.min + " to " + highText
}

// parseBound reads a bound in the way that the value itself is written.
func parseBound(like Scalar, text string) float64 {
	v := reflect.New(reflect.TypeOf(like).Elem()).Interface()
	if err := v.(Scalar).UnmarshalScalar(text); err != nil {
		panic(fmt.Sprintf("source: bound %q of %T: %v", text, like, err))
	}
	return v.(numeric).number()
}

// count reports a list that is too short or too long.
func (d *decoder) count(s slot, n int) {
	var low, high Int
	if s.min != "" {
		if err := low.UnmarshalScalar(s.min); err != nil {
			panic("source: bound of a list: " + err.Error())
		}
		if n < low.Value {
			d.report(s.key, fmt.Sprintf("%s has too few entries: %d", s.path, n), "expected at least "+s.min)
		}
	}
	if s.max != "" {
		if err := high.UnmarshalScalar(s.max); err != nil {
			panic("source: bound of a list: " + err.Error())
		}
		if n > high.Value {
			d.report(s.key, fmt.Sprintf("%s has too many entries: %d", s.path, n), "expected at most "+s.max)
		}
	}
}

// setScalarPos sets the field Pos of a scalar that is a struct.
func setScalarPos(v reflect.Value, pos Pos) {
	if v.Kind() != reflect.Struct {
		return
	}
	if f := v.FieldByName("Pos"); f.IsValid() && f.Type() == posType && f.CanSet() {
		f.Set(reflect.ValueOf(pos))
	}
}

// expectation says what a type takes.
func (d *decoder) expectation(t reflect.Type) string { return expectation(t) }

func expectation(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := reflect.New(t).Interface().(type) {
	case Scalar:
		return v.Expectation()
	case freeKeys:
		return "a mapping"
	}
	if t.Kind() == reflect.Slice {
		return "a list"
	}
	return "a mapping"
}
