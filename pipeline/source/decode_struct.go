package source

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// mapping decodes a mapping, or its short form, into a struct.
func (d *decoder) mapping(s slot, v reflect.Value) {
	decl := d.doc.declaration(v.Type())
	switch s.node.Kind {
	case yaml.ScalarNode, yaml.SequenceNode:
		f := decl.shortField(s.node.Kind == yaml.SequenceNode)
		if f == nil || s.top && len(d.opt.Extra) > 0 {
			d.noShortForm(s, decl)
			return
		}
		d.setPos(decl, v, d.doc.pos(s.node))
		given := map[string]*yaml.Node{f.key: s.node}
		inner := s
		inner.rules, inner.top = f.rules, false
		d.value(inner, v.FieldByIndex(f.index))
		d.complete(s, decl, v, given, nil)
	case yaml.MappingNode:
		d.setPos(decl, v, d.doc.pos(s.node))
		d.keys(s, decl, v)
	}
}

func (d *decoder) noShortForm(s slot, decl *declaration) {
	what := s.path
	if what == "" {
		what = where("")
	}
	hint := ""
	if names := d.known(s, decl); len(names) > 0 {
		hint = "keys: " + listing(names)
	} else if !s.top {
		hint = "it has no keys: write {}"
	}
	d.reportHere(s, fmt.Sprintf("%s: expected a mapping, found %s", what, kindWords(s.node)), hint)
}

// keys decodes the entries of a mapping.
func (d *decoder) keys(s slot, decl *declaration, v reflect.Value) {
	given := map[string]*yaml.Node{}
	var meant []string
	for _, p := range d.pairs(s.node, s.path) {
		end := func() {}
		if p.merged.IsValid() {
			end = d.using(p.merged)
		}
		meant = append(meant, d.key(s, decl, v, p, given)...)
		end()
	}
	d.complete(s, decl, v, given, meant)
}

// key decodes one entry. When its key is not declared, it returns the one
// that was probably meant.
func (d *decoder) key(s slot, decl *declaration, v reflect.Value, p pair, given map[string]*yaml.Node) []string {
	key := p.key.Value
	if i, ok := decl.byKey[key]; ok {
		given[key] = p.key
		f := &decl.fields[i]
		d.value(s.child(p, f.rules), v.FieldByIndex(f.index))
		return nil
	}
	if s.top {
		if i := slices.IndexFunc(d.opt.Extra, func(e Extra) bool { return e.Key == key }); i >= 0 {
			given[key] = p.key
			d.extra(s.child(p, rules{}), d.opt.Extra[i])
			return nil
		}
		if d.opt.Free != "" && strings.HasPrefix(key, d.opt.Free) {
			return nil
		}
	}
	return []string{d.unknown(s, decl, p)}
}

// extra decodes the value of a key that is known only at run time.
func (d *decoder) extra(s slot, e Extra) {
	before := d.errors
	d.value(s, reflect.ValueOf(e.Into()).Elem())
	if e.Done != nil {
		e.Done(d.errors == before)
	}
}

// unknown reports a key that is not declared and returns the one that was
// probably meant, or "".
func (d *decoder) unknown(s slot, decl *declaration, p pair) string {
	if d.full() {
		d.errors++
		return ""
	}
	names := d.known(s, decl)
	hint := Suggest(p.key.Value, names, "known keys")
	if len(names) == 0 {
		hint = "it has no keys"
	}
	d.report(p.key, fmt.Sprintf("unknown key %q in %s", short(p.key.Value), where(s.path)), hint)
	return Nearest(p.key.Value, names)
}

// known returns the keys that a mapping can have.
func (d *decoder) known(s slot, decl *declaration) []string {
	names := decl.keyNames()
	if s.top {
		for _, e := range d.opt.Extra {
			names = append(names, e.Key)
		}
	}
	return names
}

// complete reports what is missing and sets defaults. given are the keys that
// are there, meant those that unknown ones were taken for: what is missing on
// account of a slip is not reported a second time.
func (d *decoder) complete(s slot, decl *declaration, v reflect.Value, given map[string]*yaml.Node, meant []string) {
	for i := range decl.fields {
		f := &decl.fields[i]
		if given[f.key] != nil {
			continue
		}
		if f.required && !slices.Contains(meant, f.key) {
			d.reportMapping(s, fmt.Sprintf("%s needs the key %q", where(s.path), f.key), f.expected())
		}
		d.applyDefault(s, f, v.FieldByIndex(f.index))
	}
	for _, g := range d.groups(s, decl) {
		d.group(s, g, given, meant)
	}
}

// expected says what a missing key would hold.
func (f *field) expected() string {
	if f.example != "" {
		return fmt.Sprintf("for example %s: %s", f.key, f.example)
	}
	if len(f.enum) > 0 {
		return fmt.Sprintf("%s is one of %s", f.key, listing(f.enum))
	}
	return fmt.Sprintf("%s is %s", f.key, expectation(f.typ))
}

