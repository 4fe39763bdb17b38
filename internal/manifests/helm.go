package manifests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// helmTimeout bounds the rendering of one chart, maxRendered what it may come
// to, in bytes.
const (
	helmTimeout = 2 * time.Minute
	maxRendered = 32 << 20
)

// Helm runs the program helm with arguments and an input, and returns its
// standard output, of which it need not give more than limit bytes.
type Helm func(ctx context.Context, args []string, stdin []byte, limit int) ([]byte, error)

// Source is one place where manifests are.
type Source struct {
	// Path is a file, a folder, a kustomization, or the folder of a Helm chart.
	Path string
	// Release is the name that a chart is rendered for; "" means the one of
	// the [Release].
	Release string
	// Values are files with values for a chart, later ones over earlier ones.
	Values []string
	// Set holds single values for a chart, over those of the files. A key is a
	// path such as image.tag; true and false are booleans, all else is text.
	Set map[string]string
}

// plain reports whether a source says nothing that only a chart has.
func (s Source) plain() bool { return s.Release == "" && len(s.Values) == 0 && len(s.Set) == 0 }

// Release is what manifests are read for.
type Release struct {
	// Name and Namespace are what charts are rendered for.
	Name, Namespace string
	// Helm renders charts; nil means that there is none.
	Helm Helm
	// Note, when set, is told of objects that are left out.
	Note func(line string)
}

// isChart reports whether a folder is a Helm chart.
func isChart(path string) bool {
	_, err := os.Stat(filepath.Join(path, "Chart.yaml"))
	return err == nil
}

// NoHelmError reports a chart on a machine without helm.
type NoHelmError struct {
	// Chart is the chart's folder, Err why helm was not found.
	Chart string
	Err   error
}

// Error names the chart.
func (e *NoHelmError) Error() string {
	return fmt.Sprintf("chart %s: the program helm is needed to render it and was not found", e.Chart)
}

// Unwrap returns why.
func (e *NoHelmError) Unwrap() error { return e.Err }

// Hint says how to do with or without helm.
func (e *NoHelmError) Hint() string {
	return "install helm where headgate runs, or render the chart in a step before it: helm template NAME " + e.Chart + " > rendered.yaml"
}

// ErrNoHelm is what a [Helm] returns where the program is not installed.
var ErrNoHelm = errors.New("there is no helm")

// renderChart has helm render a chart. Hooks, tests among them, are what helm
// itself would run around an installation; they are left out.
func (r Release) renderChart(ctx context.Context, s Source) ([]object, error) {
	if r.Helm == nil {
		return nil, &NoHelmError{Chart: s.Path, Err: ErrNoHelm}
	}
	args := []string{"template", firstOf(s.Release, r.Name), s.Path, "--namespace", r.Namespace}
	for _, file := range s.Values {
		args = append(args, "--values", file)
	}
	var stdin []byte
	if len(s.Set) > 0 {
		// By the standard input they are in no list of processes, and need none
		// of helm's quoting.
		set, err := nest(s.Set)
		if err != nil {
			return nil, fmt.Errorf("chart %s: %w", s.Path, err)
		}
		if stdin, err = json.Marshal(set); err != nil {
			return nil, fmt.Errorf("chart %s: %w", s.Path, err)
		}
		args = append(args, "--values", "-")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, helmTimeout, errors.New("helm took longer than "+helmTimeout.String()))
	defer cancel()
	text, err := r.Helm(ctx, args, stdin, maxRendered+1)
	switch {
	case errors.Is(err, ErrNoHelm):
		return nil, &NoHelmError{Chart: s.Path, Err: err}
	case err != nil:
		return nil, fmt.Errorf("chart %s: %w", s.Path, err)
	case len(text) > maxRendered:
		return nil, fmt.Errorf("chart %s: it comes to more than %d bytes", s.Path, maxRendered)
	}
	all, err := decode(s.Path, text)
	if err != nil {
		return nil, err
	}
	return r.withoutHooks(s.Path, all), nil
}

// withoutHooks leaves out hooks and says so.
func (r Release) withoutHooks(chart string, all []object) []object {
	var left []string
	all = slices.DeleteFunc(all, func(o object) bool {
		hook, ok := o.Metadata.Annotations["helm.sh/hook"]
		if ok {
			left = append(left, fmt.Sprintf("%s %s (%v)", o.Kind, o.Metadata.Name, hook))
		}
		return ok
	})
	if len(left) > 0 && r.Note != nil {
		r.Note(fmt.Sprintf("chart %s: hooks are not run: %s", chart, strings.Join(left, ", ")))
	}
	return all
}

// nest makes a tree of values of keys that are paths.
func nest(set map[string]string) (map[string]any, error) {
	tree := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		at, path := tree, strings.Split(key, ".")
		for i, name := range path {
			if name == "" || strings.ContainsAny(name, "[]{}=,\\") {
				return nil, fmt.Errorf("set: the key %q is no path such as image.tag; give lists and odd names in a file under values", key)
			}
			if i == len(path)-1 {
				if _, taken := at[name]; taken {
					return nil, fmt.Errorf("set: %q and a longer key exclude each other", key)
				}
				at[name] = typed(set[key])
				continue
			}
			below, ok := at[name].(map[string]any)
			if at[name] != nil && !ok {
				return nil, fmt.Errorf("set: %q and a shorter key exclude each other", key)
			}
			if !ok {
				below = map[string]any{}
				at[name] = below
			}
			at = below
		}
	}
	return tree, nil
}

// typed makes the words true and false booleans: a chart that asks "if" takes
// any text for true. Numbers stay text, since a tag may look like one.
func typed(s string) any {
	switch s {
	case "true":
		return true
	case "false":
		return false
	}
	return s
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
