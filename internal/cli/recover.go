package cli

import (
	"context"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
)

type recoverOptions struct {
	loadOptions
	worldOptions
	reportOptions
}

func (o *recoverOptions) register(cmd *cobra.Command) {
	o.loadOptions.register(cmd.Flags())
	o.worldOptions.register(cmd.Flags())
	o.reportOptions.register(cmd.Flags())
}

func (a *app) recoverCommand() *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover [FILE]",
		Short: "Do what an unfinished run needs, and nothing where there is none",
		Long: `Looks for an unfinished run of the pipeline: one that died or was cancelled
before its commit is put back, one that was committed is finished. Where
nothing is unfinished it changes nothing and succeeds. It is meant for a step
that always runs after the one with headgate run.`,
		Example: "  headgate recover deploy/headgate.yaml",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.repair(cmd.Context(), o, args, (*pipeline.Runner).Recover)
		},
	}
	o.register(cmd)
	return cmd
}

// recoverLine is the command that does what a run has left undone, in the world
// that it worked on.
func recoverLine(l *loaded, o worldOptions) string {
	if o.local {
		return "headgate recover --local " + l.pipeline.File.Name
	}
	return "headgate recover " + l.pipeline.File.Name
}

func (a *app) rollbackCommand() *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "rollback [FILE]",
		Short: "Put back an unfinished run, from its journal alone",
		Long: `Puts back everything that an unfinished run of the pipeline changed, the
last-changed thing first. A run that is committed is refused: what was
delivered is undone by delivering the former version.

The file only says where the cluster and Redis are; with --pipeline it is not
needed.`,
		Example: "  headgate rollback deploy/headgate.yaml\n  headgate rollback --pipeline user-service --namespace ecommerce",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.repair(cmd.Context(), o, args, (*pipeline.Runner).Rollback)
		},
	}
	o.register(cmd)
	o.registerPipeline(cmd.Flags())
	return cmd
}

func (a *app) repair(ctx context.Context, o recoverOptions, args []string, do func(*pipeline.Runner, context.Context) pipeline.Result) error {
	if err := o.take(args); err != nil {
		return err
	}
	l, err := a.loadFor(o.loadOptions, o.worldOptions)
	if err != nil {
		return err
	}
	r, err := a.runner(ctx, l, o.worldOptions)
	if err != nil {
		return err
	}
	r.Options.Recover = recoverLine(l, o.worldOptions)
	return a.drive(ctx, driven{runner: r, loaded: l, reports: o.reportOptions, do: do})
}
