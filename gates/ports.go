package gates

import (
	"context"
	"net/http"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Metrics answers PromQL queries.
type Metrics interface {
	// Query evaluates query at the moment at, by the provider's clock; the
	// zero time means now. An error is a [*QueryError], or the cause of ctx
	// when that ended. The call bounds its own time, tries included.
	Query(ctx context.Context, query string, at time.Time) (Reply, error)
}

// Timekeeper can be implemented by [Metrics] whose clock may differ from that
// of the run. Without it the run's clock is used.
type Timekeeper interface {
	// Time returns the provider's time now; errors are as for Query.
	Time(ctx context.Context) (time.Time, error)
}

// Kind says what form a [Reply] has.
type Kind int

// The kinds. A scalar is one series without labels and with one point, a
// vector has one point per series, a matrix any number.
const (
	Scalar Kind = iota + 1
	Vector
	Matrix
)

// String returns Prometheus' word for it.
func (k Kind) String() string {
	switch k {
	case Scalar:
		return "scalar"
	case Vector:
		return "vector"
	case Matrix:
		return "matrix"
	}
	return "unknown"
}

// Reply is the answer to a query.
type Reply struct {
	Kind   Kind
	Series []Series
	// Warnings say why the answer may be incomplete, such as a store that
	// could not be reached; an answer with warnings is never used.
	Warnings []string
}

// Series is one labelled series of an answer.
type Series = counts.Series

// Point is one sample.
type Point = counts.Point

// QueryError reports a query that got no answer.
type QueryError struct {
	// Refused is true when the query itself is wrong, so that no further try
	// and no waiting can help. All else counts as metrics being unavailable.
	Refused bool
	// Retryable is true for faults that may pass, such as a timeout.
	Retryable bool
	// Err says what happened, without any credentials.
	Err error
}

// Error returns the text of the cause.
func (e *QueryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *QueryError) Unwrap() error { return e.Err }

// Commander runs the script of a `command` check.
type Commander interface {
	// Exec runs c until it ends or ctx does, and ends its process group with
	// ctx. A script that ran has a Code and no error; an error means that it
	// could not be run, or is the cause of ctx.
	Exec(ctx context.Context, c Command) (Exit, error)
}

// Command is a script to run.
type Command struct {
	// Script is given to the shell.
	Script string
	// Env holds NAME=value pairs to add to the environment.
	Env []string
}

// Exit is how a script ended.
type Exit struct {
	// Code is the exit status, -1 when a signal ended it.
	Code int
	// Output is the end of what it printed, both streams, at most 4 KiB.
	Output string
}

// Doer sends HTTP requests; an [http.Client] is one.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// Providers answer what checks ask. Those that no check of a gate needs may
// be nil; a check whose provider is nil is answered "unavailable".
type Providers struct {
	Metrics  Metrics
	HTTP     Doer
	Commands Commander
	// Text evaluates a template of the file; extra holds the names that the
	// gate adds, selector and window. Nil is enough for templates that use no
	// other names than these.
	Text func(t source.Template, extra map[string]string) (string, error)
}
