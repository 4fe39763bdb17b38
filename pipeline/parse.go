package pipeline

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Version is the version of the file's format that this package reads.
const Version = 1

// head is what the core declares at the top of the file.
type head struct {
	Pos          source.Pos
	Schema       source.String             `yaml:"$schema" doc:"For editors: where the JSON Schema of this file is."`
	Version      source.Int                `yaml:"version" required:"true" min:"1" max:"1" example:"1" doc:"Version of the file's format."`
	Name         source.String             `yaml:"name" required:"true" pattern:"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" words:"small letters, digits and hyphens, beginning with a letter, at most 63" example:"user-service" doc:"Name of the pipeline. Lock and journal are kept under it."`
	Vars         source.Map[source.String] `yaml:"vars" doc:"Variables for expressions, each with the value that holds unless another is given for the run. Where a value must be known before the run, such as a duration, only vars can stand in an expression." keys:"^[A-Za-z_][A-Za-z0-9_-]*$" words:"a name of letters, digits, - and _"`
	Secrets      source.Map[Secret]        `yaml:"secrets" doc:"Secret values and where they come from. They are masked in everything that leaves the process." keys:"^[A-Za-z_][A-Za-z0-9_-]*$" words:"a name of letters, digits, - and _"`
	OnUnfinished source.String             `yaml:"onUnfinished" enum:"resume|rollback|stop" default:"resume" doc:"What to do when an earlier run of this pipeline was not finished: go on with it, put everything back first, or stop."`
	Stages       []source.Node             `yaml:"stages" required:"true" min:"1" doc:"What is done, in order."`
}

// stageHead is what every stage takes beside the key of its kind.
type stageHead struct {
	Pos     source.Pos
	Name    source.String               `yaml:"name" required:"true" pattern:"^[^\\s\\x00-\\x1f](.{0,62}[^\\s\\x00-\\x1f])?$" words:"a line of at most 64 characters that neither begins nor ends with a space" example:"unit tests" doc:"Name of the stage, unique in the file."`
	If      source.Expr                 `yaml:"if" example:"run.branch == \"main\"" doc:"The stage is skipped unless this expression is true."`
	Timeout source.Duration             `yaml:"timeout" min:"1ms" doc:"The longest time the stage may take. Default: that of its kind."`
	Env     source.Map[source.Template] `yaml:"env" keys:"^[A-Za-z_][A-Za-z0-9_]*$" words:"a name of letters, digits and _" doc:"Added to the environment of the stage's commands."`
}

const (
	freePrefix = "x-"
	kindGroup  = "kind"
)

// Parse reads a pipeline file and checks it. It returns every mistake at
// once; the pipeline is nil when one of them is more than a warning.
func Parse(f source.File, g Grammar) (*Pipeline, source.Problems) {
	return g.Parse(f, nil)
}

// Parse is like the function [Parse], with values that replace those of
// declared variables.
func (g Grammar) Parse(f source.File, vars map[string]string) (*Pipeline, source.Problems) {
	root, problems := source.Load(f)
	if problems.HasErrors() {
		return nil, problems
	}
	if p, wrong := notPipeline(f, root); wrong {
		return nil, source.Problems{p}
	}
	r := &reading{
		grammar: g,
		p:       &Pipeline{File: f, Version: Version, Sections: map[string]any{}},
		clean:   map[any]bool{}, sections: map[string]source.Pos{},
	}
	r.variables(root, vars)
	r.head(root)
	r.expressions()
	r.semantics()
	problems = append(problems, r.problems...).Sorted()
	if problems.HasErrors() {
		return nil, problems
	}
	return r.p, problems
}

// notPipeline finds files of another version, and Kubernetes manifests, before
// anything else, so that they get one message and not a hundred.
func notPipeline(f source.File, root source.Node) (source.Problem, bool) {
	at := map[string]source.NodeEntry{}
	for _, e := range root.Entries() {
		at[e.Key.Value] = e
	}
	if _, ok := at["stages"]; !ok && at["apiVersion"].Value.IsSet() && at["kind"].Value.IsSet() {
		kind, _ := at["kind"].Value.Text()
		return source.Problem{
			File: f.Name, Pos: at["apiVersion"].Key.Pos, Width: len("apiVersion"),
			Message: fmt.Sprintf("this is a Kubernetes manifest (%s), where a pipeline file is expected", kind),
		}, true
	}
	version := at["version"].Value
	text, ok := version.Text()
	if !ok || text == "1" || strings.Trim(text, "0123456789.") != "" {
		return source.Problem{}, false
	}
	return source.Problem{
		File: f.Name, Pos: version.Pos, Width: utf8.RuneCountInString(text),
		Message: fmt.Sprintf("version %s of the file's format is not supported", text),
		Hint:    fmt.Sprintf("this program reads version %d", Version),
	}, true
}

