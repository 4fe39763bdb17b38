package report

import (
	"io"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Reporter is a view of a run. Close is called after the last event and
// returns the first thing that went wrong in the reporter.
type Reporter interface {
	pipeline.Sink
	io.Closer
}

// Place is where something stands in the pipeline file.
type Place struct {
	// File is as people wrote it, or relative to the repository's root where
	// the CI wants that.
	File string
	Pos  source.Pos
}

// Options are common to the reporters that write text.
type Options struct {
	Out io.Writer
	// Color allows SGR sequences; see [Color].
	Color bool
	// Heartbeat is the longest silence while a stage runs, after which a line
	// says what is waited for; 0 means none. Use 0 when events are replayed.
	Heartbeat time.Duration
	// Verbose shows at every look of a gate what its checks found and asked,
	// and not only where one failed.
	Verbose bool
	// Quiet shows failures and the end alone, and has no heartbeat.
	Quiet bool
	// Run is which run it is, for reports of one that ends before it begins.
	Run pipeline.Info
	// Locate returns where a stage stands in the pipeline file; nil, or a
	// result with the zero Place, where that is not known. For stage "" it
	// returns the file.
	Locate func(stage string) Place
}

func (o Options) locate(stage string) Place {
	if o.Locate == nil || stage == "" {
		return Place{}
	}
	return o.Locate(stage)
}

// file returns the name of the pipeline file, "" where it is not known.
func (o Options) file() string {
	if o.Locate == nil {
		return ""
	}
	return o.Locate("").File
}

// Color decides whether to write SGR sequences. mode is auto, always or
// never. With auto, NO_COLOR turns them off, then FORCE_COLOR and
// CLICOLOR_FORCE turn them on, then a CI that renders them, then a terminal
// that is not dumb.
func Color(mode string, getenv func(string) string, terminal bool) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	if getenv("NO_COLOR") != "" {
		return false
	}
	for _, name := range []string{"FORCE_COLOR", "CLICOLOR_FORCE"} {
		if v := getenv(name); v != "" && v != "0" {
			return true
		}
	}
	for _, name := range []string{"GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE"} {
		if getenv(name) == "true" {
			return true
		}
	}
	return terminal && getenv("TERM") != "dumb"
}
