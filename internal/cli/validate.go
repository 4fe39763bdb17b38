package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/spf13/cobra"
)

type validateOptions struct {
	loadOptions
	json bool
}

func (a *app) validateCommand() *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate [FILE...]",
		Short: "Check pipeline files and report every mistake",
		Long: `Reads pipeline files, ` + defaultFile + ` where none is named, and reports every mistake at
once, each with its place and what was expected. It touches nothing else: no
network, no cluster, no secrets.`,
		Example: "  headgate validate\n  headgate validate --strict deploy/*.yaml",
		RunE: func(_ *cobra.Command, files []string) error {
			return a.validate(o, files)
		},
	}
	o.register(cmd.Flags())
	cmd.Flags().BoolVar(&o.json, "json", false, "print the mistakes as a JSON array")
	return cmd
}

func (a *app) validate(o validateOptions, files []string) error {
	if o.file != "" {
		files = append([]string{o.file}, files...)
	}
	if len(files) == 0 {
		files = []string{defaultFile}
	}
	worst := pipeline.Delivered
	all := source.Problems{}
	for _, name := range files {
		one := o.loadOptions
		one.file = name
		problems, err := a.validateFile(one, o.json)
		all = append(all, problems...)
		var wrong *fileError
		switch {
		case errors.As(err, &wrong):
			worst = pipeline.WrongFile
		case err != nil:
			return err
		}
	}
	if o.json {
		b, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return fmt.Errorf("write problems: %w", err)
		}
		_, _ = fmt.Fprintf(a.Out, "%s\n", b)
	}
	return end(worst)
}

func (a *app) validateFile(o loadOptions, quiet bool) (source.Problems, error) {
	l, problems, err := a.parse(o)
	var wrong *fileError
	switch {
	case err != nil && !errors.As(err, &wrong):
		return nil, err
	case quiet:
		return problems, err
	case err != nil:
		a.problems(wrong.file, problems)
		return problems, err
	}
	a.problems(l.pipeline.File, problems)
	_, _ = fmt.Fprintf(a.Out, "%s: ok, %s\n", o.file, count(len(l.pipeline.Stages), "stage"))
	return problems, nil
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
