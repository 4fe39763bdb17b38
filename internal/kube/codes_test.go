package kube_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/kube"
)

func TestEveryCodeIsListedAndTold(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "health_codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok {
			for _, v := range s.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared = append(declared, text)
			}
		}
		return true
	})
	if diff := cmp.Diff(declared, kube.Codes()); diff != "" {
		t.Errorf("Codes differs from the constants (-declared +listed):\n%s", diff)
	}
	page, err := os.ReadFile("../../docs/how-to/not-ready.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z][^|]*`) \\|").FindAllSubmatch(page, -1) {
		for _, code := range regexp.MustCompile("`([A-Za-z]+)`").FindAllSubmatch(row[1], -1) {
			told = append(told, string(code[1]))
		}
	}
	slices.Sort(told)
	if diff := cmp.Diff(slices.Sorted(slices.Values(kube.Codes())), told); diff != "" {
		t.Errorf("docs/how-to/not-ready.md tells of others (-codes +page):\n%s", diff)
	}
}
