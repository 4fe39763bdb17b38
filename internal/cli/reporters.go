package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/spf13/pflag"
)

// heartbeat is the longest silence of a log.
const heartbeat = 30 * time.Second

// formats are the kinds of reports: those that are a log, and those that are
// written beside it.
var formats = []string{"plain", live, "github", "gitlab", "json", "markdown", "junit", "dotenv"}

// isLog reports whether people follow a run by reports of this format.
func isLog(format string) bool {
	return slices.Contains([]string{"plain", live, "github", "gitlab"}, format)
}

// reportOptions say who is told about a run.
type reportOptions struct {
	reports              []string
	verbose, quiet, json bool
}

func (o *reportOptions) register(f *pflag.FlagSet) {
	f.StringArrayVar(&o.reports, "report", nil,
		"write a report, as `FORMAT[=PATH]`: plain, live (drawn on a terminal), github, gitlab, json (one event a line), markdown, junit or dotenv; without PATH, or with -, to stdout; can be repeated; default github in GitHub Actions, gitlab in GitLab, live on a terminal, else plain")
	f.BoolVar(&o.json, "json", false, "write one event a line to stdout, as --report json does, and lines for people to stderr")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print failures and the last line alone")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show at every look of a gate what its checks found and asked")
}

// target is one report asked for.
type target struct{ format, path string }

func (t target) stdout() bool { return t.path == "" || t.path == "-" }

// targets are the reports asked for, and the log in the format that is usual
// here where none is asked for.
func (o *reportOptions) targets(usual string) ([]target, error) {
	if o.quiet && o.verbose {
		return nil, usagef("leave out one of them", "--quiet and --verbose say the opposite of each other")
	}
	var all []target
	if o.json {
		all = append(all, target{format: "json"})
	}
	for _, r := range o.reports {
		format, path, named := strings.Cut(r, "=")
		if err := oneOf("report", format, formats...); err != nil {
			return nil, err
		}
		if named && path == "" {
			return nil, usagef("such as --report "+format+"=PATH", "--report %s= names no file", format)
		}
		if format == live && named {
			return nil, usagef("write --report plain="+path, "--report live is drawn on a terminal, and not into a file")
		}
		all = append(all, target{format, path})
	}
	stdout := 0
	for i, t := range all {
		if t.stdout() {
			stdout++
		} else if slices.ContainsFunc(all[:i], func(o target) bool { return filepath.Clean(o.path) == filepath.Clean(t.path) }) {
			return nil, usagef("give each a path of its own", "more than one report goes to %s", t.path)
		}
	}
	if stdout > 1 {
		return nil, usagef("give the others a path, such as --report json=run.jsonl", "more than one report goes to stdout")
	}
	text := slices.ContainsFunc(all, func(t target) bool { return isLog(t.format) })
	switch {
	case text:
	case stdout == 0:
		all = append(all, target{format: usual})
	default: // stdout is a machine's; people read the other stream
		all = append(all, target{format: "plain", path: "stderr"})
	}
	return all, nil
}

// reporters are all views of one run.
type reporters struct {
	sinks   []pipeline.Sink
	closers []io.Closer
}

// reported is what reports are about. The zero value is a run of another
// process.
type reported struct {
	pipeline *pipeline.Pipeline
	run      pipeline.Info
	// live says that events come as they happen.
	live bool
}

// reporters opens what o asks for.
func (a *app) reporters(o reportOptions, of reported) (*reporters, error) {
	usual := first(a.ci().format, "plain")
	switch {
	case o.quiet:
		usual = "plain"
	case of.live && a.drawable():
		usual = live
	}
	targets, err := o.targets(usual)
	if err != nil {
		return nil, err
	}
	all := &reporters{}
	text := a.textOptions(of)
	text.Quiet = o.quiet
	text.Verbose = o.verbose || a.Getenv("RUNNER_DEBUG") == "1" // GitHub's own switch
	for _, t := range targets {
		add := a.addReporter
		if t.format == live {
			add = a.addLive(of)
		}
		if err := add(all, t, text); err != nil {
			return nil, errors.Join(err, all.close())
		}
	}
	if of.live && a.ci().format == "github" && !slices.ContainsFunc(targets, func(t target) bool { return t.format == "github" }) {
		// Whatever the log is like, the step's outputs and summary are set.
		text.Out, text.Heartbeat = io.Discard, 0
		a.add(all, report.NewGitHub(report.GitHubOptions{Options: text, Getenv: a.Getenv}))
	}
	return all, nil
}

func (a *app) textOptions(of reported) report.Options {
	o := report.Options{
		Out: a.Out, Color: report.Color(a.color, a.Getenv, a.Terminal), Run: of.run,
		Locate: func(stage string) report.Place { return a.place(of.pipeline, stage) },
	}
	if of.live {
		o.Heartbeat = heartbeat
	}
	return o
}

// place finds a stage in the file, or the file alone.
func (a *app) place(p *pipeline.Pipeline, stage string) report.Place {
	if p == nil {
		return report.Place{}
	}
	place := report.Place{File: a.fileInRepository(p.File.Name)}
	for _, st := range p.Stages {
		if st.Name == stage {
			place.Pos = st.Pos
		}
	}
	return place
}

func (a *app) addReporter(all *reporters, t target, o report.Options) error {
	switch {
	case t.path == "stderr":
		o.Out, o.Color = a.Err, false
	case !t.stdout():
		f, err := os.Create(t.path)
		if err != nil {
			return usagef("reports are written into folders that exist and that this user may write to", "write report: %w", err)
		}
		all.closers = append(all.closers, f)
		o.Out, o.Color, o.Heartbeat = a.mask(f), false, 0
	}
	var r report.Reporter
	switch t.format {
	case "json":
		r = report.NewJSONLines(o.Out)
	case "github":
		r = report.NewGitHub(report.GitHubOptions{Options: o, Getenv: a.Getenv})
	case "gitlab":
		r = report.NewGitLab(o)
	case "markdown":
		r = report.NewSummary(o)
	case "junit":
		r = report.NewJUnit(o)
	case "dotenv":
		r = report.NewDotenv(o)
	default:
		r = report.NewPlain(o)
	}
	a.add(all, r)
	return nil
}

// Handle tells all of them.
func (r *reporters) Handle(e pipeline.Event) {
	for _, s := range r.sinks {
		s.Handle(e)
	}
}

// close ends them and returns what went wrong in any.
func (r *reporters) close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// add makes a view a part of all.
func (a *app) add(all *reporters, r report.Reporter) {
	all.sinks = append(all.sinks, report.Redacted(r, a.redactor))
	// Reporters are closed before the files that they write to.
	all.closers = slices.Insert(all.closers, 0, io.Closer(r))
}

// closeReporters ends reporters; what went wrong there is told, and changes
// nothing of the run's result.
func (a *app) closeReporters(r *reporters) {
	a.flush()
	err := r.close()
	a.aside.drawn(nil)
	if err != nil {
		a.errorLine("warning", fmt.Sprintf("a report is not complete: %v", err))
	}
}
