package main

import (
	"maps"
	"strings"
	"testing"
)

func TestSymbolsAreAddedUpByModule(t *testing.T) {
	const symbols = `  401000        100 T runtime.mallocgc
  402000         20 T github.com/acme/tool/internal/cli.(*App).Run
  403000          3 t gopkg.in/yaml%2ev3.names
  404000          4 T type:.eq.github.com/acme/tool.Thing
  405000          5 T github.com/acme/tool/v2.(*Thing).Do[go.shape.int]
  406000        999 B github.com/acme/tool.zeros
  407000        999 D github.com/acme/tool.table
                    U malloc
`
	got, err := addUp(strings.NewReader(symbols), []string{"github.com/acme/tool", "github.com/acme/tool/v2", "gopkg.in/yaml.v3", "github.com/acme/too"})
	want := map[string]int64{"Go's runtime and standard library": 100, "github.com/acme/tool": 24, "github.com/acme/tool/v2": 5, "gopkg.in/yaml.v3": 3}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
