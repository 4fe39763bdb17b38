package pipeline_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func TestSchema(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(grammar().Schema()); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "schema.json", b.Bytes())
}

func TestReference(t *testing.T) {
	var pages []string
	for _, p := range grammar().Reference() {
		pages = append(pages, p.Markdown())
	}
	golden.Equal(t, "reference.md", []byte(strings.Join(pages, "\n")))
}

func TestSemanticChecksSeeTheWholeFile(t *testing.T) {
	f := source.File{Name: "f.yaml", Data: []byte(`version: 1
name: x
stages:
  - name: s
    canary: {deployment: d, image: i, gate: so}
gates: {slo: {checks: [{query: up}]}}
`)}
	_, problems := pipeline.Parse(f, grammar())
	want := `f.yaml:5:45: error: canary.gate: there is no gate "so"
   5 |     canary: {deployment: d, image: i, gate: so}
     |                                             ^~
     = did you mean "slo"? gates: slo
`
	if got := problems.Render(f); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// namedOutputs is a task whose outputs the file names.
type namedOutputs struct {
	noWork
	Outputs []source.String `yaml:"outputs"`
}

func (n *namedOutputs) OutputNames() []string {
	var names []string
	for _, o := range n.Outputs {
		names = append(names, o.Value)
	}
	return names
}

func TestOutputsThatTheFileNamesCanBeUsed(t *testing.T) {
	g := grammar()
	g.Kinds = append(g.Kinds, pipeline.Kind{Name: "run", New: func() pipeline.Task { return new(namedOutputs) }})
	f := source.File{Name: "f.yaml", Data: []byte(`version: 1
name: x
stages:
  - name: migrate
    run: {outputs: [revision]}
  - name: s
    build: {image: "${{ stages.migrate.revision }}${{ stages.migrate.revison }}"}
`)}
	_, problems := pipeline.Parse(f, g)
	want := `f.yaml:7:70: build.image: stage "migrate" has no output "revison"`
	if problems.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", problems.Error(), want)
	}
}
