package gates_test

import (
	"strconv"
	"testing"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// section reads the gates of a file.
func section(t *testing.T, yaml string) (*gates.Section, source.Problems) {
	t.Helper()
	var file struct {
		Gates gates.Section `yaml:"gates"`
	}
	f := source.File{Name: "headgate.yaml", Data: []byte(yaml)}
	problems := source.Decode(f, &file, source.Options{Expression: func(source.Expression) {}})
	return &file.Gates, problems
}

// gate reads one gate named slo, given its body in flow style.
func gate(t *testing.T, body string) *gates.Gate {
	t.Helper()
	s, problems := section(t, "gates:\n  slo: "+body+"\n")
	if err := problems.Err(); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	g, ok := s.Gate("slo")
	if !ok {
		t.Fatalf("no gate slo in %s", body)
	}
	return g
}

func TestGateDeclaration(t *testing.T) {
	g := gate(t, `[errorRate: 5%, latency: {max: 1s}, {query: "sum(x{${{ selector }}})", max: 0}]`)
	if got := len(g.Checks); got != 3 {
		t.Fatalf("got %d checks, want 3", got)
	}
	if got := g.Every.Value.String(); got != "30s" {
		t.Errorf("got every %s, want 30s", got)
	}
	if g.Checks[1].Latency.Quantile.Value != 0.95 || !g.Checks[2].Max.IsSet() {
		t.Errorf("got %+v", g.Checks)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
