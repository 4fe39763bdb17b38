package gates

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// query is a check by a PromQL query of the user's.
type query Check

func (c *query) ask(ctx context.Context, l look) answer {
	a := answer{bound: c.bound(), unit: c.Unit.Value}
	if c.Max.IsSet() {
		a.max = new(c.Max.Value)
	}
	if c.Min.IsSet() {
		a.min = new(c.Min.Value)
	}
	q, err := l.text(c.Query, l.names())
	if err != nil {
		return a.with(BadQuery, err.Error())
	}
	a.query = q
	if usesWindow(c.Query) || usesWindow(c.Samples) {
		if early := l.early(); early != nil {
			return a.with(early.result, early.reason)
		}
	}
	if c.Samples.IsSet() {
		n, bad := c.enough(ctx, l)
		a.samples = n
		if bad != nil {
			return a.with(bad.result, bad.reason)
		}
	}
	v, bad := l.one(ctx, q)
	if bad != nil {
		return a.with(bad.result, bad.reason)
	}
	a.value = new(v)
	shown := c.shown(v)
	switch {
	case c.Max.IsSet() && v > c.Max.Value:
		return a.with(Value, fmt.Sprintf("the value is %s, more than %s", shown, c.shown(c.Max.Value)))
	case c.Min.IsSet() && v < c.Min.Value:
		return a.with(Value, fmt.Sprintf("the value is %s, less than %s", shown, c.shown(c.Min.Value)))
	case !c.Max.IsSet() && !c.Min.IsSet():
		return a.with(BadQuery, "the check has no bound")
	}
	a.good = true
	return a.with(Value, "the value is "+shown+", within its bounds ("+a.bound+")")
}

// enough asks the companion query how many samples there are.
func (c *query) enough(ctx context.Context, l look) (*float64, *answer) {
	q, err := l.text(c.Samples, l.names())
	if err != nil {
		a := answer{}.with(BadQuery, "samples: "+err.Error())
		return nil, &a
	}
	n, bad := l.one(ctx, q)
	if bad != nil {
		bad.reason = "samples: " + bad.reason
		return nil, bad
	}
	// increase() guesses beyond the window's edges: 99.8 requests are 100.
	n = math.Round(n)
	least := float64(c.MinSamples.Value)
	switch {
	case n <= 0:
		a := answer{}.with(NoTraffic, "there are no samples")
		return new(n), &a
	case n < least:
		a := answer{}.with(FewSamples, fmt.Sprintf("there are %s, and it takes %s to tell", plural(n, "sample"), number(least)))
		return new(n), &a
	}
	return new(n), nil
}

func (c *query) bound() string {
	var parts []string
	if c.Min.IsSet() {
		parts = append(parts, "min "+c.shown(c.Min.Value))
	}
	if c.Max.IsSet() {
		parts = append(parts, "max "+c.shown(c.Max.Value))
	}
	return strings.Join(parts, ", ")
}

// shown writes a value with its unit.
func (c *query) shown(v float64) string {
	switch u := c.Unit.Value; u {
	case "":
		return number(v)
	case "%":
		return number(v) + u
	default:
		return number(v) + " " + u
	}
}

// usesWindow reports whether the template holds ${{ window }}.
func usesWindow(t source.Template) bool {
	return uses(t, "window")
}
