package source

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// decoder decodes one node and what is below it.
type decoder struct {
	doc      *document
	opt      Options
	problems Problems
	errors   int
	// used are the places at which aliases brought in what is decoded now.
	used []Pos
	// shared are the places inside aliased values that have a problem.
	shared map[Pos]bool
}

// Decode reads the node into a pointer to a declared value.
func (n Node) Decode(into any, opt Options) Problems {
	if n.yaml == nil {
		panic("source: Decode of a node that is not set")
	}
	d := &decoder{doc: n.doc, opt: opt}
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic(fmt.Sprintf("source: decode into %T, which is no pointer", into))
	}
	path := n.path
	if opt.Path != "" {
		path = opt.Path
	}
	d.value(slot{node: n.yaml, key: n.yaml, path: path, top: true}, v.Elem())
	return d.problems.Sorted()
}

// slot is a place in the file that holds a value.
type slot struct {
	node *yaml.Node
	// written is what stands there: the node, or an alias of it.
	written *yaml.Node
	// key is the node that stands for the place where the value is missing.
	key  *yaml.Node
	path string
	rules
	// top is true for the outermost value.
	top bool
}

// child returns the slot of a key below s.
func (s slot) child(p pair, r rules) slot {
	path := p.key.Value
	if s.path != "" && !s.top {
		path = s.path + "." + path
	}
	return slot{node: p.value, key: p.key, path: short(path), rules: r}
}

// value decodes what is in s into v, which can be set.
func (d *decoder) value(s slot, v reflect.Value) {
	s.written = s.node
	if s.node.Kind == yaml.AliasNode {
		defer d.using(Pos{s.node.Line, s.node.Column})()
		s.node = resolve(s.node)
	}
	before := d.errors
	d.dispatch(s, v)
	if d.errors == before && v.Kind() != reflect.Pointer {
		d.check(s, v)
	}
}

// using notes that what is decoded next was brought in by an alias, and
// returns what ends that.
func (d *decoder) using(at Pos) (end func()) {
	d.used = append(d.used, at)
	return func() { d.used = d.used[:len(d.used)-1] }
}

func (d *decoder) dispatch(s slot, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.value(s, v.Elem())
		return
	}
	into := v.Addr().Interface()
	if n, ok := into.(*Node); ok {
		*n = Node{Pos: d.doc.pos(s.node), doc: d.doc, yaml: s.node, path: s.path}
		return
	}
	if d.isNull(s, v) {
		return
	}
	switch into := into.(type) {
	case Scalar:
		d.scalar(s, into, v)
	case freeKeys:
		d.free(s, into)
	default:
		switch v.Kind() {
		case reflect.Slice:
			d.list(s, v)
		case reflect.Struct:
			d.mapping(s, v)
		default:
			panic(fmt.Sprintf("source: %s cannot be decoded into %s", s.path, v.Type()))
		}
	}
}

// isNull reports a key without a value; only a mapping that has no keys at
// all needs none.
func (d *decoder) isNull(s slot, v reflect.Value) bool {
	if s.node.Kind != yaml.ScalarNode || s.node.ShortTag() != nullTag {
		return false
	}
	if v.Kind() == reflect.Struct {
		if _, scalar := v.Addr().Interface().(Scalar); !scalar {
			if decl := d.doc.declaration(v.Type()); len(decl.fields) == 0 && (!s.top || len(d.opt.Extra) == 0) {
				d.setPos(decl, v, Pos{s.key.Line, s.key.Column})
				return true
			}
		}
	}
	d.report(s.key, s.path+" has no value", "expected "+d.expectation(v.Type()))
	return true
}

// free decodes a mapping with free keys.
func (d *decoder) free(s slot, m freeKeys) {
	if s.node.Kind != yaml.MappingNode {
		d.wrongKind(s, "a mapping")
		return
	}
	m.begin(d.doc.pos(s.node))
	for _, p := range d.pairs(s.node, s.path) {
		if s.keys != nil && !s.keys.MatchString(p.key.Value) {
			d.report(p.key, fmt.Sprintf("%s: %q is no name here", s.path, short(p.key.Value)), expected(s.words))
		}
		value := m.add(String{Value: p.key.Value, Pos: d.doc.pos(p.key)})
		r := s.rules
		r.keys, r.words = nil, ""
		d.value(s.child(p, r), reflect.ValueOf(value).Elem())
	}
}

