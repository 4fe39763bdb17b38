package source

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Schema returns the JSON Schema (2020-12) of what can be decoded into v, a
// pointer to a declared value. Of the options, Free and Extra count.
func Schema(v any, opt Options) map[string]any {
	s := &schemas{open: map[reflect.Type]bool{}}
	return s.value(reflect.TypeOf(v), rules{}, &opt)
}

// schemas makes schemas of types; open are those that are being made.
type schemas struct{ open map[reflect.Type]bool }

func (s *schemas) value(t reflect.Type, r rules, opt *Options) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v := reflect.New(t).Interface()
	switch v := v.(type) {
	case *Node:
		return map[string]any{}
	case Scalar:
		return scalarSchema(v, r)
	case freeKeys:
		inner := r
		inner.keys, inner.words = nil, ""
		out := map[string]any{"type": "object", "additionalProperties": s.value(v.element(), inner, nil)}
		if r.keys != nil {
			out["propertyNames"] = map[string]any{"pattern": r.keys.String()}
		}
		return out
	}
	switch t.Kind() {
	case reflect.Slice:
		inner := r
		inner.min, inner.max = "", ""
		out := map[string]any{"type": "array", "items": s.value(t.Elem(), inner, nil)}
		if r.min != "" {
			out["minItems"] = json.Number(r.min)
		}
		if r.max != "" {
			out["maxItems"] = json.Number(r.max)
		}
		if isScalar(t.Elem()) {
			return map[string]any{"anyOf": []any{out, out["items"]}}
		}
		return out
	case reflect.Struct:
		return s.object(t, opt)
	}
	panic(fmt.Sprintf("source: %s has no schema", t))
}

// scalarSchema is that of a scalar under its rules.
func scalarSchema(v Scalar, r rules) map[string]any {
	out := maps.Clone(v.Schema())
	restricted := out["type"] != "string" || out["pattern"] != nil
	if _, text := out["type"].([]any); text {
		restricted = false
	}
	if len(r.enum) > 0 {
		out = map[string]any{"enum": anyOf(r.enum)}
		restricted = true
	}
	if r.pattern != nil {
		out["type"], out["pattern"] = "string", r.pattern.String()
		restricted = true
	}
	if out["type"] == "integer" || out["type"] == "number" {
		if r.min != "" {
			out["minimum"] = json.Number(r.min)
		}
		if r.max != "" {
			out["maximum"] = json.Number(r.max)
		}
	}
	alternatives := []any{out}
	if r.bare {
		alternatives = append(alternatives, map[string]any{"type": "number"})
	}
	if _, ok := v.(literal); !ok && restricted {
		alternatives = append(alternatives, map[string]any{"type": "string", "pattern": `\$\{\{`})
	}
	if len(alternatives) == 1 {
		return out
	}
	return map[string]any{"anyOf": alternatives}
}

func anyOf(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

// object is the schema of a struct.
func (s *schemas) object(t reflect.Type, opt *Options) map[string]any {
	if s.open[t] {
		return map[string]any{"type": "object"}
	}
	s.open[t] = true
	defer delete(s.open, t)
	decl := declare(t)
	properties := map[string]any{}
	var required []string
	for i := range decl.fields {
		f := &decl.fields[i]
		properties[f.key] = s.property(f)
		if f.required {
			required = append(required, f.key)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	top := slot{}
	if opt != nil {
		top.top = true
		for _, e := range opt.Extra {
			p := s.value(reflect.TypeOf(e.Into()), rules{}, nil)
			if e.Doc != "" {
				p["description"] = e.Doc
			}
			properties[e.Key] = p
		}
		if opt.Free != "" {
			out["patternProperties"] = map[string]any{"^" + opt.Free: map[string]any{}}
		}
	}
	if len(required) > 0 {
		out["required"] = anyOf(required)
	}
	if all := groupSchemas(decl, opt, top); len(all) > 0 {
		out["allOf"] = all
	}
	return s.shortForms(decl, out, len(properties) == 0)
}

// shortForms adds the forms that can stand in the place of a mapping.
func (s *schemas) shortForms(decl *declaration, object map[string]any, empty bool) map[string]any {
	forms := []any{object}
	for _, list := range []bool{false, true} {
		f := decl.shortField(list)
		if f == nil || !alone(decl, f) {
			continue
		}
		forms = append(forms, s.value(f.typ, f.rules, nil))
	}
	if empty {
		forms = append(forms, map[string]any{"type": "null"})
	}
	if len(forms) == 1 {
		return object
	}
	return map[string]any{"anyOf": forms}
}

// alone reports whether nothing but f is required.
func alone(decl *declaration, f *field) bool {
	return !slices.ContainsFunc(decl.fields, func(o field) bool { return o.required && o.key != f.key })
}

// property is the schema of one key.
func (s *schemas) property(f *field) map[string]any {
	out := maps.Clone(s.value(f.typ, f.rules, nil))
	if doc := f.docWithBounds(); doc != "" {
		out["description"] = doc
	}
	if f.def != nil {
		out["default"] = jsonValue(f.typ, *f.def)
	}
	return out
}

// docWithBounds adds the bounds to the text, where the schema has no word for
// them.
func (f *field) docWithBounds() string {
	doc := f.doc
	if f.min == "" && f.max == "" || f.typ.Kind() == reflect.Slice {
		return doc
	}
	switch {
	case f.max == "":
		doc += " At least " + f.min + "."
	case f.min == "":
		doc += " At most " + f.max + "."
	default:
		doc += " From " + f.min + " to " + f.max + "."
	}
	return strings.TrimSpace(doc)
}

// jsonValue is a default as JSON has it.
func jsonValue(t reflect.Type, text string) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := reflect.New(t).Interface().(type) {
	case *Bool:
		return text == "true"
	case Scalar:
		if k := v.Schema()["type"]; k == "integer" || k == "number" {
			return json.Number(text)
		}
	}
	return text
}

// groupSchemas are the rules of groups of keys.
func groupSchemas(decl *declaration, opt *Options, top slot) []any {
	d := &decoder{}
	if opt != nil {
		d.opt = *opt
	}
	var all []any
	for _, g := range d.groups(top, decl) {
		each := make([]any, len(g.keys))
		for i, k := range g.keys {
			each[i] = map[string]any{"required": []any{k}}
		}
		switch {
		case g.needed && g.onlyOnce:
			all = append(all, map[string]any{"oneOf": each})
		case g.needed:
			all = append(all, map[string]any{"anyOf": each})
		default:
			none := map[string]any{"not": map[string]any{"anyOf": each}}
			all = append(all, map[string]any{"oneOf": append(slices.Clone(each), none)})
		}
	}
	return all
}
