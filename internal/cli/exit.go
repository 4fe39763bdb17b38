package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/headgate-dev/headgate/internal/report"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// ended is how a command returns an ending of which people have been told.
type ended struct {
	ending pipeline.Ending
	// reported says that the CI's outputs have been set, too.
	reported bool
}

func (e ended) Error() string { return e.ending.String() }

// end returns the error for an ending, nil for the good one.
func end(e pipeline.Ending) error {
	if e == pipeline.Delivered {
		return nil
	}
	return ended{ending: e}
}

// usageError is a mistake on the command line.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }

func usagef(hint, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// fileError is a pipeline file, or something it names, that cannot be used.
type fileError struct {
	file     source.File
	problems source.Problems
}

func (e *fileError) Error() string { return e.problems.Error() }

// ending is the one place where errors become exit codes.
func ending(err error) pipeline.Ending {
	var (
		done  ended
		usage *usageError
		file  *fileError
	)
	switch {
	case err == nil:
		return pipeline.Delivered
	case errors.As(err, &done):
		return done.ending
	case errors.As(err, &usage), errors.As(err, &file):
		return pipeline.WrongFile
	case errors.Is(err, pipeline.ErrCancelled):
		return pipeline.CancelledInt
	case errors.Is(err, pipeline.ErrLocked), errors.Is(err, pipeline.ErrLockLost):
		return pipeline.Locked
	}
	return pipeline.FailedUnchanged
}

// report prints err and returns the exit code.
func (a *app) report(err error) int {
	code := int(a.interruption.correct(ending(err)))
	var done ended
	told := errors.As(err, &done)
	if err == nil || done.reported {
		return code
	}
	a.outputs(code, err)
	if told {
		return code
	}
	var file *fileError
	if errors.As(err, &file) {
		a.problems(file.file, file.problems)
		return code
	}
	a.errorLine("error", err.Error())
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		a.errorLine("hint", hinted.Hint())
	}
	return code
}

// outputs sets the outputs of a step of GitHub Actions for a command that
// ended before there was a run to report.
func (a *app) outputs(code int, err error) {
	path := a.Getenv("GITHUB_OUTPUT")
	if path == "" || a.Getenv("GITHUB_ACTIONS") != "true" {
		return
	}
	result := pipeline.Result{Ending: pipeline.Ending(code), Reason: a.redactor.String(err.Error())}
	if err := report.WriteOutputs(path, result); err != nil {
		a.errorLine("warning", err.Error())
	}
}

// errorLine writes to the error stream; more lines than one are indented. A
// part of the text may come from a cluster or a program.
func (a *app) errorLine(kind, text string) {
	_, _ = fmt.Fprintf(a.Err, "headgate: %s: %s\n", kind, strings.Join(report.Lines(text), "\n  "))
}