// list decodes a sequence; where it is one of words or texts, one alone can
// stand in its place.
func (d *decoder) list(s slot, v reflect.Value) {
	if s.node.Kind == yaml.ScalarNode && isScalar(v.Type().Elem()) {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		r := s.rules
		r.min, r.max = "", ""
		d.value(slot{node: s.written, key: s.key, path: s.path, rules: r}, v.Index(0))
		return
	}
	if s.node.Kind != yaml.SequenceNode {
		d.wrongKind(s, "a list")
		return
	}
	n := len(s.node.Content)
	d.count(s, n)
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i, c := range s.node.Content {
		r := s.rules
		r.min, r.max = "", ""
		d.value(slot{node: c, key: c, path: fmt.Sprintf("%s[%d]", s.path, i), rules: r}, v.Index(i))
	}
}

// isScalar reports whether a type, or what it points to, is a [Scalar].
func isScalar(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return reflect.PointerTo(t).Implements(reflect.TypeFor[Scalar]())
}

// wrongKind reports a value of another shape.
func (d *decoder) wrongKind(s slot, want string) {
	what := s.path
	if what == "" {
		what = where("")
	}
	hint := ""
	if want == "a list" && s.node.Kind == yaml.ScalarNode {
		hint = fmt.Sprintf("write [%s]", short(s.node.Value))
	}
	d.reportHere(s, fmt.Sprintf("%s: expected %s, found %s", what, want, kindWords(s.node)), hint)
}

func kindWords(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", short(n.Value))
}

// check calls the value's own check.
func (d *decoder) check(s slot, v reflect.Value) {
	c, ok := v.Addr().Interface().(Checker)
	if !ok {
		return
	}
	c.Check(func(p Problem) {
		p.File = d.doc.file.Name
		if !p.Pos.IsValid() {
			p.Pos, p.Width = d.doc.pos(s.node), d.width(s.node)
		}
		q := d.doc.problem(p.Pos, p.Width, p.Message, p.Hint)
		q.Warning = p.Warning
		d.add(q)
	})
}

// report adds a problem at a node.
func (d *decoder) report(n *yaml.Node, message, hint string) {
	if d.full() {
		d.errors++
		return
	}
	if len(d.used) > 0 {
		if pos := d.doc.pos(n); d.shared[pos] {
			d.errors++
			return
		} else if d.shared == nil {
			d.shared = map[Pos]bool{pos: true}
		} else {
			d.shared[pos] = true
		}
		if hint != "" {
			hint += "; "
		}
		hint += "used at " + d.used[len(d.used)-1].String()
	}
	d.add(d.doc.problem(d.doc.pos(n), d.width(n), message, hint))
}

func (d *decoder) add(p Problem) {
	if !p.Warning {
		d.errors++
	}
	if !d.full() {
		d.problems = append(d.problems, p)
	}
	if len(d.problems) == tooMany-1 {
		d.problems = append(d.problems, d.doc.problem(p.Pos, p.Width, fmt.Sprintf("there are more than %d mistakes, of which only the first are shown", tooMany-1), ""))
	}
}

// full reports whether there are so many problems that no more are kept.
func (d *decoder) full() bool { return len(d.problems) >= tooMany }

// width returns how many runes of its line a node takes.
func (d *decoder) width(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return utf8.RuneCountInString(n.Value) + 1
	}
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return 1
	}
	width := utf8.RuneCountInString(n.Value)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		return width
	}
	start := d.doc.pos(n)
	l := Locator{d.doc.lines}
	if end := l.Find(start, n.Value, width); end.Line == start.Line {
		return end.Col - start.Col + 1
	}
	return width + 2
}

// reportHere adds a problem of a value that cannot be used where it stands,
// rather than where an alias found it.
func (d *decoder) reportHere(s slot, message, hint string) {
	if s.written == nil || s.written.Kind != yaml.AliasNode {
		d.report(s.node, message, hint)
		return
	}
	used := d.used
	d.used = nil
	d.report(s.written, message, hint)
	d.used = used
}

func expected(words string) string {
	if words == "" {
		return ""
	}
	return "expected " + words
}