// reading is a file that is being parsed.
type reading struct {
	grammar  Grammar
	p        *Pipeline
	problems source.Problems
	// uses are the expressions of the file.
	uses []use
	// clean tells which sections and tasks were decoded without mistakes.
	clean map[any]bool
	// sections are the places of the keys at the top.
	sections map[string]source.Pos
}

// use is an expression with the stage that it belongs to, -1 for a section.
type use struct {
	source.Expression
	stage int
}

func (r *reading) report(p source.Problem) { r.reportAt(source.Pos{Line: 1, Col: 1})(p) }

// reportAt returns what reports problems; those without a place of their own
// get the given one.
func (r *reading) reportAt(pos source.Pos) func(source.Problem) {
	return func(p source.Problem) { r.problems = append(r.problems, p.In(r.p.File, pos)) }
}

// collect returns what notes the expressions of a stage, or of a section.
func (r *reading) collect(stage int) func(source.Expression) {
	return func(e source.Expression) { r.uses = append(r.uses, use{e, stage}) }
}

// variables reads the variables first, since other values may hold them. Its
// mistakes are reported when the whole is decoded.
func (r *reading) variables(root source.Node, given map[string]string) {
	at := root.Pos
	for _, e := range root.Entries() {
		r.sections[e.Key.Value] = e.Key.Pos
		if e.Key.Value == "vars" {
			at = e.Key.Pos
			_ = e.Value.Decode(&r.p.Vars, source.Options{})
		}
	}
	for name := range given {
		if _, ok := r.p.Vars.Get(name); !ok {
			r.report(source.Problem{
				Pos: at, Width: len("vars"),
				Message: fmt.Sprintf("a value was given for the variable %q, which is not declared", name),
				Hint:    source.Suggest(name, r.p.Vars.Keys(), "variables"),
			})
		}
	}
	for i := range r.p.Vars.Entries {
		e := &r.p.Vars.Entries[i]
		if v, ok := given[e.Key.Value]; ok {
			e.Value.Value = v
		}
	}
}

// head decodes the top of the file with its sections, and the stages.
func (r *reading) head(root source.Node) {
	var h head
	opt := source.Options{Free: freePrefix, Expand: r.expand, Expression: r.collect(-1)}
	for _, s := range r.grammar.Sections {
		opt.Extra = append(opt.Extra, source.Extra{Key: s.Name, Doc: s.Doc, Into: func() any {
			v := s.New()
			r.p.Sections[s.Name] = v
			return v
		}, Done: func(clean bool) { r.clean[r.p.Sections[s.Name]] = clean }})
	}
	r.problems = append(r.problems, root.Decode(&h, opt)...)
	r.p.Name, r.p.OnUnfinished, r.p.Secrets = h.Name.Value, h.OnUnfinished.Value, h.Secrets
	first := map[string]source.Pos{}
	for i, n := range h.Stages {
		st, name := r.stage(i, n)
		if at, twice := first[st.Name]; twice && st.Name != "" {
			r.report(source.Problem{
				Pos: name.Pos, Width: utf8.RuneCountInString(st.Name),
				Message: fmt.Sprintf("there is another stage %q", st.Name),
				Hint:    "the first one is at " + at.String(),
			})
		} else {
			first[st.Name] = name.Pos
		}
		r.p.Stages = append(r.p.Stages, st)
	}
}

// stage decodes one stage.
func (r *reading) stage(i int, n source.Node) (*Stage, source.String) {
	st := &Stage{}
	var h stageHead
	opt := r.grammar.stageOptions(func(k Kind, t Task) {
		st.Kind, st.Task, st.Changes = k.Name, t, k.Changes
	})
	opt.Expand, opt.Expression = r.expand, r.collect(i)
	for j := range opt.Extra {
		opt.Extra[j].Done = func(clean bool) { r.clean[st.Task] = clean }
	}
	r.problems = append(r.problems, n.Decode(&h, opt)...)
	st.Name, st.Pos, st.If, st.Timeout, st.Env = h.Name.Value, h.Pos, h.If, h.Timeout, h.Env
	return st, h.Name
}

// semantics calls the checks that concern more than one part of the file.
func (r *reading) semantics() {
	for _, s := range r.grammar.Sections {
		v, ok := r.p.Sections[s.Name]
		if c, can := v.(SemanticChecker); ok && can && r.clean[v] {
			c.Check(r.p, nil, r.reportAt(r.sections[s.Name]))
		}
	}
	for _, st := range r.p.Stages {
		if c, ok := st.Task.(SemanticChecker); ok && r.clean[st.Task] {
			c.Check(r.p, st, r.reportAt(st.Pos))
		}
	}
}
