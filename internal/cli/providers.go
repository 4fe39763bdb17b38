package cli

import (
	"context"
	"errors"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/stages"
)

// maxScriptOutput is how much of the end of a check's output is kept.
const maxScriptOutput = 4 << 10

// scripts runs the scripts of command checks as stages run commands.
type scripts struct{ commands stages.Commands }

var _ gates.Commander = scripts{}

// Exec runs a script by bash where there is one, else by sh.
func (s scripts) Exec(ctx context.Context, c gates.Command) (gates.Exit, error) {
	args := []string{"bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", c.Script}
	if _, err := s.commands.Find("bash"); err != nil {
		args = []string{"sh", "-e", "-c", c.Script}
	}
	var tail []byte
	err := s.commands.Run(ctx, stages.Command{Args: args, Env: c.Env, Output: func(line string) {
		tail = append(append(tail, line...), '\n')
		if len(tail) > maxScriptOutput {
			tail = tail[len(tail)-maxScriptOutput:]
		}
	}})
	var exit *stages.ExitError
	if errors.As(err, &exit) {
		return gates.Exit{Code: exit.Code, Output: string(tail)}, nil
	}
	return gates.Exit{Output: string(tail)}, err
}
