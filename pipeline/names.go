package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// The names that expressions know everywhere.
const (
	nameVars    = "vars"
	nameEnv     = "env"
	nameSecrets = "secrets"
	nameRun     = "run"
	nameStages  = "stages"
)

func rootNames() []string {
	return []string{nameVars, nameEnv, nameSecrets, nameRun, nameStages}
}

// runNames are the names below run.
func runNames() []string { return []string{"id", "commit", "branch", "url", "number"} }

// fields returns what run stands for.
func (i Info) fields() map[string]string {
	return map[string]string{"id": i.ID, "commit": i.Commit, "branch": i.Branch, "url": i.URL, "number": i.Number}
}

// names is what can be named in an expression at one place of a file.
type names struct {
	vars, secrets []string
	// stages are all of the file in order, of which the first before can be
	// used.
	stages []stageName
	before int
	// extra are the further names of the field.
	extra []string
}

// stageName is a stage with its outputs.
type stageName struct {
	name    string
	outputs []string
}

// path checks a path and returns the first mistake in it. Whole is true when
// the path is the whole expression, whose value must be text.
func (n *names) path(parts []part, whole bool) *span {
	root := parts[0]
	if slices.Contains(n.extra, root.name) {
		return n.end(parts, 1)
	}
	depth := 2
	switch root.name {
	case nameVars, nameSecrets, nameRun, nameEnv:
	case nameStages:
		depth = 3
	default:
		return n.unknown(root)
	}
	if len(parts) > 1 {
		if s := n.below(root.name, parts); s != nil {
			return s
		}
	}
	if len(parts) < depth {
		if !whole {
			return nil
		}
		last := parts[len(parts)-1]
		return &span{
			root.offset, last.offset + last.width - root.offset,
			pathText(parts) + " is a group of values, where text is needed", "write " + pathText(parts) + n.continuation(parts),
		}
	}
	return n.end(parts, depth)
}

// continuation shows how a path that is too short could go on.
func (n *names) continuation(parts []part) string {
	switch {
	case parts[0].name == nameRun:
		return ".commit"
	case parts[0].name == nameVars && len(n.vars) > 0:
		return member(n.vars[0])
	case parts[0].name == nameSecrets && len(n.secrets) > 0:
		return member(n.secrets[0])
	case parts[0].name == nameStages && len(parts) == 1:
		return ".NAME.OUTPUT"
	case parts[0].name == nameStages:
		if s := n.stage(parts[1].name); s != nil && len(s.outputs) > 0 {
			return member(s.outputs[0])
		}
	}
	return ".NAME"
}

// end reports names behind a value that is text.
func (n *names) end(parts []part, depth int) *span {
	if len(parts) <= depth {
		return nil
	}
	p := parts[depth]
	return &span{p.offset, p.width, fmt.Sprintf("%s is text, which has no %q in it", pathText(parts[:depth]), p.name), ""}
}

// below checks the names behind the first.
func (n *names) below(root string, parts []part) *span {
	p := parts[1]
	switch root {
	case nameVars:
		return oneOf(p, n.vars, "variable", "variables")
	case nameSecrets:
		return oneOf(p, n.secrets, "secret", "secrets")
	case nameRun:
		if !slices.Contains(runNames(), p.name) {
			return &span{p.offset, p.width, fmt.Sprintf("run has no %q", p.name), source.Suggest(p.name, runNames(), "it has")}
		}
	case nameStages:
		return n.output(parts)
	}
	return nil
}

// oneOf reports a name that is not declared.
func oneOf(p part, known []string, one, many string) *span {
	if slices.Contains(known, p.name) {
		return nil
	}
	return &span{p.offset, p.width, fmt.Sprintf("there is no %s %q", one, p.name), source.Suggest(p.name, known, many)}
}

// output checks stages.<name>.<output>.
func (n *names) output(parts []part) *span {
	p := parts[1]
	at := slices.IndexFunc(n.stages, func(s stageName) bool { return s.name == p.name })
	earlier := make([]string, 0, n.before)
	for _, s := range n.stages[:n.before] {
		earlier = append(earlier, s.name)
	}
	switch {
	case at < 0:
		s := &span{p.offset, p.width, fmt.Sprintf("there is no stage %q", p.name), source.Suggest(p.name, earlier, "stages before this one")}
		if n.before == 0 {
			s.hint = "no stage has run here yet"
		}
		return s
	case at >= n.before:
		return &span{p.offset, p.width, fmt.Sprintf("stage %q has not run here yet", p.name), "only outputs of earlier stages can be used"}
	case len(parts) < 3:
		return nil
	}
	o, outputs := parts[2], n.stages[at].outputs
	if slices.Contains(outputs, o.name) {
		return nil
	}
	s := &span{o.offset, o.width, fmt.Sprintf("stage %q has no output %q", p.name, o.name), source.Suggest(o.name, outputs, "its outputs")}
	if len(outputs) == 0 {
		s.hint = "it has none"
	}
	return s
}

func (n *names) stage(name string) *stageName {
	for i := range n.stages {
		if n.stages[i].name == name {
			return &n.stages[i]
		}
	}
	return nil
}

// unknown reports a first name that is not known, and finds out whether a
// group was left out.
func (n *names) unknown(p part) *span {
	s := &span{p.offset, p.width, fmt.Sprintf("%q is not known here", p.name), ""}
	switch {
	case slices.Contains(n.vars, p.name):
		s.hint = "write " + nameVars + member(p.name)
	case slices.Contains(n.secrets, p.name):
		s.hint = "write " + nameSecrets + member(p.name)
	case n.stage(p.name) != nil:
		s.hint = "write " + nameStages + member(p.name)
	case p.name == "github" || p.name == "steps" || p.name == "needs" || p.name == "inputs":
		s.hint = "this is a name of GitHub's own; here are: " + strings.Join(n.roots(), ", ")
	default:
		s.hint = source.Suggest(p.name, n.roots(), "names")
	}
	return s
}

func (n *names) roots() []string { return append(rootNames(), n.extra...) }

// pathText writes a path as it would be written in a file.
func pathText(parts []part) string {
	var text strings.Builder
	text.WriteString(parts[0].name)
	for _, p := range parts[1:] {
		text.WriteString(member(p.name))
	}
	return text.String()
}

// member writes a name behind a group: with a point, or in brackets where the
// name has other signs in it.
func member(name string) string {
	if nameLength(name) == len(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}
