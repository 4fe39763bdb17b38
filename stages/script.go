package stages

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// script is what the kinds test and run have in common: commands for a shell.
type script struct {
	Run     source.Script               `yaml:"run" required:"true" short:"true" doc:"The commands, on one line or many. Expressions are refused here; give a value a name under env: and write \"$NAME\"." example:"go test ./..."`
	Shell   source.String               `yaml:"shell" doc:"What runs the commands: bash, sh, pwsh, or a program that takes them after -c. Default: bash -eo pipefail where there is a bash, else sh -e." example:"bash"`
	Dir     source.String               `yaml:"dir" doc:"The folder in which they run. Default: the one that headgate was started in." example:"services/user"`
	Env     source.Map[source.Template] `yaml:"env" keys:"^[A-Za-z_][A-Za-z0-9_]*$" words:"a name of letters, digits and _" doc:"Added to the environment, over the stage's own env." example:"DATABASE_URL: ${{ secrets.database }}"`
	Timeout source.Duration             `yaml:"timeout" min:"1s" doc:"How long they may take; then their process group is ended, and the stage fails. Default: no bound but the stage's." example:"10m"`
}

// The shells that are known by name, with the options that make a script stop
// at its first failing command.
var shells = map[string][]string{
	"bash":       {"bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"},
	"sh":         {"sh", "-e", "-c"},
	"pwsh":       {"pwsh", "-NoProfile", "-NonInteractive", "-Command"},
	"powershell": {"powershell", "-NoProfile", "-NonInteractive", "-Command"},
}

// shellOf returns the program and arguments that the script comes after.
func (c *script) shellOf(commands Commands) ([]string, error) {
	if name := c.Shell.Value; name != "" {
		args, known := shells[name]
		if !known {
			args = append(strings.Fields(name), "-c")
		}
		if _, err := commands.Find(args[0]); err != nil {
			return nil, err
		}
		return args, nil
	}
	if _, err := commands.Find("bash"); err == nil {
		return shells["bash"], nil
	}
	if _, err := commands.Find("sh"); err != nil {
		return nil, fmt.Errorf("find a shell: neither bash nor sh is here: %w", err)
	}
	return shells["sh"], nil
}

// preflight finds what would keep the script from being started.
func (c *script) preflight(parts *Parts) []pipeline.Finding {
	var found []pipeline.Finding
	if _, err := c.shellOf(parts.Commands); err != nil {
		found = append(found, pipeline.Finding{
			Pos: place(c.Shell.Pos, c.Run.Pos), Message: err.Error(),
			Hint: "install it, or name another one with shell:",
		})
	}
	if c.Dir.Value != "" {
		if info, err := os.Stat(c.Dir.Value); err != nil || !info.IsDir() {
			// An earlier stage may still make it.
			found = append(found, pipeline.Finding{
				Pos: c.Dir.Pos, Warning: true,
				Message: fmt.Sprintf("folder %s is not there now", c.Dir.Value),
			})
		}
	}
	return found
}

// place returns the first position that is known.
func place(all ...source.Pos) source.Pos {
	for _, p := range all {
		if p.IsValid() {
			return p
		}
	}
	return source.Pos{}
}

// environ returns what is added to the environment of the commands.
func (c *script) environ(s *pipeline.Scope) ([]string, error) {
	info := s.Info()
	env := []string{
		"HEADGATE_STAGE=" + s.Stage().Name,
		"HEADGATE_RUN_ID=" + info.ID,
		"HEADGATE_COMMIT=" + info.Commit,
	}
	outer, err := s.Environ()
	if err != nil {
		return nil, err
	}
	env = append(env, outer...)
	for name, value := range c.Env.All() {
		text, err := s.Text(value, nil)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", name, err)
		}
		env = append(env, name+"="+text)
	}
	return env, nil
}

// scriptRun is a script ready to run, once or more often.
type scriptRun struct {
	commands Commands
	command  Command
	timeout  time.Duration
}

// ready finds the shell and evaluates the environment.
func (c *script) ready(s *pipeline.Scope, commands Commands) (*scriptRun, error) {
	shell, err := c.shellOf(commands)
	if err != nil {
		return nil, err
	}
	env, err := c.environ(s)
	if err != nil {
		return nil, err
	}
	if !c.Shell.IsSet() {
		s.Progress("running in %s", strings.Join(shell[:len(shell)-1], " "))
	}
	return &scriptRun{
		commands: commands, timeout: c.Timeout.Value,
		command: Command{
			Args: append(shell[:len(shell):len(shell)], c.Run.Value), Dir: c.Dir.Value, Env: env,
			Output: func(line string) { s.Emit(pipeline.Event{Type: pipeline.Output, Message: line}) },
		},
	}, nil
}

// TimeoutError reports a command that took longer than it may.
type TimeoutError struct {
	// After is the time it had.
	After time.Duration
}

// Error names the time.
func (e *TimeoutError) Error() string { return "timed out after " + e.After.String() }

// run runs the commands once.
func (r *scriptRun) run(ctx context.Context) error {
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.timeout, &TimeoutError{r.timeout})
		defer cancel()
	}
	return r.commands.Run(ctx, r.command)
}
