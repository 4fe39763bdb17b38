package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
)

type showOptions struct {
	loadOptions
	worldOptions
	reportOptions
	events string
}

func (a *app) reportCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "report [FILE]",
		Short: "Show a run that has been, from its journal or from JSON lines",
		Long: `Renders the latest run of a pipeline from its journal, or any run from the
JSON lines that --report json=PATH wrote. A journal holds what was done; the
looks of gates and the output of commands are in the JSON lines alone.`,
		Example: "  headgate report --report markdown\n  headgate report --events run.jsonl --report plain",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.show(cmd.Context(), o, args)
		},
	}
	cmd.Flags().StringVar(&o.events, "events", "", "`path` of the JSON lines to read in place of the journal; - is stdin")
	o.loadOptions.register(cmd.Flags())
	o.worldOptions.register(cmd.Flags())
	o.reportOptions.register(cmd.Flags())
	return cmd
}

func (a *app) show(ctx context.Context, o showOptions, args []string) error {
	if o.events == "" {
		if err := o.take(args); err != nil {
			return err
		}
		events, err := a.peek(ctx, o.loadOptions, o.worldOptions)
		if err != nil {
			return err
		}
		return a.replay(o, func(handle func(pipeline.Event)) error {
			for _, e := range events {
				handle(e)
			}
			return nil
		})
	}
	if len(args) > 0 {
		return usagef("", "--events takes the place of %s", args[0])
	}
	in := a.In
	if o.events != "-" {
		f, err := os.Open(o.events)
		if err != nil {
			return usagef("", "read events: %w", err)
		}
		defer f.Close()
		in = f
	}
	return a.replay(o, func(handle func(pipeline.Event)) error {
		if err := report.Read(in, handle); err != nil {
			return &usageError{err: err}
		}
		return nil
	})
}

// replay hands events to the reporters that are asked for.
func (a *app) replay(o showOptions, feed func(handle func(pipeline.Event)) error) error {
	if len(o.reports) == 0 && !o.json {
		o.reports = []string{"plain"}
	}
	reports, err := a.reporters(o.reportOptions, reported{})
	if err != nil {
		return err
	}
	n := 0
	err = feed(func(e pipeline.Event) { n++; reports.Handle(e) })
	a.closeReporters(reports)
	if err == nil && n == 0 {
		return usagef("a run is in the journal from its first change on; what --report json=FILE wrote is shown with --events FILE", "there is no run to report")
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
