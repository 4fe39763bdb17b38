package gates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// metrics sends a query. The answer is nil when there is a reply that can be
// used, else it says why there is none.
func (l look) metrics(ctx context.Context, q string) (Reply, *answer) {
	a := answer{query: q}
	if l.providers.Metrics == nil {
		a = a.with(Unavailable, "no Prometheus is configured")
		return Reply{}, &a
	}
	reply, err := l.providers.Metrics.Query(ctx, q, l.at)
	switch {
	case errors.Is(context.Cause(ctx), errTooSlow):
		a = a.with(Unavailable, "no answer within "+span(patience))
	case ctx.Err() != nil:
		a = a.with(NotAsked, "not waited for: "+context.Cause(ctx).Error())
	case err != nil:
		a = a.refused(err)
	case len(reply.Warnings) > 0:
		a = a.with(Partial, "the answer may be incomplete: "+reply.Warnings[0])
	default:
		return reply, nil
	}
	return Reply{}, &a
}

// refused tells a wrong query from a provider that is unavailable.
func (a answer) refused(err error) answer {
	if q, ok := errors.AsType[*QueryError](err); ok && q.Refused {
		return a.with(BadQuery, err.Error())
	}
	return a.with(Unavailable, err.Error())
}

// one asks for a single number. A nil answer means that there is one.
func (l look) one(ctx context.Context, q string) (float64, *answer) {
	reply, bad := l.metrics(ctx, q)
	if bad != nil {
		return 0, bad
	}
	a := answer{query: q}
	switch {
	case reply.Kind == Matrix:
		a = a.with(BadQuery, "the query answers with a range of samples in place of one number")
	case reply.Kind != Scalar && reply.Kind != Vector:
		a = a.with(BadQuery, "the query does not answer with a number")
	case len(reply.Series) == 0:
		a = a.with(NoData, "the query answers nothing: no series matches it")
	case len(reply.Series) > 1:
		a = a.with(SeveralSeries, fmt.Sprintf("the query answers with %d series, such as %s and %s, in place of one number; aggregate it, as in sum(…)",
			len(reply.Series), labelSet(reply.Series[0].Labels), labelSet(reply.Series[1].Labels)))
	case len(reply.Series[0].Points) != 1:
		a = a.with(BadQuery, "the query does not answer with a number")
	default:
		v := reply.Series[0].Points[0].Value
		if math.IsNaN(v) || math.IsInf(v, 0) {
			a = a.with(NonFinite, "the query answers "+strconv.FormatFloat(v, 'g', -1, 64)+", which is no measurement")
			break
		}
		return v, nil
	}
	return 0, &a
}

// early answers for checks whose window is still too short for a rate; nil
// when it is long enough.
func (l look) early() *answer {
	if l.since.IsZero() || l.at.Sub(l.since) >= l.gate.youngest() {
		return nil
	}
	a := answer{}.with(TooEarly, fmt.Sprintf("there are %s of traffic to look at, and a window must hold %s (%d scrapes)",
		span(max(0, l.at.Sub(l.since))), span(l.gate.youngest()), scrapesPerWindow))
	return &a
}

// text evaluates a template.
func (l look) text(t source.Template, extra map[string]string) (string, error) {
	if l.providers.Text != nil {
		return l.providers.Text(t, extra)
	}
	return substitute(t.Raw, extra)
}

// expression matches what stands in ${{ }}.
const expression = `\$\{\{\s*(.*?)\s*\}\}`

// substitute replaces the names in extra, and refuses all others.
func substitute(raw string, extra map[string]string) (string, error) {
	var missing error
	text := regexp.MustCompile(expression).ReplaceAllStringFunc(raw, func(m string) string {
		name := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(m, "${{"), "}}"))
		v, ok := extra[name]
		if !ok {
			missing = fmt.Errorf("evaluate %s: not known here", name)
		}
		return v
	})
	return text, missing
}

// names are what a query may use beside the usual names.
func (l look) names() map[string]string {
	return map[string]string{"selector": l.selector, "window": promDuration(l.window)}
}

// matchers joins PromQL label matchers, leaving out empty ones.
func matchers(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return strings.TrimSpace(s) == "" }), ",")
}

// labelSet writes labels as PromQL does, in a fixed order, at most five.
func labelSet(labels map[string]string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, k := range slices.Sorted(maps.Keys(labels)) {
		if i == 5 {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(k + "=" + strconv.Quote(labels[k]))
	}
	b.WriteByte('}')
	return b.String()
}

// newest is the moment of the latest sample.
func newest(series []Series) time.Time {
	var t time.Time
	for _, s := range series {
		if n := len(s.Points); n > 0 && s.Points[n-1].Time.After(t) {
			t = s.Points[n-1].Time
		}
	}
	return t
}
