package gates

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Check reports queries that are no PromQL, and what is probably meant
// otherwise. Queries that hold names which are known only in a run are left
// to the preflight.
func (s *Section) Check(p *pipeline.Pipeline, _ *pipeline.Stage, report func(source.Problem)) {
	text := func(t source.Template, extra map[string]string) (string, error) {
		return p.Text(t, pipeline.Values{Vars: p.VarValues(), Extra: extra})
	}
	for _, g := range s.All() {
		if g == nil {
			continue
		}
		for _, c := range g.Checks {
			if c != nil {
				c.lint(text, report)
			}
		}
	}
}

// sample stands for what a run knows, so that queries can be read before.
func sample() map[string]string {
	return map[string]string{"selector": `namespace="n",pod=~"p-.*"`, "window": "120s"}
}

// lint reads the check's queries.
func (c *Check) lint(text func(source.Template, map[string]string) (string, error), report func(source.Problem)) {
	for _, t := range []source.Template{c.Query, c.Samples} {
		if !t.IsSet() {
			continue
		}
		q, err := substitute(t.Raw, sample())
		if err != nil {
			if q, err = text(t, sample()); err != nil {
				continue
			}
		}
		expr, err := newParser().ParseExpr(q)
		if err != nil {
			report(source.Problem{
				Pos: t.Pos, Width: 1, Message: "the query is no PromQL: " + plainParseError(err, 0),
				Hint: "it was read as " + q,
			})
			continue
		}
		if kind := expr.Type(); kind != parser.ValueTypeVector && kind != parser.ValueTypeScalar {
			report(source.Problem{
				Pos: t.Pos, Width: 1, Message: "the query answers with " + answerWords(kind) + ", not with one number",
				Hint: "aggregate it, as in sum(rate(…))",
			})
			continue
		}
		for _, r := range remarks(expr) {
			report(source.Problem{Pos: t.Pos, Width: 1, Message: r.message, Hint: r.hint, Warning: true})
		}
		c.habits(t, report)
	}
}

func answerWords(kind parser.ValueType) string {
	if kind == parser.ValueTypeMatrix {
		return "a range of samples"
	}
	return "a text"
}

// habits reports what a query should take from the gate and does not.
func (c *Check) habits(t source.Template, report func(source.Problem)) {
	warn := func(message, hint string) {
		report(source.Problem{Pos: t.Pos, Width: 1, Message: message, Hint: hint, Warning: true})
	}
	if fixedRange(t.Raw) && !uses(t, "window") {
		warn("a fixed range mixes in the time before the track got traffic", "write [${{ window }}] in its place")
	}
	if emptyAsZero(t.Raw) && !c.Samples.IsSet() {
		warn("or vector(0) makes a wrong label look healthy: with no data at all the value is 0",
			"add samples: with a query that counts requests, so that 0 counts only when there is traffic")
	}
}

// Preflight asks, before anything is changed, whether the gate could judge:
// that what answers queries does, and knows the series of target, which is
// the stable track. It changes nothing and runs no scripts.
func (g *Gate) Preflight(ctx context.Context, p Providers, t Target, now time.Time) []pipeline.Finding {
	t.Since = time.Time{}
	w := g.Watch(p, t)
	var out []pipeline.Finding
	away := false
	for i, a := range w.sketch(ctx, now) {
		c := g.Checks[i]
		if !c.Metrics() {
			continue
		}
		f := pipeline.Finding{Pos: c.Pos, Message: fmt.Sprintf("gate %s, %s: %s", g.name, w.names[i], a.reason)}
		switch a.result {
		case Value, NoTraffic, FewSamples, TooEarly, NotAsked, BetweenBounds: // the last is told by gaps
			continue
		case Unavailable:
			if away {
				continue // once is enough
			}
			away = true
			f.Pos, f.Message = g.Pos, fmt.Sprintf("gate %s cannot be asked: %s", g.name, a.reason)
			f.Hint = "without metrics nothing could be judged; check prometheus: in the file"
		case Partial:
			f.Hint, f.Warning = "looks with such answers are not used", true
		case BadQuery, SeveralSeries:
			f.Hint = "the gate would fail at its first look"
		case NoData, Stale:
			f.Hint, f.Warning = "check the metric's name and labels; if the new release has no such data either, the gate will be inconclusive, which does not pass", true
		case NonFinite:
			f.Hint, f.Warning = "without traffic a ratio has no value; such looks are held and do not pass", true
		case NoAnswer:
		}
		out = append(out, f)
	}
	return append(out, w.gaps(ctx, now)...)
}

// gaps warns of latency limits that lie between two bounds of the histogram.
func (w *Watch) gaps(ctx context.Context, now time.Time) []pipeline.Finding {
	var out []pipeline.Finding
	for i, c := range w.gate.Checks {
		if c.Latency == nil || ctx.Err() != nil {
			continue
		}
		l, bad := w.timed(ctx, now)
		if bad != nil {
			return nil // reported already
		}
		bounds, a := c.Latency.bounds(ctx, l)
		if a.result != "" {
			continue
		}
		if lo, hi := around(bounds, c.Latency.limit()); lo != hi {
			out = append(out, pipeline.Finding{
				Pos: c.Latency.Max.Pos, Warning: true,
				Message: fmt.Sprintf("gate %s, %s: the histogram has no bound at %s, only at %s and %s, so what lies between cannot be told",
					w.gate.name, w.names[i], span(c.Latency.Max.Value), c.Latency.time(lo), c.Latency.time(hi)),
				Hint: "set max to one of these; near a limit between them the gate can neither pass nor fail",
			})
		}
	}
	return out
}

// Plan asks every query of the gate now, of the stable track, so that people
// see what the limits are held against. Nothing is judged: all outcomes are
// inconclusive. Scripts and URLs are listed but not asked.
func (g *Gate) Plan(ctx context.Context, p Providers, t Target, now time.Time) []pipeline.Measurement {
	t.Since = time.Time{}
	w := g.Watch(p, t)
	answers := w.sketch(ctx, now)
	out := make([]pipeline.Measurement, len(answers))
	for i, a := range answers {
		out[i] = pipeline.Measurement{
			Check: w.names[i], Result: string(a.result), Query: a.query,
			Value: a.value, Bound: a.bound, Max: a.max, Min: a.min, Unit: a.unit, Samples: a.samples, Reason: a.reason,
		}
	}
	return out
}

// sketch asks what has no effects: metrics only.
func (w *Watch) sketch(ctx context.Context, now time.Time) []answer {
	p := w.providers
	w.providers.HTTP, w.providers.Commands = nil, nil
	defer func() { w.providers = p }()
	answers := w.ask(ctx, now)
	for i, c := range w.gate.Checks {
		if !c.Metrics() && answers[i].result == NotAsked {
			answers[i].reason = "asked in the run only"
		}
	}
	return answers
}
