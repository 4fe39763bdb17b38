package flags

// Context says for whom a flag is asked about. The zero value is a user
// without key and attributes. It is a value; building one with up to four
// attributes allocates nothing.
type Context struct {
	key  string
	n    int
	few  [4]attribute
	more []attribute
}

// User returns the context of the user with this key.
func User(key string) Context { return Context{key: key} }

// With returns the context with an attribute added. Of several values under
// one name the first one counts.
func (c Context) With(name, value string) Context {
	return c.add(attribute{name, Text(value)})
}

// WithNumber is With for a number.
func (c Context) WithNumber(name string, value float64) Context {
	return c.add(attribute{name, Number(value)})
}

// WithTruth is With for a yes or no.
func (c Context) WithTruth(name string, value bool) Context {
	return c.add(attribute{name, Truth(value)})
}

func (c Context) add(a attribute) Context {
	if c.n < len(c.few) {
		c.few[c.n] = a
		c.n++
		return c
	}
	// A full slice expression, so that two contexts made from one never share.
	c.more = append(c.more[:len(c.more):len(c.more)], a)
	return c
}

func (c *Context) attribute(name string) (Value, bool) {
	for i := range c.n {
		if c.few[i].name == name {
			return c.few[i].value, true
		}
	}
	for i := range c.more {
		if c.more[i].name == name {
			return c.more[i].value, true
		}
	}
	return Value{}, false
}

type attribute struct {
	name  string
	value Value
}

// Value is what an attribute holds: a text, a number or a truth. Values of
// different kinds are never equal: the text "1" is not the number 1.
type Value struct {
	kind   kind
	text   string
	number float64
}

type kind uint8

const (
	textKind kind = iota + 1
	numberKind
	truthKind
)

// Text returns the value of a text.
func Text(s string) Value { return Value{kind: textKind, text: s} }

// Number returns the value of a number.
func Number(f float64) Value { return Value{kind: numberKind, number: f} }

// Truth returns the value of a yes or no.
func Truth(b bool) Value {
	v := Value{kind: truthKind}
	if b {
		v.number = 1
	}
	return v
}
