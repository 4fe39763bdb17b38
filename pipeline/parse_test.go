package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// noWork is the task part of the declarations below.
type noWork struct{}

func (noWork) Run(context.Context, *pipeline.Scope) error { return nil }

type testTask struct {
	noWork
	Pos     source.Pos
	Script  source.Script   `yaml:"run" required:"true" short:"true" example:"go test ./..." doc:"What is run."`
	JUnit   source.String   `yaml:"junit" doc:"Files with results."`
	Timeout source.Duration `yaml:"timeout" default:"10m" doc:"The longest time."`
}

type buildTask struct {
	noWork
	Image source.Template               `yaml:"image" required:"true" doc:"Name of the image."`
	Tag   source.Template               `yaml:"tag" default:"${{ run.commit }}" doc:"Its tag."`
	Args  source.Map[source.Template]   `yaml:"args" doc:"Arguments of the build."`
	Deep  source.Map[[]source.Map[arg]] `yaml:"deep" doc:"Nested."`
	Plat  []source.String               `yaml:"platforms" enum:"linux/amd64|linux/arm64" doc:"Platforms."`
	Extra source.Map[source.Map[arg]]   `yaml:"extra" doc:"Nested."`
	Push  source.Bool                   `yaml:"push" default:"true" doc:"Whether it is pushed."`
}

type arg struct {
	Value source.Template `yaml:"value" vars:"key" doc:"Value."`
}

type canaryTask struct {
	noWork
	Deployment source.String   `yaml:"deployment" required:"true" doc:"The Deployment." example:"user-service"`
	Image      source.Template `yaml:"image" required:"true" doc:"By digest."`
	Gate       source.String   `yaml:"gate" doc:"Name of the gate."`
	Steps      []canaryStep    `yaml:"steps" doc:"What is done in order."`
}

type canaryStep struct {
	SetWeight source.Float    `yaml:"setWeight" oneof:"step" min:"0" max:"100" doc:"Share of the canary in percent."`
	Pause     source.Duration `yaml:"pause" oneof:"step" doc:"How long to wait."`
}

func (c *canaryTask) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	gates, _ := pipeline.SectionOf[*source.Map[gateDecl]](p, "gates")
	if gates == nil {
		gates = &source.Map[gateDecl]{}
	}
	if _, ok := gates.Get(c.Gate.Value); !ok && c.Gate.IsSet() {
		report(source.Problem{
			Pos: c.Gate.Pos, Width: len(c.Gate.Value), Message: "canary.gate: there is no gate \"" + c.Gate.Value + "\"",
			Hint: source.Suggest(c.Gate.Value, gates.Keys(), "gates"),
		})
	}
}

type gateDecl struct {
	Checks []check `yaml:"checks" required:"true" min:"1" doc:"What is asked."`
}

type check struct {
	Query source.Template `yaml:"query" required:"true" vars:"selector,window" doc:"PromQL."`
	Max   source.Float    `yaml:"max" doc:"Upper bound."`
}

type pointTask struct {
	noWork
}

func grammar() pipeline.Grammar {
	type prometheus struct {
		URL     source.Template `yaml:"url" required:"true" short:"true" doc:"Where it answers." example:"http://prometheus:9090"`
		Timeout source.Duration `yaml:"timeout" default:"10s" doc:"The longest time of a query."`
	}
	return pipeline.Grammar{
		Sections: []pipeline.Section{
			{Name: "prometheus", Doc: "The Prometheus that gates ask.", New: func() any { return new(prometheus) }},
			{Name: "gates", Doc: "Lists of checks.", New: func() any { return new(source.Map[gateDecl]) }},
		},
		Kinds: []pipeline.Kind{
			{Name: "test", Doc: "Runs tests.", New: func() pipeline.Task { return new(testTask) }},
			{
				Name: "build", Doc: "Builds an image.", New: func() pipeline.Task { return new(buildTask) },
				Outputs: []pipeline.OutputDecl{{Name: "ref", Doc: "The image by digest."}, {Name: "digest", Doc: "Its digest."}},
			},
			{Name: "canary", Doc: "Releases step by step.", New: func() pipeline.Task { return new(canaryTask) }, Changes: true},
			{Name: "commit", Doc: "The point of no return.", New: func() pipeline.Task { return new(pointTask) }},
		},
	}
}

func TestParseErrors(t *testing.T) {
	for _, name := range testdata(t, "testdata/err/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			f := read(t, name)
			p, problems := pipeline.Parse(f, grammar())
			if p != nil || !problems.HasErrors() {
				t.Errorf("got a pipeline and %d problems", len(problems))
			}
			golden.EqualFile(t, strings.TrimSuffix(name, ".yaml")+".out", []byte(problems.Render(f)))
		})
	}
}

func TestParseGood(t *testing.T) {
	for _, name := range testdata(t, "testdata/ok/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			f := read(t, name)
			p, problems := pipeline.Parse(f, grammar())
			if p == nil || len(problems) > 0 {
				t.Fatalf("got problems:\n%s", problems.Render(f))
			}
		})
	}
}

func testdata(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("find %s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func read(t *testing.T, name string) source.File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return source.File{Name: filepath.Base(name), Data: data}
}
