package importer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// node is a place in a source. It remembers which of its keys were looked at.
type node struct {
	file, path string
	v          any
	keys       map[string]*node
	items      []*node
	used       bool
	// whole is set where nothing below it is left to be looked at.
	whole bool
}

// all marks a node with everything below it as dealt with.
func (n *node) all() { n.used, n.whole = true, true }

// use marks a node as looked at.
func (n *node) use() { n.used = true }

// there reports whether the source has it.
func (n *node) there() bool { return n.v != nil }

// get returns what is at a key, a node that is not there where there is none.
func (n *node) get(key string) *node {
	n.use()
	n.open()
	if k, ok := n.keys[key]; ok {
		k.use()
		return k
	}
	return &node{file: n.file, path: n.at(key)}
}

// open makes nodes of the keys.
func (n *node) open() {
	m, ok := n.v.(map[string]any)
	if !ok || n.keys != nil {
		return
	}
	n.keys = map[string]*node{}
	for k, v := range m {
		n.keys[k] = &node{file: n.file, path: n.at(k), v: v}
	}
}

func (n *node) at(key string) string {
	if n.path == "" {
		return key
	}
	return n.path + "." + key
}

// list returns the items of a list.
func (n *node) list() []*node {
	n.use()
	if l, ok := n.v.([]any); ok && n.items == nil {
		for i, v := range l {
			n.items = append(n.items, &node{file: n.file, path: fmt.Sprintf("%s[%d]", n.path, i), v: v, used: true})
		}
	}
	return n.items
}

// names returns the keys in order, without marking them.
func (n *node) names() []string {
	m, _ := n.v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// unused returns the places that nothing has looked at, each without those
// below it.
func (n *node) unused() []*node {
	var out []*node
	n.open()
	for _, k := range n.names() {
		c := n.keys[k]
		if !c.used {
			out = append(out, c)
			continue
		}
		if !c.whole && (c.keys != nil || c.items != nil) {
			out = append(out, c.unused()...)
		}
	}
	for _, c := range n.items {
		if !c.whole && (c.keys != nil || c.items != nil) {
			out = append(out, c.unused()...)
		}
	}
	return out
}

// text returns a scalar as text, "" where it is none.
func (n *node) text() string {
	n.use()
	switch v := n.v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// number returns a number, also one that is written as text.
func (n *node) number() (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSuffix(n.text(), "%"), 64)
	return f, err == nil && f == f && f < 1e12 && f > -1e12
}

// quote writes a text so that YAML reads it as it is.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
