package pipeline

import (
	"fmt"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// maxSecret bounds a secret value, in bytes.
const maxSecret = 64 << 10

// LoadSecrets reads the values of all declared secrets. The error is
// [source.Problems] with every one that is missing, with its place, and
// holds no value. One line end at the end of a file is dropped.
func (p *Pipeline) LoadSecrets(lookupEnv func(string) (string, bool), readFile func(string) ([]byte, error)) (map[string]string, error) {
	out := make(map[string]string, p.Secrets.Len())
	var problems source.Problems
	for name, s := range p.Secrets.All() {
		value, from, message := "", s.Env, ""
		if s.Env.IsSet() {
			v, ok := lookupEnv(s.Env.Value)
			value = v
			if !ok {
				message = fmt.Sprintf("environment variable %s is not set", s.Env.Value)
			}
		} else {
			from = s.File
			data, err := readFile(s.File.Value)
			value = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
			if err != nil {
				message = fmt.Sprintf("read file: %v", err)
			}
		}
		switch {
		case message != "":
		case value == "":
			message = "its value is empty"
		case len(value) > maxSecret:
			message = fmt.Sprintf("its value is longer than %d bytes", maxSecret)
		}
		if message != "" {
			problems = append(problems, source.Problem{
				File: p.File.Name, Pos: from.Pos, Width: max(len([]rune(from.Value)), 1),
				Message: fmt.Sprintf("secret %s: %s", name, message),
			})
			continue
		}
		out[name] = value
	}
	if len(problems) > 0 {
		return nil, problems.Sorted()
	}
	return out, nil
}
