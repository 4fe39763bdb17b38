package cli_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
)

// Files with mistakes in what the stages and sections declare; those in YAML
// itself and in the core's own keys are in pipeline and pipeline/source.
func TestMistakesAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	t.Chdir("testdata/err")
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			out, errs, code := run(t, nil, "validate", name)
			if out != "" || code != 2 {
				t.Errorf("got exit code %d, stdout %q", code, out)
			}
			golden.EqualFile(t, strings.TrimSuffix(name, ".yaml")+".out", []byte(errs))
		})
	}
}

// declared are the folders whose messages about files must be in goldens.
var declared = []string{"pipeline", "pipeline/source", "gates", "stages", "internal/prom", "internal/local", "internal/cli"}

// Every message about a file is seen by somebody who reviews goldens.
func TestEveryMessageIsInAGolden(t *testing.T) {
	shown := goldens(t)
	for _, folder := range declared {
		for at, pieces := range messages(t, filepath.Join(repository, folder)) {
			for _, p := range pieces {
				if !strings.Contains(shown, p) {
					t.Errorf("%s: the message %q is in no golden file", at, p)
				}
			}
		}
	}
}

// goldens are the texts of all bad files and tables of sentences.
func goldens(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(filepath.ToSlash(path), "/testdata/") {
			return err
		}
		if ext := filepath.Ext(path); ext == ".out" || ext == ".txt" || ext == ".txtar" {
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

var verb = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)

// messages finds the texts that are given to the field Message, cut at the
// verbs of formats, by place.
func messages(t *testing.T, folder string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files in %s, %v", len(files), folder, err)
	}
	found := map[string][]string{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text := messageOf(n); text != nil {
				found[set.Position(n.Pos()).String()] = pieces(text)
			}
			return true
		})
	}
	return found
}

// messageOf is the expression that a node gives to a field Message of a
// problem or a finding.
func messageOf(n ast.Node) ast.Expr {
	switch n := n.(type) {
	case *ast.CompositeLit:
		switch name := n.Type.(type) {
		case *ast.SelectorExpr:
			if name.Sel.Name == "Event" {
				return nil
			}
		case *ast.Ident:
			if name.Name == "Event" {
				return nil
			}
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Message" {
					return kv.Value
				}
			}
		}
	case *ast.AssignStmt:
		if s, ok := n.Lhs[0].(*ast.SelectorExpr); ok && s.Sel.Name == "Message" {
			return n.Rhs[0]
		}
	}
	return nil
}

// pieces are the constant parts of an expression.
func pieces(e ast.Expr) []string {
	var all []string
	ast.Inspect(e, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			return true
		}
		for _, p := range verb.Split(text, -1) {
			if p = strings.Trim(p, " \""); len(p) > 3 {
				all = append(all, p)
			}
		}
		return true
	})
	return all
}
