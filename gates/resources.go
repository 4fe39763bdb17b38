package gates

import (
	"context"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// realContainers leaves out the sums that cAdvisor reports beside the
// containers, which would count everything twice.
const realContainers = `container!="",container!="POD"`

// CPU asks how much CPU the busiest pod uses.
type CPU struct {
	Pos    source.Pos
	Max    source.Percent `yaml:"max" required:"true" short:"true" max:"100000%" doc:"The most that is well: of one core, so that 250% is two and a half, or of the limit." example:"80%"`
	Of     source.String  `yaml:"of" default:"core" enum:"core|limit" doc:"What 100% is: one core, summed over the containers of a pod, or each container's limit."`
	Metric source.String  `yaml:"metric" default:"container_cpu_usage_seconds_total" pattern:"^[a-zA-Z_:][a-zA-Z0-9_:]*$" words:"the name of a metric" doc:"A counter of seconds of CPU."`
	Where  source.String  `yaml:"where" doc:"Further PromQL matchers, such as those of one container."`
}

// Check reports matchers that are none.
func (c *CPU) Check(report func(source.Problem)) { checkMatchers(report, c.Where) }

func (c *CPU) query(l look) string {
	m := matchers(l.selector, c.Where.Value, realContainers)
	used := func(by string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s{%s}[%s]))", by, c.Metric.Value, m, promDuration(l.window))
	}
	if c.Of.Value == "limit" {
		const by = "namespace, pod, container"
		return fmt.Sprintf("max(%s / (sum by (%s) (container_spec_cpu_quota{%s}) / sum by (%s) (container_spec_cpu_period{%s}))) * 100",
			used(by), by, m, by, m)
	}
	return fmt.Sprintf("max(%s) * 100", used("namespace, pod"))
}

func (c *CPU) ask(ctx context.Context, l look) answer {
	of := "of a core"
	if c.Of.Value == "limit" {
		of = "of its limit"
	}
	return l.gauge(ctx, gauge{
		query: c.query(l), max: c.Max, subject: "the busiest pod uses", of: of,
		missing: fmt.Sprintf("no series matches %s{%s}, or each has one sample only", c.Metric.Value, matchers(l.selector, c.Where.Value, realContainers)),
	})
}

// Memory asks how near the fullest container is to its limit. It takes the
// peak of the window.
type Memory struct {
	Pos    source.Pos
	Max    source.Percent `yaml:"max" required:"true" short:"true" doc:"The largest share of the limit that is well." example:"80%"`
	Metric source.String  `yaml:"metric" default:"container_memory_usage_bytes" pattern:"^[a-zA-Z_:][a-zA-Z0-9_:]*$" words:"the name of a metric" doc:"Memory used, in bytes. It holds caches, which the kernel can drop; container_memory_working_set_bytes does not."`
	Limit  source.String  `yaml:"limit" default:"container_spec_memory_limit_bytes" pattern:"^[a-zA-Z_:][a-zA-Z0-9_:]*$" words:"the name of a metric" doc:"The limit, in bytes. Containers without one are left out."`
	Where  source.String  `yaml:"where" doc:"Further PromQL matchers, such as those of one container."`
}

// Check reports matchers that are none.
func (c *Memory) Check(report func(source.Problem)) { checkMatchers(report, c.Where) }

func (c *Memory) query(l look) string {
	m := matchers(l.selector, c.Where.Value, realContainers)
	const by = "namespace, pod, container"
	return fmt.Sprintf("max(max by (%s) (max_over_time(%s{%s}[%s])) / (max by (%s) (%s{%s}) > 0)) * 100",
		by, c.Metric.Value, m, promDuration(l.window), by, c.Limit.Value, m)
}

func (c *Memory) ask(ctx context.Context, l look) answer {
	m := matchers(l.selector, c.Where.Value, realContainers)
	return l.gauge(ctx, gauge{
		query: c.query(l), max: c.Max, subject: "the fullest container uses", of: "of its limit",
		missing: fmt.Sprintf("no series matches both %s{%s} and %s{%s} with a limit above 0", c.Metric.Value, m, c.Limit.Value, m),
	})
}

// gauge is a measurement of pods in percent.
type gauge struct {
	query       string
	max         source.Percent
	subject, of string
	missing     string
}

func (l look) gauge(ctx context.Context, g gauge) answer {
	a := answer{query: g.query, bound: "max " + g.max.String(), max: new(g.max.Value), unit: "%"}
	if early := l.early(); early != nil {
		return a.with(early.result, early.reason)
	}
	v, bad := l.one(ctx, g.query)
	if bad != nil {
		if bad.result == NoData {
			bad.reason = g.missing
		}
		return a.with(bad.result, bad.reason)
	}
	a.value, a.good = new(v), v <= g.max.Value
	held := "at most " + g.max.String() + " is well"
	if !a.good {
		held = "more than " + g.max.String()
	}
	return a.with(Value, fmt.Sprintf("%s %s %s, %s", g.subject, percent(v/100), g.of, held))
}
