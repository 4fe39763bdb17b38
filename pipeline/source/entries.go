package source

import "gopkg.in/yaml.v3"

// NodeEntry is a key of a mapping with its value, not yet decoded.
type NodeEntry struct {
	Key   String
	Value Node
}

// Entries returns the keys of a mapping in the order of the file, merge keys
// resolved and each key once; none when the node is no mapping. It reports
// nothing: decoding does.
func (n Node) Entries() []NodeEntry {
	if n.yaml == nil {
		return nil
	}
	m := resolve(n.yaml)
	if m.Kind != yaml.MappingNode {
		return nil
	}
	d := &decoder{doc: n.doc}
	var out []NodeEntry
	for _, p := range d.pairs(m, n.path) {
		value := resolve(p.value)
		out = append(out, NodeEntry{
			Key:   String{Value: p.key.Value, Pos: n.doc.pos(p.key)},
			Value: Node{Pos: n.doc.pos(value), doc: n.doc, yaml: value, path: short(p.key.Value)},
		})
	}
	return out
}

// Items returns the entries of a list; none when the node is no list.
func (n Node) Items() []Node {
	if n.yaml == nil {
		return nil
	}
	list := resolve(n.yaml)
	if list.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]Node, len(list.Content))
	for i, c := range list.Content {
		c = resolve(c)
		out[i] = Node{Pos: n.doc.pos(c), doc: n.doc, yaml: c, path: n.path}
	}
	return out
}

// Text returns the text of a scalar, and false when the node is something
// else or has no value.
func (n Node) Text() (string, bool) {
	if n.yaml == nil {
		return "", false
	}
	s := resolve(n.yaml)
	if s.Kind != yaml.ScalarNode || s.ShortTag() == nullTag {
		return "", false
	}
	return s.Value, true
}
