package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/stages"
)

// httpTimeout bounds a request of an http check, whatever the check says.
const httpTimeout = 30 * time.Second

// sameHost lets a check follow redirects on the host that it asked, and no
// others: what answers elsewhere says nothing about the release.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("more than 5 redirects")
	}
	if req.URL.Host != via[0].URL.Host {
		return fmt.Errorf("redirected to another host, %s", req.URL.Host)
	}
	return nil
}

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
