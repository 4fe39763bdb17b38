package imports_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoPatternIsCompiledAtTheStart: regular expressions in variables of a
// package cost every start of the program, though most runs need few. They
// stand in a function that sync.OnceValue calls.
func TestNoPatternIsCompiledAtTheStart(t *testing.T) {
	files := 0
	for _, p := range list(t, ".", "-deps", "./cmd/headgate") {
		if !within(p.ImportPath, module) {
			continue
		}
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files++
			for _, at := range compiledAtTheStart(file) {
				where := set.Position(at)
				t.Errorf("%s:%d: compile the pattern when it is first needed", strings.TrimPrefix(p.ImportPath, module+"/")+"/"+name, where.Line)
			}
		}
	}
	if files < 100 {
		t.Errorf("read only %d files", files)
	}
}

// compiledAtTheStart finds the calls outside of functions.
func compiledAtTheStart(file *ast.File) []token.Pos {
	var found []token.Pos
	for _, d := range file.Decls {
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				return false
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "regexp" && strings.HasPrefix(n.Sel.Name, "MustCompile") {
					found = append(found, n.Pos())
				}
			}
			return true
		})
	}
	return found
}
