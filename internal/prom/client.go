package prom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/headgate-dev/headgate/gates"
)

// Tries is how often a query is sent at most.
const Tries = 3

// DefaultTimeout bounds one try.
const DefaultTimeout = 10 * time.Second

// MaxReply is how many bytes of a reply are read at most.
const MaxReply = 32 << 20

// Client queries one Prometheus.
type Client struct {
	api     v1.API
	timeout time.Duration
	pause   func(try int) time.Duration
	idle    func()
}

var (
	_ gates.Metrics    = (*Client)(nil)
	_ gates.Timekeeper = (*Client)(nil)
)

// New returns a client for c. Nothing is sent yet.
func New(c Config) (*Client, error) {
	base, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	transport, err := c.transport(base)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{
		Address: base.String(),
		Client:  &http.Client{Transport: transport, CheckRedirect: sameHost},
	})
	if err != nil {
		return nil, fmt.Errorf("use prometheus url: %w", scrub(err))
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{api: v1.NewAPI(client), timeout: timeout, pause: backoff, idle: transport.closeIdle}, nil
}

// Close gives back idle connections.
func (c *Client) Close() { c.idle() }

// Query evaluates query at the moment at, in up to [Tries] tries.
func (c *Client) Query(ctx context.Context, query string, at time.Time) (gates.Reply, error) {
	for try := 1; ; try++ {
		reply, err := c.once(ctx, query, at)
		if err == nil {
			return reply, nil
		}
		if ctx.Err() != nil {
			return gates.Reply{}, context.Cause(ctx)
		}
		if q, ok := errors.AsType[*gates.QueryError](err); !ok || !q.Retryable || try == Tries {
			return gates.Reply{}, err
		}
		select {
		case <-ctx.Done():
			return gates.Reply{}, context.Cause(ctx)
		case <-time.After(c.pause(try)):
		}
	}
}

// Time returns the time by the clock of the server.
func (c *Client) Time(ctx context.Context) (time.Time, error) {
	reply, err := c.Query(ctx, "time()", time.Time{})
	if err != nil {
		return time.Time{}, err
	}
	if reply.Kind != gates.Scalar || len(reply.Series) != 1 || len(reply.Series[0].Points) != 1 {
		return time.Time{}, &gates.QueryError{Err: errors.New("prometheus did not tell the time")}
	}
	s := reply.Series[0].Points[0].Value
	if math.IsNaN(s) || s < 0 || s > 1e11 {
		return time.Time{}, &gates.QueryError{Err: fmt.Errorf("prometheus says that the time is %v", s)}
	}
	return time.UnixMilli(int64(math.Round(s * 1000))).UTC(), nil
}

// errTooSlow is the cause of a try's context, to tell it from the caller's.
var errTooSlow = errors.New("no answer in time")

// once sends the query one time.
func (c *Client) once(ctx context.Context, query string, at time.Time) (gates.Reply, error) {
	seen := &status{}
	ctx, cancel := context.WithTimeoutCause(withStatus(ctx, seen), c.timeout, errTooSlow)
	defer cancel()
	value, warnings, _, err := c.api.Query(ctx, query, at, v1.WithTimeout(c.timeout))
	if err != nil {
		return gates.Reply{}, c.explain(ctx, seen, err)
	}
	reply, err := decode(value)
	if err != nil {
		return gates.Reply{}, &gates.QueryError{Refused: true, Err: err}
	}
	reply.Warnings = bounded(warnings)
	return reply, nil
}

// decode turns the library's value into ours.
func decode(value model.Value) (gates.Reply, error) {
	switch v := value.(type) {
	case *model.Scalar:
		return gates.Reply{Kind: gates.Scalar, Series: []gates.Series{{
			Points: []gates.Point{{Time: v.Timestamp.Time().UTC(), Value: float64(v.Value)}},
		}}}, nil
	case model.Vector:
		r := gates.Reply{Kind: gates.Vector, Series: make([]gates.Series, 0, len(v))}
		for _, s := range v {
			if s == nil || s.Histogram != nil {
				return gates.Reply{}, errHistogram
			}
			r.Series = append(r.Series, gates.Series{
				Labels: labelsOf(s.Metric),
				Points: []gates.Point{{Time: s.Timestamp.Time().UTC(), Value: float64(s.Value)}},
			})
		}
		return r, nil
	case model.Matrix:
		r := gates.Reply{Kind: gates.Matrix, Series: make([]gates.Series, 0, len(v))}
		for _, s := range v {
			if s == nil || len(s.Histograms) > 0 {
				return gates.Reply{}, errHistogram
			}
			points := make([]gates.Point, len(s.Values))
			for i, p := range s.Values {
				points[i] = gates.Point{Time: p.Timestamp.Time().UTC(), Value: float64(p.Value)}
			}
			r.Series = append(r.Series, gates.Series{Labels: labelsOf(s.Metric), Points: points})
		}
		return r, nil
	}
	return gates.Reply{}, errors.New("the answer is neither a number nor a list of numbers")
}

var errHistogram = errors.New("the answer holds native histograms; wrap the query in histogram_quantile, histogram_fraction or the like")

func labelsOf(m model.Metric) map[string]string {
	labels := make(map[string]string, len(m))
	for k, v := range m {
		labels[string(k)] = string(v)
	}
	return labels
}

// bounded keeps the first few warnings, each cut to a readable length.
func bounded(warnings []string) []string {
	if len(warnings) > 5 {
		warnings = warnings[:5]
	}
	for i, w := range warnings {
		warnings[i] = clip(w)
	}
	return warnings
}

// backoff is 1 s and 2 s, each with up to a fifth more, so that many runs
// that lost the same server do not come back at one moment.
func backoff(try int) time.Duration {
	d := time.Second << (try - 1)
	return d + rand.N(d/5)
}
