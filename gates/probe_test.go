package gates_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// doer answers HTTP requests.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func answerWith(status int, body string) doer {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// commander answers scripts.
type commander struct {
	exit gates.Exit
	err  error
	got  *gates.Command
}

func (c commander) Exec(ctx context.Context, cmd gates.Command) (gates.Exit, error) {
	if c.got != nil {
		*c.got = cmd
	}
	if ctx.Err() != nil {
		return gates.Exit{}, context.Cause(ctx)
	}
	return c.exit, c.err
}

// hangs never answers before its context ends.
type hangs struct{}

func (hangs) Do(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func (hangs) Exec(ctx context.Context, _ gates.Command) (gates.Exit, error) {
	<-ctx.Done()
	return gates.Exit{}, context.Cause(ctx)
}

func (hangs) Query(ctx context.Context, _ string, _ time.Time) (gates.Reply, error) {
	<-ctx.Done()
	return gates.Reply{}, context.Cause(ctx)
}

func (hangs) Time(ctx context.Context) (time.Time, error) {
	<-ctx.Done()
	return time.Time{}, context.Cause(ctx)
}

// TestNothingAnswers: each kind of check has its own end.
func TestNothingAnswers(t *testing.T) {
	cases := []struct {
		check string
		want  gates.Result
		after time.Duration
	}{
		{`http: {url: "http://shop/", within: 3s}`, gates.NoAnswer, 3 * time.Second},
		{`command: {run: sleep 1000, within: 20s}`, gates.NoAnswer, 20 * time.Second},
		{`query: q, max: 1`, gates.Unavailable, 35 * time.Second},
		{`errorRate: 5%`, gates.Unavailable, 35 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.check, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := gate(t, `[{`+c.check+`}]`).Watch(gates.Providers{Metrics: hangs{}, HTTP: hangs{}, Commands: hangs{}}, gates.Target{})
				began := time.Now()
				v := w.Look(t.Context(), began)
				if got := v.Evidence[0].Result; got != string(c.want) || !strings.HasSuffix(v.Reason, "within "+c.after.String()) {
					t.Errorf("got %s, want %s within %s: %s", got, c.want, c.after, v.Reason)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("took %s, want %s", took, c.after)
				}
			})
		})
	}
}

// TestAFailureDoesNotWait: what the other checks would say cannot save the
// release, so the verdict comes a second after the failure.
func TestAFailureDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := gate(t, `[{query: q, max: 1}, {command: ./slow.sh}]`).
			Watch(gates.Providers{Metrics: fake{"q": vector(5)}, Commands: hangs{}}, gates.Target{})
		began := time.Now()
		v := w.Look(t.Context(), began)
		if v.Outcome != pipeline.Fail || v.Evidence[1].Result != string(gates.NotAsked) {
			t.Errorf("got %+v", v)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s, want 1s", took)
		}
	})
}

// TestACancelledLookSaysNothing: it is neither a failure nor remembered.
func TestACancelledLookSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(pipeline.ErrCancelled) })
		w := gate(t, `[{http: "http://shop/"}, {command: x}, {query: q, max: 1}]`).
			Watch(gates.Providers{Metrics: hangs{}, HTTP: hangs{}, Commands: hangs{}}, gates.Target{})
		v := w.Look(ctx, time.Now())
		if v.Outcome != pipeline.Inconclusive {
			t.Errorf("got %s, want inconclusive", v.Outcome)
		}
		if _, looked := w.Last(); looked {
			t.Error("a look that was broken off is remembered")
		}
	})
}

func TestScriptGetsTrackAndEnv(t *testing.T) {
	var got gates.Command
	w := gate(t, `[{command: {run: ./smoke.sh, env: {WHO: me}}}]`).
		Watch(gates.Providers{Commands: commander{got: &got}}, gates.Target{Track: "canary", Selector: `pod="a"`})
	if v := w.Look(t.Context(), second(1000)); v.Outcome != pipeline.Pass {
		t.Fatalf("got %s: %s", v.Outcome, v.Reason)
	}
	want := []string{"HEADGATE_TRACK=canary", `HEADGATE_SELECTOR=pod="a"`, "WHO=me"}
	if got.Script != "./smoke.sh" || !slices.Equal(got.Env, want) {
		t.Errorf("got %+v, want the script with %v", got, want)
	}
}

func TestHTTPSendsWhatTheFileSays(t *testing.T) {
	var got *http.Request
	d := doer(func(r *http.Request) (*http.Response, error) {
		got = r
		return answerWith(204, "")(r)
	})
	w := gate(t, `[{http: {url: "http://gateway/x", headers: {Host: shop.example, X-Canary: always}}}]`).
		Watch(gates.Providers{HTTP: d}, gates.Target{})
	if v := w.Look(t.Context(), second(1000)); v.Outcome != pipeline.Pass {
		t.Fatalf("got %s: %s", v.Outcome, v.Reason)
	}
	if got.Host != "shop.example" || got.Header.Get("X-Canary") != "always" || got.Method != http.MethodGet {
		t.Errorf("got %+v", got)
	}
}

// TestNoProviders: what cannot be asked is not well.
func TestNoProviders(t *testing.T) {
	for _, check := range []string{`query: q, max: 1`, `errorRate: 5%`, `latency: 1s`, `cpu: 80%`, `memory: 80%`, `command: x`} {
		w := gate(t, `[{`+check+`}]`).Watch(gates.Providers{}, gates.Target{})
		if v := w.Look(t.Context(), second(1000)); v.Outcome != pipeline.Inconclusive {
			t.Errorf("%s: got %s, want inconclusive: %s", check, v.Outcome, v.Reason)
		}
	}
}

var errNoTime = errors.New("no time")

// clocked is a provider whose clock is ahead of the run's, and which tells
// the time late.
type clocked struct {
	fake
	ahead time.Duration
	late  []time.Duration
	asked []time.Time
	none  bool
}

func (c *clocked) Time(context.Context) (time.Time, error) {
	if c.none {
		return time.Time{}, &gates.QueryError{Err: errNoTime}
	}
	d := c.late[0]
	if len(c.late) > 1 {
		c.late = c.late[1:]
	}
	return second(1000).Add(c.ahead + d), nil
}

func (c *clocked) Query(ctx context.Context, q string, at time.Time) (gates.Reply, error) {
	c.asked = append(c.asked, at)
	return c.fake.Query(ctx, q, at)
}

// TestMetricsClock: queries are evaluated at the provider's time, learnt as
// well as its answers allow.
func TestMetricsClock(t *testing.T) {
	m := &clocked{fake: fake{"q": vector(0)}, ahead: time.Hour, late: []time.Duration{9 * time.Second, time.Second, 20 * time.Second}}
	w := gate(t, `[{query: q, max: 1}]`).Watch(gates.Providers{Metrics: m}, gates.Target{})
	for range 3 {
		w.Look(t.Context(), second(1000))
	}
	want := []time.Time{second(4609), second(4601), second(4601)}
	if !slices.EqualFunc(m.asked, want, time.Time.Equal) {
		t.Errorf("got %v, want %v", m.asked, want)
	}
	m.none = true
	if v := w.Look(t.Context(), second(1000)); v.Evidence[0].Result != string(gates.Unavailable) {
		t.Errorf("got %+v, want unavailable", v)
	}
}
