package source

import "gopkg.in/yaml.v3"

// Node is a part of a file that is decoded later.
type Node struct {
	Pos  Pos
	doc  *document
	yaml *yaml.Node
	path string
}

// IsSet reports whether the file has it.
func (n Node) IsSet() bool { return n.yaml != nil }

// Options change how a document or a [Node] is decoded. The zero value is
// good for a plain struct.
type Options struct {
	// Free is a prefix of keys that are ignored in the outermost mapping.
	Free string
	// Extra are further keys of the outermost mapping.
	Extra []Extra
	// Path is put before the names of keys in messages.
	Path string
	// Expression is called for every [Template] with expressions and every
	// [Expr] that is decoded.
	Expression func(Expression)
	// Expand, when set, replaces text that holds ${{ }} where the field takes
	// no expressions itself; without it, such text is refused. Path names the
	// key.
	Expand func(path, text string) (string, error)
}

// Extra is a key that is known only when the program runs, such as the kinds
// of a stage.
type Extra struct {
	Key string
	// Group is the oneof group that the key belongs to, "" for none.
	Group string
	Doc   string
	// Into returns what the value is decoded into; it is called only when the
	// key is there.
	Into func() any
	// Done, when set, is told whether the value was decoded without mistakes.
	Done func(clean bool)
}

// Expression is a use of a [Template] or an [Expr].
type Expression struct {
	// Text is the whole text of the field, and Pos its place.
	Text string
	Pos  Pos
	// Vars are the further names that the field allows.
	Vars []string
	// Alone is true for an [Expr], false for a [Template].
	Alone bool
	// Path names the key, for messages.
	Path string
}

// Checker can be implemented by a declared value, or by a pointer to it, that
// has rules of its own. Check is called when the value has been decoded
// without mistakes; the File of a reported problem is filled in.
type Checker interface {
	Check(report func(Problem))
}

// Decode reads a whole file into a pointer to a declared struct or [Map].
func Decode(f File, into any, opt Options) Problems {
	n, problems := Load(f)
	if problems.HasErrors() {
		return problems
	}
	return append(problems, n.Decode(into, opt)...).Sorted()
}
