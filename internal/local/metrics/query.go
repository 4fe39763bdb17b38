package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// maxPoints is how many points a series of a range query may have.
const maxPoints = 11_000

func (a *api) query(r *http.Request) (answer, error) {
	at, err := moment(r, "time", time.Now())
	if err != nil {
		return answer{}, err
	}
	return a.evaluate(r, func(ctx context.Context, text string) (promql.Query, error) {
		return a.server.engine.NewInstantQuery(ctx, a.server.store.db, nil, text, at)
	})
}

func (a *api) queryRange(r *http.Request) (answer, error) {
	start, err := moment(r, "start", time.Time{})
	if err != nil {
		return answer{}, err
	}
	end, err := moment(r, "end", time.Time{})
	if err != nil {
		return answer{}, err
	}
	step, err := span(r.FormValue("step"))
	switch {
	case err != nil:
		return answer{}, wrongParameter("step", err)
	case start.IsZero() || end.IsZero():
		return answer{}, wrong(errors.New("start and end are needed"))
	case end.Before(start):
		return answer{}, wrongParameter("end", errors.New("it is before start"))
	case step <= 0:
		return answer{}, wrongParameter("step", errors.New("it is not above zero"))
	case end.Sub(start)/step > maxPoints:
		return answer{}, wrong(fmt.Errorf("more than %d points in a series: take a longer step", maxPoints))
	}
	return a.evaluate(r, func(ctx context.Context, text string) (promql.Query, error) {
		return a.server.engine.NewRangeQuery(ctx, a.server.store.db, nil, text, start, end, step)
	})
}

// evaluate runs the query that prepare makes of the request's text.
func (a *api) evaluate(r *http.Request, prepare func(ctx context.Context, text string) (promql.Query, error)) (answer, error) {
	ctx, cancel, err := limited(r)
	if err != nil {
		return answer{}, err
	}
	defer cancel()
	most, err := limit(r)
	if err != nil {
		return answer{}, err
	}
	select {
	case a.busy <- struct{}{}:
		defer func() { <-a.busy }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	text := r.FormValue("query")
	q, err := prepare(ctx, text)
	if err != nil {
		return answer{}, wrongParameter("query", err)
	}
	defer q.Close() // what it found is its own until then
	res := q.Exec(ctx)
	if res.Err != nil {
		return answer{}, res.Err
	}
	value, warnings := shorten(res.Value, most), res.Warnings
	if size(value) < size(res.Value) {
		warnings.Add(errTruncated)
	}
	return answer{data: json.RawMessage(encode(value)), warnings: warnings, query: text}, nil
}

var errTruncated = fmt.Errorf("%w: the answer was cut to the limit that was asked for", annotations.PromQLWarning)

// limited is the request's context with the time that a query may take.
func limited(r *http.Request) (context.Context, context.CancelFunc, error) {
	timeout := queryTimeout
	if text := r.FormValue("timeout"); text != "" {
		d, err := span(text)
		if err != nil {
			return nil, nil, wrongParameter("timeout", err)
		}
		timeout = min(timeout, d)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// size is how many series a value has.
func size(v parser.Value) int {
	switch v := v.(type) {
	case promql.Vector:
		return len(v)
	case promql.Matrix:
		return len(v)
	}
	return 1
}

// shorten cuts a value to so many series; 0 leaves it.
func shorten(v parser.Value, most int) parser.Value {
	if most == 0 || size(v) <= most {
		return v
	}
	switch v := v.(type) {
	case promql.Vector:
		return v[:most]
	case promql.Matrix:
		return v[:most]
	}
	return v
}

func (a *api) formatQuery(r *http.Request) (answer, error) {
	expr, err := a.parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return answer{}, wrongParameter("query", err)
	}
	return answer{data: expr.Pretty(0)}, nil
}
