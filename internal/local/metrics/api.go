package metrics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/headgate-dev/headgate/internal/local/loopback"
)

const (
	// queryTimeout bounds a query; one may ask for less.
	queryTimeout = 30 * time.Second
	// maxQueries is how many are evaluated at a time; others wait.
	maxQueries = 10
	// maxForm is how many bytes of a request are read at most.
	maxForm = 1 << 20
)

// api answers as Prometheus' HTTP API does, version 1.
type api struct {
	server    *Server
	parser    parser.Parser
	began     time.Time
	retention time.Duration
	busy      chan struct{} // holds an element for each query under way
}

// answer is what a request is answered with.
type answer struct {
	data     any
	warnings annotations.Annotations
	query    string // what the warnings are about
}

// kind is the word that Prometheus' API has for what went wrong.
type kind string

const (
	badData   kind = "bad_data"
	execution kind = "execution"
	canceled  kind = "canceled"
	timedOut  kind = "timeout"
	internal  kind = "internal"
)

// status is the code of HTTP that Prometheus answers with.
func (k kind) status() int {
	switch k {
	case badData:
		return http.StatusBadRequest
	case execution:
		return http.StatusUnprocessableEntity
	case canceled:
		return 499 // the client is gone
	case timedOut:
		return http.StatusServiceUnavailable
	case internal:
	}
	return http.StatusInternalServerError
}

// apiError is an error with its kind.
type apiError struct {
	kind kind
	err  error
}

func (e *apiError) Error() string { return e.err.Error() }
func (e *apiError) Unwrap() error { return e.err }

func wrong(err error) error { return &apiError{kind: badData, err: err} }

func wrongParameter(name string, err error) error {
	return wrong(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// kindOf tells what an error of a query is.
func kindOf(err error) kind {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.kind
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok || errors.Is(err, context.Canceled) {
		return canceled
	}
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return timedOut
	}
	if _, ok := errors.AsType[promql.ErrStorage](err); ok {
		return internal
	}
	return execution
}

// newAPI returns the handler of all that s answers.
func newAPI(s *Server, p parser.Parser, o Options) http.Handler {
	a := &api{server: s, parser: p, began: time.Now().UTC(), retention: o.Retention, busy: make(chan struct{}, maxQueries)}
	mux := http.NewServeMux()
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "Headgate's Prometheus is well.\n")
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "This is Prometheus' query API, below /api/v1/. It has no pages; look in with Grafana or promtool.\n")
	})
	read := map[string]func(*http.Request) (answer, error){
		"label/{name}/values": a.labelValues,
		"metadata":            a.metadata,
		"targets":             a.targets,
		"status/buildinfo":    a.buildInfo,
		"status/runtimeinfo":  a.runtimeInfo,
		// What there is none of here, in the form that Grafana looks for it.
		"rules":  always(map[string][]string{"groups": {}}),
		"alerts": always(map[string][]string{"alerts": {}}),
	}
	form := map[string]func(*http.Request) (answer, error){ // GET, or POST for what is long
		"query":           a.query,
		"query_range":     a.queryRange,
		"query_exemplars": always([]string{}),
		"format_query":    a.formatQuery,
		"series":          a.series,
		"labels":          a.labels,
	}
	for path, f := range read {
		mux.HandleFunc("GET /api/v1/"+path, handle(f))
	}
	for path, f := range form {
		mux.HandleFunc("GET /api/v1/"+path, handle(f))
		mux.HandleFunc("POST /api/v1/"+path, handle(f))
	}
	return onlyLocal(mux)
}

// always answers the same.
func always(data any) func(*http.Request) (answer, error) {
	return func(*http.Request) (answer, error) { return answer{data: data}, nil }
}

// onlyLocal refuses requests that were sent to another name than one of this
// machine: those of a page in a browser whose name was made to point here.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !loopback.Host(host) {
			http.Error(w, "this is for this machine only: ask for 127.0.0.1", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reply is the form of every answer.
type reply struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType kind     `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// maxRemarks is how many warnings, and how many infos, an answer has.
const maxRemarks = 10

func handle(f func(*http.Request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			write(w, http.StatusBadRequest, reply{Status: "error", ErrorType: badData, Error: "read form: " + err.Error()})
			return
		}
		a, err := f(r)
		if err != nil {
			k := kindOf(err)
			write(w, k.status(), reply{Status: "error", ErrorType: k, Error: cmp.Or(err.Error(), string(k))})
			return
		}
		out := reply{Status: "success", Data: a.data}
		out.Warnings, out.Infos = a.warnings.AsStrings(a.query, maxRemarks, maxRemarks)
		write(w, http.StatusOK, out)
	}
}

func write(w http.ResponseWriter, status int, r reply) {
	text, err := json.Marshal(r)
	if err != nil {
		http.Error(w, "write answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
