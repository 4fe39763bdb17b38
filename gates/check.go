package gates

import (
	"context"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Check is one question with an answer. Exactly one of the kinds is set.
type Check struct {
	Pos  source.Pos
	Name source.String `yaml:"name" doc:"What verdicts call the check. Default: its kind."`

	Query     source.Template `yaml:"query" oneof:"check" vars:"selector,window" doc:"A PromQL query that answers with one number, held against max and min. ${{ selector }} stands for the matchers that select the track's pods, ${{ window }} for the length of the window."`
	ErrorRate *ErrorRate      `yaml:"errorRate" oneof:"check" doc:"The share of requests that failed."`
	Latency   *Latency        `yaml:"latency" oneof:"check" doc:"How long requests took, from a histogram."`
	CPU       *CPU            `yaml:"cpu" oneof:"check" doc:"CPU used by the busiest pod."`
	Memory    *Memory         `yaml:"memory" oneof:"check" doc:"Memory used by the fullest container, as a share of its limit."`
	HTTP      *HTTP           `yaml:"http" oneof:"check" doc:"An HTTP request and what it must answer."`
	Command   *Script         `yaml:"command" oneof:"check" doc:"A script that must end with exit code 0."`

	Max        source.Float    `yaml:"max" doc:"With query: the largest value that is well."`
	Min        source.Float    `yaml:"min" doc:"With query: the smallest value that is well."`
	Unit       source.String   `yaml:"unit" doc:"With query: what the value is counted in, for people." example:"req/s"`
	Samples    source.Template `yaml:"samples" vars:"selector,window" doc:"With query: a PromQL query for the number of requests or events that the value rests on."`
	MinSamples source.Int      `yaml:"minSamples" default:"100" min:"1" doc:"With samples: below this number the check is inconclusive."`
}

// asker is a kind of check.
type asker interface {
	// ask looks once. It returns an answer in any case; whether ctx ended is
	// for the caller to see.
	ask(ctx context.Context, l look) answer
}

// look is what one look of a watch gives to its checks.
type look struct {
	providers Providers
	gate      *Gate
	// track is its name, selector what selects its metrics.
	track, selector string
	// at is the moment of evaluation and since that at which the time to be
	// judged began, both by the metrics' clock; since is zero where there is
	// no beginning.
	at, since time.Time
	window    time.Duration
}

// kind returns what the check is, and the word for it.
func (c *Check) kind() (asker, string) {
	switch {
	case c.ErrorRate != nil:
		return c.ErrorRate, "errorRate"
	case c.Latency != nil:
		return c.Latency, "latency"
	case c.CPU != nil:
		return c.CPU, "cpu"
	case c.Memory != nil:
		return c.Memory, "memory"
	case c.HTTP != nil:
		return c.HTTP, "http"
	case c.Command != nil:
		return c.Command, "command"
	}
	return (*query)(c), "query"
}

func (c *Check) title() string {
	if c.Name.IsSet() {
		return c.Name.Value
	}
	_, word := c.kind()
	return word
}

// Metrics reports whether the check asks the metrics' provider.
func (c *Check) Metrics() bool { return c.HTTP == nil && c.Command == nil }

// Check reports keys that do nothing with this kind of check, and a query
// without a bound.
func (c *Check) Check(report func(source.Problem)) {
	if !c.Query.IsSet() {
		_, word := c.kind()
		for _, key := range []struct {
			name string
			pos  source.Pos
		}{{"max", c.Max.Pos}, {"min", c.Min.Pos}, {"unit", c.Unit.Pos}, {"samples", c.Samples.Pos}, {"minSamples", c.MinSamples.Pos}} {
			if key.pos.IsValid() {
				report(source.Problem{
					Pos: key.pos, Width: 1,
					Message: key.name + " beside " + word + " does nothing",
					Hint:    "bounds of a preset stand inside it, such as errorRate: {max: 5%}",
				})
			}
		}
		return
	}
	if !c.Max.IsSet() && !c.Min.IsSet() {
		report(source.Problem{
			Pos: c.Query.Pos, Width: 1,
			Message: "a query needs a bound", Hint: "add max:, min: or both",
		})
	}
	if c.Max.IsSet() && c.Min.IsSet() && c.Min.Value > c.Max.Value {
		report(source.Problem{Pos: c.Min.Pos, Width: 1, Message: "min is larger than max"})
	}
	if c.MinSamples.Pos.IsValid() && !c.Samples.IsSet() {
		report(source.Problem{
			Pos: c.MinSamples.Pos, Width: 1,
			Message: "minSamples does nothing without samples", Hint: "add samples: with a query that counts requests",
		})
	}
}
