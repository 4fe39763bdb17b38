package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline/source"
)

type traffic struct {
	Pos     source.Pos
	Route   source.String   `yaml:"httpRoute" oneof:"router"`
	Service source.String   `yaml:"service" oneof:"router"`
	Drain   source.Duration `yaml:"drain" default:"5s" max:"1m"`
}

type step struct {
	Pos       source.Pos
	SetWeight source.Float    `yaml:"setWeight" oneof:"step" min:"0" max:"100"`
	Pause     source.Duration `yaml:"pause" oneof:"step"`
	Gate      *gate           `yaml:"gate" oneof:"step"`
}

type gate struct {
	Pos   source.Pos
	Use   source.String   `yaml:"use" short:"true" required:"true"`
	Every source.Duration `yaml:"every" default:"30s" min:"1s"`
}

type common struct {
	Timeout source.Duration `yaml:"timeout"`
	Retries source.Int      `yaml:"retries" default:"2" min:"0" max:"10"`
}

type canary struct {
	common
	Pos        source.Pos
	Deployment source.String                   `yaml:"deployment" required:"true" example:"user-service"`
	Image      source.Template                 `yaml:"image" vars:"tag"`
	Shell      source.String                   `yaml:"shell" enum:"sh|bash|none" default:"sh"`
	Script     source.Script                   `yaml:"script"`
	If         source.Expr                     `yaml:"if"`
	Share      source.Percent                  `yaml:"share"`
	Keep       source.Bool                     `yaml:"keep"`
	Traffic    traffic                         `yaml:"traffic"`
	Steps      []step                          `yaml:"steps" min:"1" max:"20"`
	Env        source.Map[source.Template]     `yaml:"env" keys:"^[A-Z_]+$" words:"capital letters and _"`
	Gate       *gate                           `yaml:"gate"`
	Checks     source.Map[[]gate]              `yaml:"checks"`
	Names      []source.String                 `yaml:"names" pattern:"^[a-z]+$" words:"small letters"`
	Anything   source.Node                     `yaml:"anything"`
	Empty      *struct{ Pos source.Pos }       `yaml:"empty"`
	Deep       source.Map[source.Map[gateMap]] `yaml:"deep"`
}

type gateMap struct {
	Gates source.Map[gate] `yaml:"gates"`
}

func (c *canary) Check(report func(source.Problem)) {
	if c.Deployment.Value == "forbidden" {
		report(source.Problem{Pos: c.Deployment.Pos, Width: 9, Message: "this deployment is forbidden", Warning: true})
	}
}

func TestDecodeSetsValuesPlacesAndDefaults(t *testing.T) {
	data := `# comment
deployment: user-service
image: "repo:${{ vars.tag }}"
shell: bash
script: |
  echo 012
share: 0.5%
keep: false
traffic: {httpRoute: shop}
steps:
  - setWeight: 20
  - {pause: 1h30m}
  - gate: slo
env:
  A: yes
  B: 2026-01-01
gate: {use: slo, every: 10s}
names: [on, off]
anything: [1, {a: b}]
empty:
`
	var got canary
	var exprs []source.Expression
	f := source.File{Name: "f.yaml", Data: []byte(data)}
	problems := source.Decode(f, &got, source.Options{Expression: func(e source.Expression) { exprs = append(exprs, e) }})
	if len(problems) > 0 {
		t.Fatalf("got problems:\n%s", problems.Render(f))
	}
	str := func(v string, line, col int) source.String {
		return source.String{Value: v, Pos: source.Pos{Line: line, Col: col}}
	}
	if diff := cmp.Diff(str("user-service", 2, 13), got.Deployment); diff != "" {
		t.Error(diff)
	}
	if got.Image.Raw != "repo:${{ vars.tag }}" || got.Script.Value != "echo 012\n" || got.Share.Value != 0.5 || got.Share.Share() != 0.005 {
		t.Errorf("got image %q, script %q, share %v", got.Image.Raw, got.Script.Value, got.Share)
	}
	if !got.Keep.IsSet() || got.Keep.Value || got.Retries.Value != 2 || got.Retries.Pos.IsValid() || got.Timeout.IsSet() {
		t.Errorf("got keep %v, retries %v, timeout %v", got.Keep, got.Retries, got.Timeout)
	}
	if got.Traffic.Drain.Value != 5*time.Second || got.Traffic.Pos != (source.Pos{Line: 9, Col: 10}) {
		t.Errorf("got traffic %+v", got.Traffic)
	}
	if len(got.Steps) != 3 || got.Steps[0].SetWeight.Value != 20 || got.Steps[1].Pause.Value != 90*time.Minute ||
		got.Steps[2].Gate.Use.Value != "slo" || got.Steps[2].Gate.Every.Value != 30*time.Second {
		t.Errorf("got steps %+v", got.Steps)
	}
	wantEnv := source.Map[source.Template]{Pos: source.Pos{Line: 15, Col: 3}, Entries: []source.Entry[source.Template]{
		{Key: str("A", 15, 3), Value: source.Template{Raw: "yes", Pos: source.Pos{Line: 15, Col: 6}}},
		{Key: str("B", 16, 3), Value: source.Template{Raw: "2026-01-01", Pos: source.Pos{Line: 16, Col: 6}}},
	}}
	if diff := cmp.Diff(wantEnv, got.Env); diff != "" {
		t.Error(diff)
	}
	wantExpr := []source.Expression{{Text: "repo:${{ vars.tag }}", Pos: source.Pos{Line: 3, Col: 8}, Vars: []string{"tag"}, Path: "image"}}
	if diff := cmp.Diff(wantExpr, exprs); diff != "" {
		t.Error(diff)
	}
	if !got.Anything.IsSet() || got.Empty == nil || got.Gate.Every.Value != 10*time.Second {
		t.Errorf("got %+v %+v %+v", got.Anything, got.Empty, got.Gate)
	}
}

// TestProblems decodes every file of testdata/err and compares what is
// rendered with the file beside it.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f := source.File{Name: filepath.Base(name), Data: data}
			var c canary
			problems := source.Decode(f, &c, source.Options{Free: "x-"})
			if len(problems) == 0 {
				t.Fatal("got no problems")
			}
			golden.EqualFile(t, strings.TrimSuffix(name, ".yaml")+".out", []byte(problems.Render(f)))
		})
	}
}

func TestOneWordStandsForAListOfOne(t *testing.T) {
	var c canary
	f := source.File{Name: "f.yaml", Data: []byte("x-n: &n small\ndeployment: d\nnames: *n\n")}
	if problems := source.Decode(f, &c, source.Options{Free: "x-"}); len(problems) > 0 {
		t.Fatalf("got problems:\n%s", problems.Render(f))
	}
	want := []source.String{{Value: "small", Pos: source.Pos{Line: 1, Col: 9}}}
	if diff := cmp.Diff(want, c.Names); diff != "" {
		t.Error(diff)
	}
}
