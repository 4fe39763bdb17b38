package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Values are what the names in expressions stand for.
type Values struct {
	Vars    map[string]string
	Env     map[string]string
	Secrets map[string]string
	Run     Info
	// Stages holds the outputs of stages by name.
	Stages map[string]map[string]string
	// Extra holds the further names that a field allows, such as selector.
	Extra map[string]string
}

// maxText bounds what a text with its expressions can become, in bytes.
const maxText = 1 << 20

// Text evaluates the expressions of a text. The error names the expression,
// and no value.
func (p *Pipeline) Text(t source.Template, v Values) (string, error) {
	if !t.HasExpressions() {
		return t.Raw, nil
	}
	segments, ok := p.known().templates[t.Raw]
	if !ok {
		var s *span
		if segments, s = split(t.Raw); s != nil {
			return "", fmt.Errorf("evaluate text: %w", s.err())
		}
	}
	var b strings.Builder
	for _, g := range segments {
		text := g.text
		if g.expr != nil {
			var err error
			if text, err = p.evaluate(g.expr, v); err != nil {
				return "", fmt.Errorf("evaluate ${{%s}}: %w", g.expr.text, err)
			}
		}
		if b.Len()+len(text) > maxText {
			return "", fmt.Errorf("evaluate text: it becomes longer than %d bytes", maxText)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Condition evaluates an expression that is true or false. One that is not
// set is true.
func (p *Pipeline) Condition(e source.Expr, v Values) (bool, error) {
	if !e.IsSet() {
		return true, nil
	}
	expr, ok := p.known().conditions[e.Raw]
	if !ok {
		var s *span
		if expr, s = alone(e.Raw); s != nil {
			return false, fmt.Errorf("evaluate condition: %w", s.err())
		}
	}
	if expr.path != nil {
		return false, fmt.Errorf("evaluate condition %s: it is text, where true or false is needed", expr.text)
	}
	out, err := p.run(expr, v, true)
	if err != nil {
		return false, fmt.Errorf("evaluate condition %s: %w", strings.TrimSpace(expr.text), err)
	}
	result, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("evaluate condition %s: it is neither true nor false", strings.TrimSpace(expr.text))
	}
	return result, nil
}

// known returns the checked expressions of the file.
func (p *Pipeline) known() *programs {
	if p.programs == nil {
		return &programs{}
	}
	return p.programs
}

// evaluate returns the text that an expression stands for.
func (p *Pipeline) evaluate(e *expression, v Values) (string, error) {
	if e.path != nil {
		return v.path(e.path)
	}
	out, err := p.run(e, v, false)
	if err != nil {
		return "", err
	}
	switch x := out.Value().(type) {
	case string:
		return x, nil
	case int64:
		return strconv.FormatInt(x, 10), nil
	case uint64:
		return strconv.FormatUint(x, 10), nil
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(x), nil
	}
	return "", errors.New("the result is no text")
}

// run evaluates an expression by CEL, compiling it if that was not done when
// the file was read.
func (p *Pipeline) run(e *expression, v Values, condition bool) (ref.Val, error) {
	e.once.Do(func() { e.ready, e.err = p.prepare(e, v, condition) })
	if e.err != nil {
		return nil, e.err
	}
	values := map[string]any{
		nameVars: filled(v.Vars), nameEnv: filled(v.Env), nameSecrets: filled(v.Secrets),
		nameRun: v.Run.fields(), nameStages: filled(v.Stages),
	}
	for name, text := range v.Extra {
		values[name] = text
	}
	out, _, err := e.ready.Eval(values)
	if err != nil {
		err = evaluationError(err)
		for _, secret := range v.Secrets {
			if secret != "" && strings.Contains(err.Error(), secret) {
				return nil, errors.New("there is no value for a name that comes from a secret")
			}
		}
		return nil, err
	}
	return out, nil
}

func (p *Pipeline) prepare(e *expression, v Values, condition bool) (cel.Program, error) {
	language := p.known().language
	if e.checked == nil {
		extra := slices.Sorted(maps.Keys(v.Extra))
		var err error
		if language, err = newLanguage(extra); err != nil {
			return nil, err
		}
		n := names{vars: slices.Sorted(maps.Keys(v.Vars)), secrets: slices.Sorted(maps.Keys(v.Secrets)), extra: extra}
		for name, outputs := range v.Stages {
			n.stages = append(n.stages, stageName{name, slices.Sorted(maps.Keys(outputs))})
		}
		n.before = len(n.stages)
		if mistakes := e.compile(language, &n, condition); len(mistakes) > 0 {
			return nil, mistakes[0].err()
		}
	}
	ready, err := language.Program(e.checked, cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("prepare expression: %w", err)
	}
	return ready, nil
}

// filled makes a missing map an empty one.
func filled[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

var noSuchKey = pattern(`no such key: (.*)$`)

// evaluationError says in plain words why an expression has no value. CEL's
// own text can hold values, so it is not passed on.
func evaluationError(err error) error {
	text := err.Error()
	if m := noSuchKey().FindStringSubmatch(text); m != nil {
		return fmt.Errorf("there is no value for %q", m[1])
	}
	switch {
	case strings.Contains(text, "cost limit"):
		return errors.New("it takes too long")
	case strings.Contains(text, "no such attribute"), strings.Contains(text, "undeclared reference"):
		return errors.New("a name in it has no value here")
	case strings.Contains(text, "division by zero"), strings.Contains(text, "modulus by zero"):
		return errors.New("division by zero")
	case strings.Contains(text, "overflow"):
		return errors.New("a number is too large")
	case strings.Contains(text, "index out of"), strings.Contains(text, "out of range"):
		return errors.New("a place beyond the end of a text or list is asked for")
	case strings.Contains(text, "conversion"), strings.Contains(text, "parsing"), strings.Contains(text, "invalid syntax"):
		return errors.New("a text is no number")
	}
	return errors.New("it has no value")
}

// path returns the value of a path.
func (v Values) path(parts []part) (string, error) {
	missing := func(why string) (string, error) {
		return "", fmt.Errorf("%s has no value%s", pathText(parts), why)
	}
	if len(parts) == 1 {
		if text, ok := v.Extra[parts[0].name]; ok {
			return text, nil
		}
		return missing(" here")
	}
	name := parts[1].name
	var group map[string]string
	switch parts[0].name {
	case nameVars:
		group = v.Vars
	case nameEnv:
		group = v.Env
	case nameSecrets:
		group = v.Secrets
	case nameRun:
		group = v.Run.fields()
	case nameStages:
		if len(parts) != 3 {
			return missing("")
		}
		outputs, ran := v.Stages[name]
		if text, ok := outputs[parts[2].name]; ok {
			return text, nil
		}
		if !ran {
			return missing(": the stage was not run")
		}
		return missing(": the stage did not set it")
	}
	if text, ok := group[name]; ok && len(parts) == 2 {
		return text, nil
	}
	if parts[0].name == nameEnv {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return missing("")
}

// VarValues returns the values of all variables for [Values].
func (p *Pipeline) VarValues() map[string]string {
	m := make(map[string]string, p.Vars.Len())
	for k, v := range p.Vars.All() {
		m[k] = v.Value
	}
	return m
}

// Digest returns the SHA-256, in hexadecimal, of the file and the variables
// that were given instead of its own. A run is resumed only by the same.
func (p *Pipeline) Digest(vars map[string]string) string {
	h := sha256.New()
	h.Write(p.File.Data)
	h.Write([]byte{0})
	if len(vars) > 0 {
		b, err := json.Marshal(vars) // keys are sorted
		if err != nil {
			panic("pipeline: a map of strings cannot be marshalled: " + err.Error())
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}
