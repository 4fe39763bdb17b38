package source

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// The bounds of what aliases and nesting may make of a file.
const (
	maxDepth    = 64
	maxExpanded = 100_000
)

const (
	nullTag  = "!!null"
	mergeTag = "!!merge"
)

// graph walks a document with its aliases.
type graph struct {
	doc      *document
	expanded map[*yaml.Node]int
	depth    map[*yaml.Node]int
	open     map[*yaml.Node]bool
	aliases  bool
	// stop is set when going on would find nothing but the same again.
	stop     bool
	problems Problems
}

// checkGraph refuses aliases that lead in a circle or expand without bound,
// too deep nesting, and tags.
func (doc *document) checkGraph(root *yaml.Node) Problems {
	g := &graph{doc: doc, expanded: map[*yaml.Node]int{}, depth: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
	g.walk(root, 1)
	return g.problems
}

// walk returns how many values n is when aliases are written out, and how
// deep it nests. Both stop growing just above what is allowed.
func (g *graph) walk(n *yaml.Node, level int) (size, depth int) {
	if n.Kind == yaml.AliasNode {
		return g.alias(n, level)
	}
	if g.stop {
		return 1, 1
	}
	g.tag(n)
	if level > maxDepth {
		g.stop = true
		g.report(n, fmt.Sprintf("nested too deep: more than %d levels", maxDepth), "")
		return 1, 1
	}
	size, depth = 1, 1
	if n.Anchor != "" {
		g.open[n] = true
	}
	for _, c := range n.Content {
		s, d := g.walk(c, level+1)
		if size+s > maxExpanded && size <= maxExpanded && g.aliases && !g.stop {
			g.stop = true
			g.report(c, fmt.Sprintf("aliases would make more than %d values of this file", maxExpanded), "write out what is needed")
		}
		size, depth = min(size+s, maxExpanded+1), max(depth, d+1)
	}
	if n.Anchor != "" {
		delete(g.open, n)
		g.expanded[n], g.depth[n] = size, depth
	}
	return size, depth
}

func (g *graph) alias(n *yaml.Node, level int) (size, depth int) {
	g.aliases = true
	if g.open[n.Alias] {
		g.report(n, fmt.Sprintf("alias *%s stands inside what it stands for", short(n.Value)), "")
		return 1, 1
	}
	size, depth = g.expanded[n.Alias], g.depth[n.Alias]
	if level+depth > maxDepth+1 {
		g.report(n, fmt.Sprintf("nested too deep by aliases: more than %d levels", maxDepth), "")
	}
	return size, depth
}

// tag refuses tags that would change what a value is.
func (g *graph) tag(n *yaml.Node) {
	if n.Style&yaml.TaggedStyle == 0 {
		return
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", nullTag, "!!map", "!!seq":
		return
	}
	g.report(n, fmt.Sprintf("tag %s is not supported", short(n.Tag)), "take it out")
}

func (g *graph) report(n *yaml.Node, message, hint string) {
	if len(g.problems) < tooMany {
		g.problems = append(g.problems, g.doc.problem(Pos{n.Line, n.Column}, 1, message, hint))
	}
}

// pos returns the place of the value itself, behind an anchor and a tag.
func (doc *document) pos(n *yaml.Node) Pos {
	p := Pos{n.Line, n.Column}
	if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 || p.Line > len(doc.lines) || p.Line < 1 {
		return p
	}
	c := cursor{lines: doc.lines, line: p.Line - 1, col: p.Col - 1}
	c.load()
	for {
		r, ok := c.peek()
		if !ok || r != '&' && r != '!' {
			break
		}
		for ok && !strings.ContainsRune(" \t\n", r) {
			c.next()
			r, ok = c.peek()
		}
		for ok && strings.ContainsRune(" \t\n", r) {
			c.next()
			r, ok = c.peek()
		}
		if !ok {
			return p
		}
	}
	return c.pos()
}
