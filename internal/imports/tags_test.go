package imports_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheBinaryIsBuiltWithTheTags: every place that builds what people get
// says the tags that keep it small.
func TestTheBinaryIsBuiltWithTheTags(t *testing.T) {
	for _, name := range []string{"Makefile", ".goreleaser.yaml", "Dockerfile", "action/install", "test/bench/main.go"} {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), tags) {
			t.Errorf("%s does not build with the tags %s", name, tags)
		}
	}
}
