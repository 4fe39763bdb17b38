package source

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// pair is a key of a mapping with its value.
type pair struct {
	key, value *yaml.Node
	// merged is the place of the << that brought the key in.
	merged Pos
}

// pairs returns the entries of a mapping, merge keys resolved, each key once,
// and reports keys that are doubled or no words.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	var own, merged []pair
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content) && !d.full(); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.report(n.Content[i], "a key of "+where(path)+" must be a word", "")
			continue
		}
		if key.Tag == mergeTag {
			merged = append(merged, d.merge(key, value, path)...)
			continue
		}
		if key.ShortTag() == nullTag {
			d.report(key, "a key of "+where(path)+" is empty", "put the word null in quotes if it is meant as a key")
			continue
		}
		if before, twice := first[key.Value]; twice {
			d.report(key, fmt.Sprintf("key %q is there twice in %s", short(key.Value), where(path)),
				"the first one is at "+d.doc.pos(before).String())
			continue
		}
		first[key.Value] = key
		own = append(own, pair{key: key, value: value})
	}
	for _, p := range merged {
		if _, there := first[p.key.Value]; !there {
			first[p.key.Value] = p.key
			own = append(own, p)
		}
	}
	return own
}

// merge returns the entries that a merge key brings in.
func (d *decoder) merge(key, value *yaml.Node, path string) []pair {
	at := Pos{key.Line, key.Column}
	from := []*yaml.Node{resolve(value)}
	if from[0].Kind == yaml.SequenceNode {
		list := from[0]
		from = nil
		for _, c := range list.Content {
			from = append(from, resolve(c))
		}
	}
	var out []pair
	for _, m := range from {
		if m.Kind != yaml.MappingNode {
			d.report(value, "<< takes a mapping or a list of mappings, such as *anchor", "")
			continue
		}
		for _, p := range d.pairs(m, path) {
			p.merged = at
			out = append(out, p)
		}
	}
	return out
}

// resolve follows an alias. Aliases never lead in a circle: such files are
// refused before.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// where names a mapping in messages.
func where(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