// applyDefault sets a field that the file does not have.
func (d *decoder) applyDefault(s slot, f *field, v reflect.Value) {
	switch {
	case f.def != nil:
		target := v
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			target = v.Elem()
		}
		into, ok := target.Addr().Interface().(Scalar)
		if !ok {
			d.applyDefaults(s, target)
			into = d.shortDefault(target)
		}
		if err := into.UnmarshalScalar(*f.def); err != nil {
			panic(fmt.Sprintf("source: default of %s: %v", f.key, err))
		}
		key := slot{path: f.key, rules: f.rules}
		d.expression(key, into, d.doc.pos(s.node))
	case v.Kind() == reflect.Struct:
		if _, scalar := v.Addr().Interface().(Scalar); scalar {
			return
		}
		if _, free := v.Addr().Interface().(freeKeys); free || v.Type() == reflect.TypeFor[Node]() {
			return
		}
		d.applyDefaults(s, v)
	}
}

// applyDefaults sets the fields of a mapping that the file does not have.
func (d *decoder) applyDefaults(s slot, v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	decl := d.doc.declaration(v.Type())
	for i := range decl.fields {
		f := &decl.fields[i]
		d.applyDefault(s, f, v.FieldByIndex(f.index))
	}
}

// shortDefault returns the field that a default of a mapping sets.
func (d *decoder) shortDefault(v reflect.Value) Scalar {
	if v.Kind() == reflect.Struct {
		if f := d.doc.declaration(v.Type()).shortField(false); f != nil {
			if into, ok := v.FieldByIndex(f.index).Addr().Interface().(Scalar); ok {
				return into
			}
		}
	}
	panic(fmt.Sprintf("source: a default for %s, which is no scalar", v.Type()))
}

// keyGroup is a group of keys of which some must, or must not, be there.
type keyGroup struct {
	name             string
	keys             []string
	needed, onlyOnce bool
}

// groups returns the groups of a mapping, in the order of the declaration.
func (d *decoder) groups(s slot, decl *declaration) []*keyGroup {
	var out []*keyGroup
	add := func(name, key string, needed, onlyOnce bool) {
		if name == "" {
			return
		}
		i := slices.IndexFunc(out, func(g *keyGroup) bool {
			return g.name == name && g.needed == needed && g.onlyOnce == onlyOnce
		})
		if i < 0 {
			i = len(out)
			out = append(out, &keyGroup{name: name, needed: needed, onlyOnce: onlyOnce})
		}
		out[i].keys = append(out[i].keys, key)
	}
	for _, f := range decl.fields {
		add(f.oneof, f.key, true, true)
		add(f.anyof, f.key, true, false)
		add(f.atmost, f.key, false, true)
	}
	if s.top {
		for _, e := range d.opt.Extra {
			add(e.Group, e.Key, true, true)
		}
	}
	return out
}

// group reports a group of which too few or too many keys are there.
func (d *decoder) group(s slot, g *keyGroup, given map[string]*yaml.Node, meant []string) {
	var there []string
	var second *yaml.Node
	for _, k := range g.keys {
		if given[k] != nil {
			there = append(there, k)
			if second == nil || later(given[k], second) {
				second = given[k]
			}
		}
	}
	slip := slices.Contains(meant, "") ||
		slices.ContainsFunc(meant, func(m string) bool { return slices.Contains(g.keys, m) })
	switch {
	case len(there) == 0 && g.needed && !slip && len(g.keys) == 1:
		d.reportMapping(s, fmt.Sprintf("%s needs the key %q", where(s.path), g.keys[0]), "")
	case len(there) == 0 && g.needed && !slip:
		d.reportMapping(s, fmt.Sprintf("%s needs one of the keys %s", where(s.path), listing(g.keys)), "")
	case len(there) > 1 && g.onlyOnce:
		d.report(second, fmt.Sprintf("%s has %s, of which there can be only one", where(s.path), strings.Join(there, " and ")), "")
	}
}

func later(a, b *yaml.Node) bool {
	return a.Line > b.Line || a.Line == b.Line && a.Column > b.Column
}

// reportMapping adds a problem of a mapping as a whole, at the key that it
// belongs to, or at its first key.
func (d *decoder) reportMapping(s slot, message, hint string) {
	at := s.key
	if at.Kind != yaml.ScalarNode && at.Kind != yaml.AliasNode && len(at.Content) > 0 && at.Style&yaml.FlowStyle == 0 {
		at = at.Content[0]
	}
	d.report(at, message, hint)
}

// setPos sets the field Pos of a struct.
func (d *decoder) setPos(decl *declaration, v reflect.Value, pos Pos) {
	if decl.pos != nil {
		v.FieldByIndex(decl.pos).Set(reflect.ValueOf(pos))
	}
}
