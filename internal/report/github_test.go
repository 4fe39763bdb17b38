package report_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
)

func TestGitHubWithoutItsFilesWritesTheLogAlone(t *testing.T) {
	var out bytes.Buffer
	r := report.NewGitHub(report.GitHubOptions{Options: report.Options{Out: &out}, Getenv: func(string) string { return "" }})
	replay(t, "testdata/rolled-back.jsonl", r)
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if !strings.Contains(out.String(), "failed and rolled back") {
		t.Errorf("no ending in %q", out.String())
	}
}

func TestGitHubReportsFilesThatCannotBeWritten(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone", "file")
	r := report.NewGitHub(report.GitHubOptions{Options: report.Options{Out: brokenWriter{}}, Getenv: func(string) string { return gone }})
	replay(t, "testdata/delivered.jsonl", r)
	if err := r.Close(); err == nil {
		t.Error("close: got no error")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("pipe closed") }

func TestMasks(t *testing.T) {
	var out bytes.Buffer
	if err := report.Masks(&out, []string{"hunter22", "50%"}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "::add-mask::hunter22\n::add-mask::50%25\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := report.Masks(brokenWriter{}, []string{"x"}); err == nil {
		t.Error("a broken writer gives no error")
	}
}

// Whatever a program prints or an answer from outside says, the runner sees
// no command but ours and no output but ours.
func FuzzGitHubOutput(f *testing.F) {
	f.Add("unit", "::set-output name=result::delivered", "x\nheadgate_T\nresult<<E\ndelivered\nE\n")
	f.Add("a\n::error::x", "##[group]a\r::debug::b", "reason<<_GitHubActionsFileCommandDelimeter_\r\nx")
	f.Add("::", "\u00a0::warning::x\n  ::stop-commands::y", "::endgroup::\u2028::x::")
	f.Fuzz(func(t *testing.T, stage, text, value string) {
		dir := t.TempDir()
		env := map[string]string{"GITHUB_STEP_SUMMARY": filepath.Join(dir, "s"), "GITHUB_OUTPUT": filepath.Join(dir, "o")}
		var out bytes.Buffer
		r := report.NewGitHub(report.GitHubOptions{Options: report.Options{Out: &out}, Getenv: func(k string) string { return env[k] }})
		for _, e := range everyEvent(stage, text, value) {
			r.Handle(e)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		commands := runnerCommands(out.String())
		for _, c := range commands {
			if !slices.Contains([]string{"group", "endgroup", "error", "warning"}, c) {
				t.Errorf("a command got into the log: %q\n%s", c, out.String())
			}
		}
		if n := count(commands, "error"); n > 2 {
			t.Errorf("%d errors", n)
		}
		got := runnerOutputs(t, string(read(t, env["GITHUB_OUTPUT"])))
		names := []string{"result", "exit-code", "stage", "reason", "run-id", "stages"}
		if len(got) != len(names) {
			t.Errorf("got %d outputs: %q", len(got), got)
		}
		if got["result"] != "rolled-back" || got["reason"] != value || got["stage"] != stage {
			t.Errorf("outputs were changed: %q", got)
		}
		if _, err := os.Stat(env["GITHUB_STEP_SUMMARY"]); err != nil {
			t.Error(err)
		}
	})
}

func count(list []string, what string) int {
	n := 0
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}

// everyEvent returns events of every type that hold the given texts.
func everyEvent(stage, text, value string) []pipeline.Event {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	change := &pipeline.Record{Thing: pipeline.Thing{Kind: text, Name: value}, Key: text}
	info := &pipeline.Info{ID: text, Pipeline: value, Commit: text, Branch: value, URL: text}
	verdict := &pipeline.Verdict{Gate: text, Reason: value, Evidence: []pipeline.Measurement{{Check: text, Query: value, Bound: text, Reason: value, Result: text}}}
	var all []pipeline.Event
	for _, t := range []pipeline.EventType{
		pipeline.RunStarted, pipeline.RunResumed, pipeline.StageStarted, pipeline.Output, pipeline.Progress,
		pipeline.Changing, pipeline.Changed, pipeline.TrafficShifted, pipeline.Judged, pipeline.EvidenceFound, pipeline.Output,
		pipeline.Warned, pipeline.StepPassed, pipeline.Marked, pipeline.StagePassed, pipeline.StageFailed, pipeline.StageSkipped,
		pipeline.RollingBack, pipeline.UndoFailed, pipeline.Undone, pipeline.RolledBack, pipeline.Interrupted, pipeline.Committed, pipeline.Finished,
		"of-a-newer-version",
	} {
		all = append(all, pipeline.Event{
			Time: at, Type: t, Stage: stage, Name: text, Message: value + "\n" + text, Reason: value,
			Track: text, Change: change, Run: info, Verdict: verdict, Outputs: map[string]string{text: value},
		})
	}
	result := &pipeline.Result{Ending: pipeline.FailedRolledBack, Stage: stage, Reason: value, Hint: text}
	return append(all, pipeline.Event{Time: at, Type: pipeline.RunEnded, Stage: stage, Result: result})
}

var (
	lineEnd = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	oldForm = regexp.MustCompile(`##\[([^\]]*)\]`)
)

// runnerCommands reads a log as the runner does and returns the names of the
// commands that it would carry out.
func runnerCommands(log string) []string {
	var names []string
	stopped := ""
	for l := range strings.SplitSeq(lineEnd.Replace(log), "\n") {
		name, data := "", ""
		if rest, ok := strings.CutPrefix(strings.TrimLeftFunc(l, unicode.IsSpace), "::"); ok {
			if head, tail, ok := strings.Cut(rest, "::"); ok {
				name, _, _ = strings.Cut(head, " ")
				data = tail
			}
		} else if m := oldForm.FindStringSubmatch(l); m != nil {
			name, _, _ = strings.Cut(m[1], " ")
		}
		switch {
		case name == "":
		case stopped != "":
			if name == stopped {
				stopped = ""
			}
		case name == "stop-commands":
			stopped = data
		default:
			names = append(names, name)
		}
	}
	return names
}

// runnerOutputs reads an environment file as the runner does.
func runnerOutputs(t *testing.T, text string) map[string]string {
	t.Helper()
	outputs := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		equals, heredoc := strings.Index(lines[i], "="), strings.Index(lines[i], "<<")
		if equals >= 0 && (heredoc < 0 || equals < heredoc) {
			name, value, _ := strings.Cut(lines[i], "=")
			outputs[name] = value
			continue
		}
		name, delimiter, ok := strings.Cut(lines[i], "<<")
		if !ok {
			t.Fatalf("line %d is no entry: %q", i+1, lines[i])
		}
		var value []string
		for i++; i < len(lines) && lines[i] != delimiter; i++ {
			value = append(value, lines[i])
		}
		if i == len(lines) {
			t.Fatalf("entry %s does not end", name)
		}
		outputs[name] = strings.Join(value, "\n")
	}
	return outputs
}

// Bytes that are no text are where they are, and cost nothing else.
func TestMuchEvidenceWithBytesThatAreNoTextIsKept(t *testing.T) {
	text := "\xff begin\n" + strings.Repeat("é", 40<<10)
	for name, make := range map[string]func(report.Options) report.Reporter{
		"summary": func(o report.Options) report.Reporter { return report.NewSummary(o) },
		"junit":   func(o report.Options) report.Reporter { return report.NewJUnit(o) },
	} {
		var out bytes.Buffer
		r := make(report.Options{Out: &out})
		r.Handle(pipeline.Event{Type: pipeline.StageStarted, Stage: "unit"})
		r.Handle(pipeline.Event{Type: pipeline.EvidenceFound, Stage: "unit", Message: text})
		r.Handle(pipeline.Event{Type: pipeline.StageFailed, Stage: "unit", Reason: "x"})
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, "\ufffd begin\n"+strings.Repeat("é", 1000)) || !strings.Contains(got, "[…]") || strings.Count(got, "\ufffd") != 1 {
			t.Errorf("%s has %d bytes: %.200q", name, len(got), got)
		}
	}
}
