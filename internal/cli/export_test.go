package cli

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/headgate-dev/headgate/pipeline"
)

// WritePlan writes a plan as the plan command does.
func WritePlan(to io.Writer, p *pipeline.Pipeline, stages []pipeline.StagePlan, findings []pipeline.Finding) error {
	return newPlanView(p, stages, findings).write(to)
}

// DetectRun says which run an environment belongs to.
func DetectRun(env map[string]string, dir string) pipeline.Info {
	a := &app{Streams: Streams{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}}
	return a.detectRun(context.Background(), dir)
}

// FileInRepository returns the path of a file as annotations need it.
func FileInRepository(env map[string]string, file string) string {
	a := &app{Streams: Streams{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}}
	return a.fileInRepository(file)
}

// EndingOf is the map from errors to exit codes.
func EndingOf(err error) pipeline.Ending { return ending(err) }

// Grammar is all that a pipeline file can say.
func Grammar() pipeline.Grammar { return newWiring().grammar() }

// Understands reads a command line as far as no file is needed for it: the
// command, its flags and the number of its arguments.
func Understands(args []string) error {
	cmd, rest, err := newApp(Streams{}).root().Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// HelpExamples returns those in the help of all commands.
func HelpExamples() []string {
	var all []string
	below := []*cobra.Command{newApp(Streams{}).root()}
	for len(below) > 0 {
		all = append(all, below[0].Example)
		below = slices.Concat(below[1:], below[0].Commands())
	}
	return all
}
