package report_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
)

func TestQuietSaysFailuresAndTheEndAlone(t *testing.T) {
	var all bytes.Buffer
	for _, path := range runs(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
		all.WriteString("-- " + name + " --\n")
		r := report.NewPlain(report.Options{Out: &all, Locate: locate, Quiet: true})
		replay(t, path, r)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	golden.Equal(t, "quiet.txt", all.Bytes())
}

func TestQuietShowsWhatAFailedCommandPrinted(t *testing.T) {
	var out bytes.Buffer
	r := report.NewPlain(report.Options{Out: &out, Quiet: true})
	for _, e := range []pipeline.Event{
		{Type: pipeline.StageStarted, Stage: "unit"},
		{Type: pipeline.Output, Stage: "unit", Message: "all well"},
		{Type: pipeline.StagePassed, Stage: "unit"},
		{Type: pipeline.StageStarted, Stage: "lint"},
		{Type: pipeline.Output, Stage: "lint", Message: "::error::\x1b[31mmain.go:7: unused"},
		{Type: pipeline.StageFailed, Stage: "lint", Reason: "bash ended with exit code 1"},
	} {
		r.Handle(e)
	}
	const want = "            | ::error::main.go:7: unused\n    0:00  lint: failed after 0s: bash ended with exit code 1\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
