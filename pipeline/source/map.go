package source

import (
	"iter"
	"reflect"
)

// Entry is one key of a [Map] with its value.
type Entry[T any] struct {
	Key   String
	Value T
}

// Map is a mapping whose keys are free, in the order of the file.
type Map[T any] struct {
	Entries []Entry[T]
	Pos     Pos
}

// IsSet reports whether the file has the mapping.
func (m Map[T]) IsSet() bool { return m.Pos.IsValid() || len(m.Entries) > 0 }

// Len returns the number of entries.
func (m Map[T]) Len() int { return len(m.Entries) }

// Get returns the value of a key.
func (m Map[T]) Get(key string) (T, bool) {
	for i := range m.Entries {
		if m.Entries[i].Key.Value == key {
			return m.Entries[i].Value, true
		}
	}
	var zero T
	return zero, false
}

// Keys returns the keys in the order of the file.
func (m Map[T]) Keys() []string {
	keys := make([]string, len(m.Entries))
	for i := range m.Entries {
		keys[i] = m.Entries[i].Key.Value
	}
	return keys
}

// All walks the entries in the order of the file.
func (m Map[T]) All() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, e := range m.Entries {
			if !yield(e.Key.Value, e.Value) {
				return
			}
		}
	}
}

// freeKeys is how the decoder and the schema see a [Map].
type freeKeys interface {
	begin(pos Pos)
	// add appends an entry and returns a pointer to its value; the pointer
	// is good until the next call.
	add(key String) any
	element() reflect.Type
}

func (m *Map[T]) begin(pos Pos) { m.Pos = pos }

func (m *Map[T]) add(key String) any {
	m.Entries = append(m.Entries, Entry[T]{Key: key})
	return &m.Entries[len(m.Entries)-1].Value
}

func (m *Map[T]) element() reflect.Type { return reflect.TypeFor[T]() }
