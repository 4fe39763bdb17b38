package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/headgate-dev/headgate/internal/redact"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/spf13/pflag"
)

// defaultFile is the pipeline file where none is named.
const defaultFile = "headgate.yaml"

// loadOptions say which file to read and how.
type loadOptions struct {
	file   string
	vars   []string
	strict bool
	// pipeline, where set, names the journal to work on without a file.
	pipeline string
	// local says that no section has to say where the world is.
	local bool
}

func (o *loadOptions) register(f *pflag.FlagSet) {
	f.StringVarP(&o.file, "file", "f", "", "the pipeline file, as `FILE`; default "+defaultFile)
	f.StringArrayVar(&o.vars, "var", nil, "set a variable of the file, as `NAME=VALUE`; can be repeated")
	f.BoolVar(&o.strict, "strict", false, "take warnings for errors")
}

// take makes a positional argument the file.
func (o *loadOptions) take(args []string) error {
	if o.pipeline != "" && (o.file != "" || len(args) > 0) {
		return usagef("a journal needs the one or the other", "both a file and --pipeline are named")
	}
	if len(args) > 0 {
		if o.file != "" && o.file != args[0] {
			return usagef("name it once", "two files are named: %s and %s", o.file, args[0])
		}
		o.file = args[0]
	}
	if o.file == "" {
		o.file = defaultFile
	}
	return nil
}

// loaded is a pipeline file that was read, with its wiring.
type loaded struct {
	pipeline *pipeline.Pipeline
	// vars are the variables given on the command line.
	vars map[string]string
	wire *wiring
}

// load reads and checks a pipeline file, and prints its warnings. It touches
// nothing else.
func (a *app) load(o loadOptions) (*loaded, error) {
	l, problems, err := a.parse(o)
	if err != nil {
		return nil, err
	}
	a.problems(l.pipeline.File, problems)
	return l, nil
}

// parse is load without printing. A file with mistakes is a [*fileError].
func (a *app) parse(o loadOptions) (*loaded, source.Problems, error) {
	file, err := a.source(o)
	if err != nil {
		return nil, nil, err
	}
	vars, err := parseVars(o.vars)
	if err != nil {
		return nil, nil, err
	}
	w := newWiring()
	p, problems := w.grammar().Parse(file, vars)
	if p != nil && !o.local {
		problems = append(problems, needs(p)...).Sorted()
	}
	if problems.HasErrors() || o.strict && len(problems) > 0 {
		return nil, problems, &fileError{file: file, problems: problems}
	}
	return &loaded{pipeline: p, vars: vars, wire: w}, problems, nil
}

// readFile reads a pipeline file, up to what is too much for one.
func readFile(name string) (source.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) && name == "-" {
		return source.File{}, usagef("name /dev/stdin to read a pipeline file from a pipe", "there is no file -")
	}
	if errors.Is(err, os.ErrNotExist) {
		return source.File{}, usagef("name the pipeline file, or run where "+defaultFile+" is", "there is no file %s", name)
	}
	if err != nil {
		return source.File{}, &usageError{err: fmt.Errorf("read pipeline: %w", err)}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return source.File{}, usagef("name the file in it, such as "+filepath.Join(name, defaultFile), "%s is a folder, where a pipeline file is expected", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, source.MaxSize+1))
	if err != nil {
		return source.File{}, &usageError{err: fmt.Errorf("read pipeline: %w", err)}
	}
	return source.File{Name: name, Data: data}, nil
}

func parseVars(pairs []string) (map[string]string, error) {
	vars := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("write --var NAME=VALUE", "--var %q has no name and value", pair)
		}
		vars[name] = value
	}
	return vars, nil
}

// secrets loads the secrets' values and sees to it that they are masked from
// now on.
func (a *app) secrets(l *loaded) (map[string]string, error) {
	values, err := l.pipeline.LoadSecrets(a.LookupEnv, os.ReadFile)
	for name, v := range values {
		if v != "" && !redact.Maskable(v) {
			a.errorLine("warning", fmt.Sprintf("secret %s is too short to be masked in outputs", name))
		}
		a.redactor.Add(v)
		if a.Getenv("GITHUB_ACTIONS") == "true" {
			if err := report.Masks(a.raw, redact.Lines(v)); err != nil {
				return nil, err
			}
		}
	}
	var missing source.Problems
	if errors.As(err, &missing) {
		return nil, &fileError{file: l.pipeline.File, problems: missing}
	}
	return values, err
}

// problems prints what is wrong in a file, with its lines.
func (a *app) problems(file source.File, problems source.Problems) {
	if len(problems) == 0 {
		return
	}
	_, _ = io.WriteString(a.Err, problems.Render(file))
	if a.Getenv("GITHUB_ACTIONS") == "true" {
		report.Annotate(a.Out, a.fileInRepository(file.Name), problems)
	}
}
