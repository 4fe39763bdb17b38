package cli

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
)

type planOptions struct {
	loadOptions
	worldOptions
	from, until             string
	offline, exitCode, json bool
}

func (a *app) planCommand() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Say what a run would do, without doing it",
		Long: `Asks the cluster by a dry run on its server and prints, in their order, every
write with its difference, the largest number of pods, the shortest and the
longest time, each query with the value that it has now, and the permissions
that are needed. What cannot be known yet is named. Nothing is changed.`,
		Example: "  headgate plan\n  headgate plan --offline\n  headgate plan --json > plan.json",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(args); err != nil {
				return err
			}
			return a.plan(cmd.Context(), o)
		},
	}
	o.loadOptions.register(cmd.Flags())
	registerSpan(cmd, &o.from, &o.until)
	cmd.Flags().BoolVar(&o.offline, "offline", false, "say what the file alone tells; no cluster, no network, no secrets")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "end with 10 when there are changes")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the plan as JSON")
	o.worldOptions.register(cmd.Flags())
	return cmd
}

func (a *app) plan(ctx context.Context, o planOptions) error {
	l, err := a.loadFor(o.loadOptions, o.worldOptions)
	if err != nil {
		return err
	}
	if err := knownSpan(l.pipeline, o.from, o.until); err != nil {
		return err
	}
	r, err := a.planner(ctx, l, o)
	if err != nil {
		return err
	}
	defer l.wire.close()
	r.Options = pipeline.Options{From: o.from, Until: o.until}
	stages, findings := r.Plan(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	view := newPlanView(l.pipeline, stages, findings)
	view.Offline = o.offline
	view.Totals.Permissions = append(view.Totals.Permissions, l.wire.journalPermissions(o.worldOptions)...)
	if o.json {
		err = a.printJSON(view)
	} else {
		err = view.write(a.Out)
	}
	if err = errors.Join(err, a.summarize(view)); err != nil {
		return err
	}
	return end(planEnding(view, o))
}

// summarize puts a plan into the job summary of GitHub Actions.
func (a *app) summarize(v planView) error {
	path := a.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" || a.Getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	var text bytes.Buffer
	if err := v.write(&text); err != nil {
		return err
	}
	return report.AppendSummary(path, "Plan of "+v.Pipeline, a.redactor.String(text.String()))
}

// planner is a runner that is only asked what it would do.
func (a *app) planner(ctx context.Context, l *loaded, o planOptions) (*pipeline.Runner, error) {
	if !o.offline {
		return a.runner(ctx, l, o.worldOptions)
	}
	info := a.info(ctx, l, o.worldOptions)
	l.wire.offline()
	for _, st := range l.pipeline.Stages {
		st.Task = unasked(st.Task)
	}
	return &pipeline.Runner{
		Pipeline: l.pipeline, Info: info, Clock: pipeline.RealClock{},
		Values: pipeline.Values{Vars: l.pipeline.VarValues(), Env: a.environment(), Run: info},
	}, nil
}

func planEnding(v planView, o planOptions) pipeline.Ending {
	wrong := slices.ContainsFunc(v.Findings, func(f pipeline.Finding) bool { return !f.Warning || o.strict })
	failed := slices.ContainsFunc(v.Stages, func(s pipeline.StagePlan) bool { return s.Error != "" })
	switch {
	case !o.offline && (wrong || failed):
		return pipeline.FailedUnchanged
	case o.exitCode && v.Totals.Writes > 0:
		return pipeline.Changes
	}
	return pipeline.Delivered
}

// unasked is a task that is not asked in a preflight, for which there is
// nothing to ask offline.
func unasked(t pipeline.Task) pipeline.Task {
	if p, ok := t.(pipeline.Planner); ok {
		return struct {
			pipeline.Task
			pipeline.Planner
		}{t, p}
	}
	return struct{ pipeline.Task }{t}
}
