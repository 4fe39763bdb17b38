package flags

import (
	"math"
	"slices"
)

// flag is a record made ready for answering. It never changes.
type flag struct {
	enabled    bool
	threshold  int // buckets below it are on
	salted     murmur
	users      map[string]struct{} // nil means all
	attributes []requirement
	version    int64
	text       string
}

type requirement struct {
	name string
	any  []Value
}

func compile(r Record) *flag {
	salt := r.Salt
	if salt == "" {
		salt = r.Name
	}
	f := &flag{
		enabled:   r.Enabled,
		threshold: int(math.Round(r.Percentage * (Buckets / 100))),
		salted:    saltHash(salt),
		version:   r.Version,
		text:      r.text,
	}
	if len(r.Users) > 0 {
		f.users = make(map[string]struct{}, len(r.Users))
		for _, u := range r.Users {
			f.users[u] = struct{}{}
		}
	}
	for name, values := range r.Attributes {
		f.attributes = append(f.attributes, requirement{name, slices.Clone(values)})
	}
	return f
}

// on reports whether all that the record says agrees about the user.
func (f *flag) on(c *Context) bool {
	if !f.enabled || !f.reaches(c.key) {
		return false
	}
	if f.users != nil {
		if _, ok := f.users[c.key]; !ok || c.key == "" {
			return false
		}
	}
	for i := range f.attributes {
		v, ok := c.attribute(f.attributes[i].name)
		if !ok || !slices.Contains(f.attributes[i].any, v) {
			return false
		}
	}
	return true
}

func (f *flag) reaches(key string) bool {
	switch {
	case f.threshold >= Buckets:
		return true
	case f.threshold <= 0 || key == "":
		return false
	}
	return bucketOf(f.salted.add(key).sum()) < f.threshold
}

// On reports whether the record, as it stands, is on for a user. It is for
// tools and tests; services ask [Client.Bool].
func (r Record) On(c Context) bool { return compile(r).on(&c) }
