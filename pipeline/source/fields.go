package source

import (
	"reflect"
	"strings"
)

// Field describes one key of a declaration, for reference pages and
// completion.
type Field struct {
	Key string
	// Type says in words what the key takes, such as "a list of text".
	Type     string
	Required bool
	// OneOf names the group of keys of which exactly one must be there, AnyOf
	// that of which at least one must, AtMostOne that of which no more than
	// one can be there; "" for none.
	OneOf, AnyOf, AtMostOne string
	// Short is true when the value alone can stand in the place of the whole
	// mapping.
	Short   bool
	Default string
	// Enum lists the texts that are allowed, nil for any.
	Enum []string
	// Min and Max are the bounds, as they are written; "" for none.
	Min, Max string
	// Vars are the further names that expressions can use.
	Vars    []string
	Doc     string
	Example string
	// Fields are the keys of the mapping, of a list's entries or of a free
	// mapping's values.
	Fields []Field
}

// Fields describes the keys of what can be decoded into v, a pointer to a
// declared value. A default or bound that its own type cannot read is a
// mistake in the program, and panics.
func Fields(v any) []Field {
	return fields(reflect.TypeOf(v), map[reflect.Type]bool{})
}

func fields(t reflect.Type, open map[reflect.Type]bool) []Field {
	for {
		if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
			continue
		}
		if m, ok := reflect.New(t).Interface().(freeKeys); ok {
			t = m.element()
			continue
		}
		break
	}
	_, scalar := reflect.New(t).Interface().(Scalar)
	if scalar || t == reflect.TypeFor[Node]() || t.Kind() != reflect.Struct || open[t] {
		return nil
	}
	open[t] = true
	defer delete(open, t)
	decl := declare(t)
	out := make([]Field, len(decl.fields))
	for i := range decl.fields {
		f := &decl.fields[i]
		f.prove()
		out[i] = Field{
			Key: f.key, Type: typeWords(f.typ), Required: f.required, Short: f.short,
			OneOf: f.oneof, AnyOf: f.anyof, AtMostOne: f.atmost,
			Enum: f.enum, Min: f.min, Max: f.max, Vars: f.vars, Doc: f.doc, Example: f.example,
			Fields: fields(f.typ, open),
		}
		if f.def != nil {
			out[i].Default = *f.def
		}
	}
	return out
}

// prove reads default and bounds, which panics when they are wrong.
func (f *field) prove() {
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v, ok := reflect.New(t).Interface().(Scalar)
	if !ok {
		return
	}
	if f.def != nil {
		if err := v.UnmarshalScalar(*f.def); err != nil {
			panic("source: default of " + f.key + ": " + err.Error())
		}
	}
	if words := outside(v, f.rules); words != "" && f.def != nil {
		panic("source: default of " + f.key + " is not " + words)
	}
}

// typeWords says what a type takes.
func typeWords(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := reflect.New(t).Interface().(type) {
	case *Node:
		return "anything"
	case *Template:
		return "text with expressions"
	case Scalar:
		before, _, _ := strings.Cut(v.Expectation(), " such as ")
		return before
	case freeKeys:
		return "a mapping of names to " + typeWords(v.element())
	}
	if t.Kind() == reflect.Slice {
		inner := typeWords(t.Elem())
		return "a list of " + strings.TrimPrefix(plural(inner), "a ")
	}
	return "a mapping"
}

// plural is good for the words of this package.
func plural(words string) string {
	switch words {
	case "a mapping":
		return "mappings"
	case "text", "text with expressions", "anything", "true or false":
		return words
	}
	if strings.HasPrefix(words, "a list") || strings.HasPrefix(words, "a mapping of") {
		return words
	}
	if noun, ok := strings.CutPrefix(words, "a "); ok {
		return noun + "s"
	}
	return words
}
