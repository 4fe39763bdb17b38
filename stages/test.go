package stages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

func testKind(parts *Parts) pipeline.Kind {
	return pipeline.Kind{
		Name: "test",
		Doc:  "Runs tests: commands that change nothing. The failing tests of JUnit files are named in the result.",
		New:  func() pipeline.Task { return &TestStage{parts: parts} },
		Outputs: []pipeline.OutputDecl{
			{Name: "tests", Doc: "How many tests the JUnit files report, empty without junit."},
			{Name: "failed", Doc: "How many of them failed."},
			{Name: "skipped", Doc: "How many of them were skipped."},
		},
	}
}

// TestStage runs tests.
type TestStage struct {
	Pos source.Pos
	script
	Retries source.Int      `yaml:"retries" default:"0" min:"0" max:"10" doc:"How many more times failing commands are tried."`
	JUnit   []source.String `yaml:"junit" doc:"JUnit files that the commands write, as paths or patterns with *, ** and ?, relative to dir. A pattern that finds no file of this run is a failure; older files are left aside." example:"reports/*.xml"`

	parts *Parts
}

var (
	_ pipeline.Task        = (*TestStage)(nil)
	_ pipeline.Preflighter = (*TestStage)(nil)
	_ pipeline.Planner     = (*TestStage)(nil)
)

// Preflight implements [pipeline.Preflighter].
func (t *TestStage) Preflight(context.Context, *pipeline.Scope) []pipeline.Finding {
	return t.preflight(t.parts)
}

// Plan implements [pipeline.Planner].
func (t *TestStage) Plan(context.Context, *pipeline.Scope) (pipeline.Plan, error) {
	return pipeline.Plan{Longest: t.Timeout.Value * time.Duration(1+t.Retries.Value)}, nil
}

// Run runs the commands, more than once where they fail and may.
func (t *TestStage) Run(ctx context.Context, s *pipeline.Scope) error {
	r, err := t.ready(s, t.parts.Commands)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			s.Progress("trying again, %d of %d", attempt, t.Retries.Value)
		}
		err := t.attempt(ctx, s, r)
		if err == nil || attempt == t.Retries.Value || context.Cause(ctx) != nil || !worthRetry(err) {
			return err
		}
		s.Warn("attempt %d failed: %v", attempt+1, err)
	}
}

// worthRetry reports whether commands ran and failed; what could not be
// started or read will not be better the next time.
func worthRetry(err error) bool {
	return errors.As(err, new(*ExitError)) || errors.As(err, new(*TimeoutError)) || errors.As(err, new(*TestsError))
}

// attempt runs the commands once and reads what they report.
func (t *TestStage) attempt(ctx context.Context, s *pipeline.Scope, r *scriptRun) error {
	reports, err := newReports(t.Dir.Value, t.JUnit)
	if err != nil {
		return err
	}
	ran := r.run(ctx)
	if ran != nil && context.Cause(ctx) != nil || len(t.JUnit) == 0 {
		return ran
	}
	sum, err := reports.read()
	if sum.Tests > 0 {
		s.Output("tests", strconv.Itoa(sum.Tests))
		s.Output("failed", strconv.Itoa(len(sum.Failed)))
		s.Output("skipped", strconv.Itoa(sum.Skipped))
	}
	if len(sum.Failed) > 0 {
		s.Emit(pipeline.Event{Type: pipeline.EvidenceFound, Message: sum.evidence()})
		return &TestsError{Summary: sum, Err: ran}
	}
	if ran != nil && err != nil {
		// The report is missing because the command broke, not the reverse.
		return fmt.Errorf("%w; %w", ran, err)
	}
	if ran != nil {
		return ran
	}
	if err == nil && sum.Tests == 0 {
		s.Warn("the JUnit files name no test at all")
	}
	return err
}

// maxNamed is how many failing tests an error names.
const maxNamed = 5

// TestsError names the tests that failed.
type TestsError struct {
	Summary TestSummary
	// Err is how the commands ended, nil where they exited with 0.
	Err error
}

// Error names the first tests with the first line of their messages.
func (e *TestsError) Error() string {
	var b strings.Builder
	failed := e.Summary.Failed
	fmt.Fprintf(&b, "%d of %d tests failed: ", len(failed), e.Summary.Tests)
	for i, f := range failed[:min(len(failed), maxNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name)
		if f.Message != "" {
			fmt.Fprintf(&b, " (%s)", f.Message)
		}
	}
	if more := len(failed) - maxNamed; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	if e.Err == nil {
		b.WriteString("; the command exited with 0 all the same")
	}
	return b.String()
}

// Unwrap returns how the commands ended.
func (e *TestsError) Unwrap() error { return e.Err }
