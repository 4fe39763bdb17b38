// Package cli is the command line: commands and their flags, what they print,
// and exit codes. It knows which adapters there are, in wire.go alone; all
// else is done by the packages it calls.
package cli

import (
	"context"
	"io"
	"os"

	"github.com/headgate-dev/headgate/internal/redact"
)

// Streams are what a process has of its surroundings.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal says that Out is a terminal.
	Terminal bool
	// Getenv and LookupEnv read the environment, Environ lists it.
	LookupEnv func(string) (string, bool)
	Environ   func() []string
	// Signals delivers SIGINT, SIGTERM and SIGHUP, and nothing else.
	Signals <-chan os.Signal
	// Exit ends the process at once, for the second signal.
	Exit func(code int)
	// Build is what `headgate version` says.
	Build Build
}

// Getenv returns a variable of the environment, "" when it is not set.
func (s Streams) Getenv(name string) string {
	v, _ := s.LookupEnv(name)
	return v
}

// Main runs the command that args name and returns the exit code.
func Main(args []string, s Streams) int {
	a := newApp(s)
	ctx, stop := a.listen(context.Background())
	defer stop()
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := a.report(err)
	a.flush()
	return code
}

// app is what all commands share.
type app struct {
	Streams
	// raw is the process's own output, before secrets are masked. Nothing is
	// written to it but the CI's command that masks them there too.
	raw      io.Writer
	redactor *redact.Redactor
	// masked are the writers behind Out and Err.
	masked       []*redact.Writer
	interruption interruption
	aside        aside
	// color is the value of --color.
	color string
}

func newApp(s Streams) *app {
	a := &app{Streams: s, raw: s.Out, redactor: redact.New()}
	a.aside.to = s.Err
	a.Out, a.Err = a.mask(s.Out), a.mask(&a.aside)
	return a
}

// mask returns a writer to w that secrets do not pass.
func (a *app) mask(w io.Writer) io.Writer {
	m := a.redactor.Writer(w)
	a.masked = append(a.masked, m)
	return m
}

func (a *app) flush() {
	for _, m := range a.masked {
		_ = m.Flush() // nobody is left to be told
	}
}
