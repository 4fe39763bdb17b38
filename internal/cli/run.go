package cli

import (
	"context"
	"path/filepath"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/spf13/cobra"
)

type runOptions struct {
	loadOptions
	worldOptions
	localRunOptions
	reportOptions
	from, until  string
	dryRun       bool
	onUnfinished string
	allowOlder   bool
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [FILE]",
		Short: "Run a pipeline to its end, or put back what it changed",
		Long: `Runs the stages of a pipeline file in their order. When one fails, everything
that the run changed is put back. A run that died is resumed by running it
again, with the same file, variables and commit.

At SIGINT or SIGTERM traffic and flags are put back within seconds; the rest
is left to headgate recover. A second signal ends the process at once.`,
		Example: "  headgate run\n  headgate run deploy/headgate.yaml --var image=ghcr.io/acme/shop\n  headgate run --report json=run.jsonl",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(args); err != nil {
				return err
			}
			if err := o.check(o.worldOptions); err != nil {
				return err
			}
			if o.dryRun {
				return a.plan(cmd.Context(), planOptions{loadOptions: o.loadOptions, worldOptions: o.worldOptions, from: o.from, until: o.until})
			}
			return a.run(cmd.Context(), o)
		},
	}
	o.loadOptions.register(cmd.Flags())
	registerSpan(cmd, &o.from, &o.until)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "do what plan does, and change nothing")
	cmd.Flags().StringVar(&o.onUnfinished, "on-unfinished", "", "`policy` for an unfinished earlier run: resume, rollback or stop; default what the file says, else resume")
	cmd.Flags().BoolVar(&o.allowOlder, "allow-older", false, "go on although a run with a higher number came first, to bring back an older version")
	o.worldOptions.register(cmd.Flags())
	o.localRunOptions.register(cmd.Flags(), &o.worldOptions)
	o.reportOptions.register(cmd.Flags())
	return cmd
}

func registerSpan(cmd *cobra.Command, from, until *string) {
	cmd.Flags().StringVar(from, "from", "", "the first `stage` to run; those before it are skipped")
	cmd.Flags().StringVar(until, "until", "", "the last `stage` to run")
}

func (a *app) run(ctx context.Context, o runOptions) error {
	l, err := a.loadFor(o.loadOptions, o.worldOptions)
	if err != nil {
		return err
	}
	if err := knownSpan(l.pipeline, o.from, o.until); err != nil {
		return err
	}
	if o.onUnfinished != "" {
		if err := oneOf("on-unfinished", o.onUnfinished, pipeline.PolicyResume, pipeline.PolicyRollback, pipeline.PolicyStop); err != nil {
			return err
		}
	}
	r, err := a.runner(ctx, l, o.worldOptions)
	if err != nil {
		return err
	}
	r.Options = pipeline.Options{From: o.from, Until: o.until, OnUnfinished: first(o.onUnfinished, l.pipeline.OnUnfinished), AllowOlder: o.allowOlder, Recover: recoverLine(l, o.worldOptions)}
	return a.drive(ctx, driven{runner: r, loaded: l, reports: o.reportOptions, do: (*pipeline.Runner).Run, stay: o.stay})
}

// knownSpan refuses stages that the file does not have.
func knownSpan(p *pipeline.Pipeline, from, until string) error {
	at := func(flag, name string, otherwise int) (int, error) {
		if name == "" {
			return otherwise, nil
		}
		var names []string
		for i, st := range p.Stages {
			if st.Name == name {
				return i, nil
			}
			names = append(names, st.Name)
		}
		return 0, usagef(source.Suggest(name, names, "stages"), "--%s: there is no stage %q", flag, name)
	}
	begin, err := at("from", from, 0)
	if err != nil {
		return err
	}
	last, err := at("until", until, len(p.Stages)-1)
	if err != nil {
		return err
	}
	if begin > last {
		return usagef("stages run in the order of the file", "--from %q comes after --until %q", from, until)
	}
	return nil
}

// runner puts together what runs a pipeline.
func (a *app) runner(ctx context.Context, l *loaded, o worldOptions) (*pipeline.Runner, error) {
	values, err := a.values(l)
	if err != nil {
		return nil, err
	}
	info := a.info(ctx, l, o)
	values.Run = info
	o.version = aboutBinary(a.Build).Version
	l.wire.note = func(line string) { a.errorLine("note", line) }
	if err := l.wire.connect(ctx, l.pipeline, values, o); err != nil {
		l.wire.close()
		return nil, err
	}
	store, err := l.wire.store(l.pipeline, o)
	if err != nil {
		l.wire.close()
		return nil, err
	}
	return &pipeline.Runner{
		Pipeline: l.pipeline, Values: values, Info: info, Store: store,
		Clock: pipeline.RealClock{}, Undoers: l.wire.undoers(),
	}, nil
}

// info says which run of which pipeline this is.
func (a *app) info(ctx context.Context, l *loaded, o worldOptions) pipeline.Info {
	info := a.detectRun(ctx, filepath.Dir(l.pipeline.File.Name))
	info.ID = first(o.runID, info.ID)
	info.Pipeline = l.pipeline.Name
	info.Digest = l.pipeline.Digest(l.vars)
	return info
}

// values are what expressions see before the run.
func (a *app) values(l *loaded) (pipeline.Values, error) {
	secrets, err := a.secrets(l)
	if err != nil {
		return pipeline.Values{}, err
	}
	return pipeline.Values{Vars: l.pipeline.VarValues(), Env: a.environment(), Secrets: secrets}, nil
}

// driven is a runner and what it is to do.
type driven struct {
	runner  *pipeline.Runner
	loaded  *loaded
	reports reportOptions
	do      func(*pipeline.Runner, context.Context) pipeline.Result
	// stay keeps a local world up after the run.
	stay bool
}

// drive lets a runner do its work, told by reporters and ended by signals.
func (a *app) drive(ctx context.Context, d driven) error {
	defer d.loaded.wire.close()
	reports, err := a.reporters(d.reports, reported{pipeline: d.loaded.pipeline, run: d.runner.Info, live: true})
	if err != nil {
		return err
	}
	d.runner.Sinks = []pipeline.Sink{a.interruption.sink(reports)}
	result := d.do(d.runner, ctx)
	a.closeReporters(reports)
	if d.stay {
		a.staying(ctx, d.loaded.wire)
	}
	if result.Ending == pipeline.Delivered {
		return nil
	}
	return ended{ending: result.Ending, reported: true}
}
