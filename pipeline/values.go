package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

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

type programs struct{}

// Text evaluates the expressions of a text.
func (p *Pipeline) Text(t source.Template, v Values) (string, error) {
	return "", errors.New("evaluate text: not implemented yet")
}

// Condition evaluates an expression that is true or false. One that is not
// set is true.
func (p *Pipeline) Condition(e source.Expr, v Values) (bool, error) {
	return false, errors.New("evaluate condition: not implemented yet")
}

// LoadSecrets reads the values of all declared secrets. The error names every
// one that is missing, with its place, and never a value.
func (p *Pipeline) LoadSecrets(lookupEnv func(string) (string, bool), readFile func(string) ([]byte, error)) (map[string]string, error) {
	return nil, errors.New("load secrets: not implemented yet")
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

// VarValues returns the values of all variables for [Values].
func (p *Pipeline) VarValues() map[string]string {
	m := make(map[string]string, p.Vars.Len())
	for k, v := range p.Vars.All() {
		m[k] = v.Value
	}
	return m
}
