package source

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// declaration is what a struct type says of a mapping.
type declaration struct {
	fields []field
	byKey  map[string]int
	pos    []int // index of the field Pos, nil for none
}

// field is one key of a declaration.
type field struct {
	key      string
	index    []int
	typ      reflect.Type
	required bool
	short    bool
	oneof    string
	anyof    string
	atmost   string
	def      *string
	rules
	doc     string
	example string
}

// rules bound what a value can be.
type rules struct {
	enum     []string
	min, max string
	pattern  *regexp.Regexp
	words    string
	keys     *regexp.Regexp
	vars     []string
	bare     bool
}

var posType = reflect.TypeFor[Pos]()

// declare reads the tags of a struct type. A wrong tag is a mistake in the
// program, found by the first use of the type.
func declare(t reflect.Type) *declaration {
	d := &declaration{byKey: map[string]int{}}
	d.collect(t, nil)
	return d
}

func (d *declaration) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int{}, index...), i)
		key, tagged := f.Tag.Lookup("yaml")
		switch {
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct:
			d.collect(f.Type, at)
		case f.Name == "Pos" && f.Type == posType && d.pos == nil:
			d.pos = at
		case tagged:
			if _, twice := d.byKey[key]; twice || !f.IsExported() || key == "" {
				panic(fmt.Sprintf("source: field %s of %s: key %q is doubled, empty or not exported", f.Name, t, key))
			}
			d.byKey[key] = len(d.fields)
			d.fields = append(d.fields, newField(t, f, key, at))
		}
	}
}

func newField(t reflect.Type, f reflect.StructField, key string, index []int) field {
	tag := f.Tag
	out := field{
		key: key, index: index, typ: f.Type,
		required: tag.Get("required") == "true", short: tag.Get("short") == "true",
		oneof: tag.Get("oneof"), anyof: tag.Get("anyof"), atmost: tag.Get("atmostone"),
		doc: tag.Get("doc"), example: tag.Get("example"),
		rules: rules{min: tag.Get("min"), max: tag.Get("max"), words: tag.Get("words"), bare: tag.Get("bare") == "true"},
	}
	if v, ok := tag.Lookup("default"); ok {
		out.def = &v
	}
	if v := tag.Get("enum"); v != "" {
		out.enum = strings.Split(v, "|")
	}
	if v := tag.Get("vars"); v != "" {
		out.vars = strings.Split(v, ",")
	}
	out.pattern = form(t, f, "pattern")
	out.keys = form(t, f, "keys")
	return out
}

func form(t reflect.Type, f reflect.StructField, tag string) *regexp.Regexp {
	text := f.Tag.Get(tag)
	if text == "" {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		panic(fmt.Sprintf("source: field %s of %s: %v", f.Name, t, err))
	}
	return re
}

// declaration returns that of a type, from memory if it was read before.
func (doc *document) declaration(t reflect.Type) *declaration {
	if d, ok := doc.types[t]; ok {
		return d
	}
	d := declare(t)
	doc.types[t] = d
	return d
}

// keyNames returns the keys in the order of the declaration.
func (d *declaration) keyNames() []string {
	out := make([]string, len(d.fields))
	for i := range d.fields {
		out[i] = d.fields[i].key
	}
	return out
}

// shortField returns the field that stands for the whole: the one for a list,
// or the one for a scalar.
func (d *declaration) shortField(list bool) *field {
	for i := range d.fields {
		f := &d.fields[i]
		if f.short && list == (f.typ.Kind() == reflect.Slice) {
			return f
		}
	}
	return nil
}
