package gates

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Script runs a script at every look; exit code 0 is well. It finds the
// track's name and selector in HEADGATE_TRACK and HEADGATE_SELECTOR.
type Script struct {
	Pos    source.Pos
	Run    source.Script               `yaml:"run" required:"true" short:"true" doc:"The script." example:"./smoke-test.sh"`
	Within source.Duration             `yaml:"within" default:"1m" min:"1ms" doc:"How long it may take; then it is ended, and the check fails."`
	Env    source.Map[source.Template] `yaml:"env" keys:"^[A-Za-z_][A-Za-z0-9_]*$" words:"letters, digits and underscores" doc:"Variables to add to its environment."`
}

func (c *Script) ask(ctx context.Context, l look) answer {
	a := answer{query: firstLine(c.Run.Value), bound: "exit code 0 within " + span(c.Within.Value)}
	if l.providers.Commands == nil {
		return a.with(NotAsked, "commands cannot be run here")
	}
	cmd := Command{Script: c.Run.Value, Env: []string{"HEADGATE_TRACK=" + l.track, "HEADGATE_SELECTOR=" + l.selector}}
	for name, t := range c.Env.All() {
		value, err := l.text(t, nil)
		if err != nil {
			return a.with(BadQuery, fmt.Sprintf("env %s: %s", name, err))
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Within.Value, errTooSlow)
	defer cancel()
	exit, err := l.providers.Commands.Exec(ctx, cmd)
	if err != nil {
		if errors.Is(context.Cause(ctx), errTooSlow) {
			return a.with(NoAnswer, "the script did not end within "+span(c.Within.Value))
		}
		if ctx.Err() != nil {
			return a.with(NotAsked, "not waited for: "+context.Cause(ctx).Error())
		}
		return a.with(NoAnswer, "the script could not be run: "+err.Error())
	}
	a.value, a.good = new(float64(exit.Code)), exit.Code == 0
	reason := fmt.Sprintf("exit code %d", exit.Code)
	if last := lastLine(exit.Output); last != "" && !a.good {
		reason += ": " + last
	}
	return a.with(Value, reason)
}

// firstLine is what is shown of a script.
func firstLine(s string) string {
	line, rest, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more && strings.TrimSpace(rest) != "" {
		line += " …"
	}
	return line
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	line := strings.TrimSpace(s[strings.LastIndex(s, "\n")+1:])
	if r := []rune(line); len(r) > 200 {
		line = string(r[:200]) + "…"
	}
	return line
}
