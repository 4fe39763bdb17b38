package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/headgate-dev/headgate/examples/ecommerce"
	"github.com/headgate-dev/headgate/examples/ecommerce/profiles"
	"github.com/headgate-dev/headgate/internal/demo"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/cobra"
)

func (a *app) demoCommand() *cobra.Command {
	var write string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a release promoted, one put back and a flag switched off, on this machine",
		Long: `Plays three releases of a small service, as processes of this machine under the
load of its users: a good one, which is promoted, a bad one, which is put back,
and a feature behind a flag, which is switched off again. It takes less than a
minute, needs no cluster and leaves nothing behind. It ends with exit code 0
only if all came about as it is told.

With --write, the files that it runs are written into a folder instead, to go
on from there with headgate run --local.`,
		Example: "  headgate demo\n  headgate demo --write shop && cd shop && headgate plan --local",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if write != "" {
				return a.writeDemo(write)
			}
			return a.demo(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&write, "write", "", "write the files of the demo into this `folder`, and run nothing")
	cmd.AddCommand(a.demoUsersCommand(), a.demoServiceCommand())
	return cmd
}

// demoServiceCommand is the service that the demo releases.
func (a *app) demoServiceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "user-service", Short: "Serve user profiles, as the demo's releases do", Hidden: true, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return profiles.Run(cmd.Context(), a.Getenv, slog.New(slog.NewTextHandler(a.Out, nil)))
		},
	}
}

func (a *app) demoUsersCommand() *cobra.Command {
	var rate float64
	cmd := &cobra.Command{
		Use:   "users [URL]",
		Short: "Send the requests of the demo's users, whenever the service is there",
		Long: `Asks a service on this machine for user profiles at a steady rate, whenever it
is there, until Ctrl-C, and prints what came of it. Without requests, no gate
can tell whether users are well. Without URL, it is http://127.0.0.1:8080, as in
the files of the demo.`,
		Example: "  headgate demo users\n  headgate demo users http://127.0.0.1:3000 --rate 50",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address := "http://127.0.0.1:8080"
			if len(args) > 0 {
				address = strings.TrimRight(args[0], "/")
			}
			if err := demo.Visit(cmd.Context(), address, rate, a.Out); err != nil {
				return usagef("", "%w", err)
			}
			return nil
		},
	}
	cmd.Flags().Float64Var(&rate, "rate", demo.Rate, "requests per second, as `number`")
	return cmd
}

// demoFile is the pipeline in the demo's folder.
const demoFile = defaultFile

// writeDemo writes the demo's files for people to go on with.
func (a *app) writeDemo(dir string) error {
	if err := writeDemoFiles(dir); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Out, `Written to %s. In that folder, in two terminals:

  headgate demo users       # asks the service whenever it is there, until Ctrl-C
  headgate run --local      # v2 beside v1, then in its place; then its new profile format

And then a bad one:

  headgate run --local --until rollout --var release=v3 --var fail_rate=0.2
`, dir)
	return err
}

// writeDemoFiles writes the demo's files into a folder. None is written over.
func writeDemoFiles(dir string) error {
	files := ecommerce.Files()
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		if name == ecommerce.Pipeline {
			to = filepath.Join(dir, demoFile)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return usagef("name a folder that is new or empty", "%s is there already", to)
		}
		if err != nil {
			return fmt.Errorf("write demo: %w", err)
		}
		_, err = f.Write(text)
		return errors.Join(err, f.Close())
	})
}

// demo plays the story in a folder that is removed at the end.
func (a *app) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "headgate-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := writeDemoFiles(dir); err != nil {
		return err
	}
	s := &demoStage{app: a, dir: dir}
	_, l, err := s.prepare(ctx, demo.Act{})
	if err != nil {
		return err
	}
	defer l.wire.close()
	s.wire = l.wire
	err = demo.Play(ctx, demo.Stage{
		Out: a.Out, Width: widthOf(file(a.raw)), Color: report.Color(a.color, a.Getenv, a.Terminal),
		Address: l.wire.world.ProxyURL(), Metrics: l.wire.world.PrometheusURL(), Release: s.release, FlagState: s.flagState,
	})
	if errors.Is(err, pipeline.ErrCancelled) {
		a.errorLine("note", "the demo was stopped; nothing of it is left")
		return ended{ending: pipeline.CancelledInt, reported: true}
	}
	return err
}

// demoStage runs the pipeline for the demo, always on the same world.
type demoStage struct {
	app  *app
	dir  string
	wire *wiring // whose world all runs share
	runs int
}

// prepare puts together what runs the pipeline as an act says.
func (s *demoStage) prepare(ctx context.Context, act demo.Act) (*pipeline.Runner, *loaded, error) {
	world := worldOptions{local: true, journal: "auto", runID: fmt.Sprintf("demo-%d", s.runs)}
	o := loadOptions{file: filepath.Join(s.dir, demoFile)}
	for name, value := range act.Vars {
		o.vars = append(o.vars, name+"="+value)
	}
	l, err := s.app.loadFor(o, world)
	if err != nil {
		return nil, nil, err
	}
	l.wire.sandbox = s.dir
	if s.wire != nil {
		l.wire.world = s.wire.world
	}
	r, err := s.app.runner(ctx, l, world)
	if err != nil {
		return nil, nil, err
	}
	return r, l, nil
}

// release runs the pipeline for an act.
func (s *demoStage) release(ctx context.Context, act demo.Act) (result pipeline.Result, err error) {
	s.runs++
	r, l, err := s.prepare(ctx, act)
	if err != nil {
		return result, err
	}
	r.Options = pipeline.Options{From: act.From, Until: act.Until, Recover: "the demo, at its end"}
	reports := []string{"plain"} // as a CI would have it, this is one job's log
	if s.app.drawable() {
		reports = []string{live}
	}
	err = s.app.drive(ctx, driven{runner: r, loaded: l, reports: reportOptions{reports: reports}, do: func(r *pipeline.Runner, ctx context.Context) pipeline.Result {
		result = r.Run(ctx)
		return result
	}})
	var end ended
	if errors.As(err, &end) {
		err = nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return result, err
}

// flagState says how the story's flag is now.
func (s *demoStage) flagState(ctx context.Context) (string, error) {
	f, err := s.wire.parts.Flags.Get(ctx, demo.Flag)
	switch {
	case err != nil:
		return "", err
	case !f.Exists:
		return "missing", nil
	case !f.Enabled || f.Percentage == 0:
		return "off", nil
	}
	return fmt.Sprintf("on for %g %% of the users", f.Percentage), nil
}
