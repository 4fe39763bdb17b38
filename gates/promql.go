package gates

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// newParser reads PromQL with all that a server may have switched on: what a
// given server does not know, its own answer in the preflight says.
func newParser() parser.Parser {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true})
}

// plainParseError is the first error with its place in the text; shift is
// how many characters were put before the text.
func plainParseError(err error, shift int) string {
	errs, ok := errors.AsType[parser.ParseErrors](err)
	if !ok || len(errs) == 0 {
		return err.Error()
	}
	at := int(errs[0].PositionRange.Start) - shift + 1
	return fmt.Sprintf("%s, at character %d", errs[0].Err, max(1, at))
}

// checkMatchers reports texts that are no PromQL matchers.
func checkMatchers(report func(source.Problem), texts ...source.String) {
	for _, s := range texts {
		if _, err := parseMatchers(s.Value); err != nil {
			report(source.Problem{
				Pos: s.Pos, Width: 1, Message: err.Error(),
				Hint: `expected label matchers such as status=~"5..",path!="/health"`,
			})
		}
	}
}

// uses reports whether a template holds a name that the gate adds.
func uses(t source.Template, name string) bool {
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(t.Raw, -1) {
		if m[1] == name {
			return true
		}
	}
	return false
}

// remark is something about a query that is probably a mistake.
type remark struct{ message, hint string }

// remarks looks for what is legal PromQL and yet seldom meant.
func remarks(expr parser.Expr) []remark {
	var out []remark
	add := func(message, hint string) {
		for _, r := range out {
			if r.message == message {
				return
			}
		}
		out = append(out, remark{message, hint})
	}
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.Call:
			if growth(n) && aggregates(n.Args[0]) {
				add(n.Func.Name+" of an aggregate sees no counter resets, and takes every restart of a pod for a burst",
					"aggregate the rates: sum("+n.Func.Name+"(…))")
			}
		case *parser.BinaryExpr:
			switch {
			case n.Op == parser.DIV && perSeries(n.LHS) && perSeries(n.RHS):
				add("the ratio is taken for every series alone, so errors are divided by errors, and by nothing where a series is missing",
					"aggregate both sides: sum(rate(…)) / sum(rate(…))")
			case n.Op.IsComparisonOperator() && !n.ReturnBool && len(path) == 0:
				add("a comparison answers nothing when it does not hold, which counts as no data",
					"leave the comparison out, and set max: or min:")
			}
		}
		return nil
	})
	return out
}

// growth reports whether a call turns a counter into what it grew by.
func growth(c *parser.Call) bool {
	switch c.Func.Name {
	case "rate", "irate", "increase":
		return len(c.Args) == 1
	}
	return false
}

// aggregates reports whether e is a subquery over an aggregation.
func aggregates(e parser.Expr) bool {
	s, ok := unparen(e).(*parser.SubqueryExpr)
	if !ok {
		return false
	}
	_, ok = unparen(s.Expr).(*parser.AggregateExpr)
	return ok
}

// perSeries reports whether e is a rate that has not been aggregated.
func perSeries(e parser.Expr) bool {
	c, ok := unparen(e).(*parser.Call)
	return ok && growth(c)
}

func unparen(e parser.Expr) parser.Expr {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

// fixedRange reports whether a query looks back over a range that does not
// follow the window.
func fixedRange(raw string) bool {
	return regexp.MustCompile(`\[\s*[0-9][0-9a-z]*\s*[\]:]`).MatchString(raw)
}

// emptyAsZero reports whether a query takes no data for 0.
func emptyAsZero(raw string) bool {
	return strings.Contains(strings.Join(strings.Fields(raw), ""), "orvector(0)")
}
