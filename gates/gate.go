package gates

import (
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// Section is the key `gates` of the pipeline file: gates by name.
type Section struct {
	source.Map[*Gate]
}

// Key is the name of the section in the file.
const Key = "gates"

// Declare returns the section for a [pipeline.Grammar].
func Declare() pipeline.Section {
	return pipeline.Section{
		Name: Key,
		Doc:  "Gates by name: lists of checks that decide whether a release goes on.",
		New:  func() any { return &Section{} },
	}
}

// Gate returns the gate of that name, and false where there is none.
func (s *Section) Gate(name string) (*Gate, bool) {
	if s == nil {
		return nil, false
	}
	g, ok := s.Get(name)
	if !ok || g == nil {
		return nil, false
	}
	named := *g
	named.name = name
	return &named, true
}

// Of returns the gate of that name in a pipeline.
func Of(p *pipeline.Pipeline, name string) (*Gate, bool) {
	s, ok := pipeline.SectionOf[*Section](p, Key)
	if !ok {
		return nil, false
	}
	return s.Gate(name)
}

// Gate is a list of checks with the policies that hold for all of them.
type Gate struct {
	Pos    source.Pos
	Checks []*Check `yaml:"checks" required:"true" min:"1" short:"true" doc:"The questions that are asked at every look. All must be answered well."`

	Every           source.Duration `yaml:"every" default:"30s" min:"100ms" doc:"Time from one look to the next."`
	Window          source.Duration `yaml:"window" default:"2m" doc:"How far back queries look. The window never reaches back to before the track began to get traffic, so it is shorter at first."`
	Warmup          source.Duration `yaml:"warmup" default:"0s" doc:"How long after its first traffic a track is not judged yet; windows begin after it."`
	ScrapeInterval  source.Duration `yaml:"scrapeInterval" default:"15s" min:"100ms" doc:"How often Prometheus scrapes the pods. A window holds at least four scrapes; before that, queries with a window are not asked."`
	FailuresAllowed source.Int      `yaml:"failuresAllowed" default:"0" min:"0" max:"1000" doc:"How many failing looks each check may have in the whole watch, whether or not in a row. A failing look within this number still keeps the release from advancing."`

	OnInconclusive       source.String   `yaml:"onInconclusive" default:"fail" enum:"fail|extend" doc:"What happens when the time is over and it was not shown that all is well: fail, or extend and go on looking for maxExtend before failing."`
	MaxExtend            source.Duration `yaml:"maxExtend" default:"10m" doc:"How long the gate goes on looking with onInconclusive: extend."`
	OnNoData             source.String   `yaml:"onNoData" default:"hold" enum:"hold|fail" doc:"What it means when no series matches, or only old samples: hold (inconclusive, do not advance) or fail."`
	OnNoTraffic          source.String   `yaml:"onNoTraffic" default:"hold" enum:"hold|fail" doc:"What it means when there are series but no requests: hold or fail."`
	OnNonFinite          source.String   `yaml:"onNonFinite" default:"hold" enum:"hold|fail" doc:"What it means when a query answers NaN or an infinity: hold or fail."`
	OnMetricsUnavailable source.String   `yaml:"onMetricsUnavailable" default:"rollback" enum:"rollback|pause" doc:"What happens when metrics have been unavailable for metricsGrace, during which nothing advances: rollback, or pause (go on waiting, as long as the stage's timeout allows)."`
	MetricsGrace         source.Duration `yaml:"metricsGrace" default:"5m" doc:"How long metrics may be unavailable before onMetricsUnavailable: rollback fails the gate."`

	name string
}

// scrapesPerWindow is how many scrapes a window holds at least: with fewer,
// rates rest on one or two increments.
const scrapesPerWindow = 4

// Name returns the gate's name in the file.
func (g *Gate) Name() string { return g.name }

// Check reports settings that contradict each other.
func (g *Gate) Check(report func(source.Problem)) {
	if least := scrapesPerWindow * g.ScrapeInterval.Value; g.Window.Value < least {
		report(source.Problem{
			Pos: g.where(g.Window.Pos), Width: 1,
			Message: fmt.Sprintf("a window of %s holds fewer than %d scrapes", span(g.Window.Value), scrapesPerWindow),
			Hint:    fmt.Sprintf("write at least %s, or set scrapeInterval to what Prometheus uses for these pods", span(least)),
		})
	}
	if g.MaxExtend.Pos.IsValid() && g.OnInconclusive.Value != extend {
		report(source.Problem{
			Pos: g.MaxExtend.Pos, Width: 1,
			Message: "maxExtend does nothing without onInconclusive: extend",
		})
	}
	if g.MetricsGrace.Pos.IsValid() && g.OnMetricsUnavailable.Value == pause {
		report(source.Problem{
			Pos: g.MetricsGrace.Pos, Width: 1,
			Message: "metricsGrace does nothing with onMetricsUnavailable: pause",
		})
	}
	names := map[string]source.Pos{}
	for _, c := range g.Checks {
		if c == nil || !c.Name.IsSet() {
			continue
		}
		if first, ok := names[c.Name.Value]; ok {
			report(source.Problem{
				Pos: c.Name.Pos, Width: 1,
				Message: fmt.Sprintf("the gate has two checks named %q", c.Name.Value),
				Hint:    "the first is at line " + first.String(),
			})
		}
		names[c.Name.Value] = c.Name.Pos
	}
}

// where falls back to the gate's own place for what stands there by default.
func (g *Gate) where(p source.Pos) source.Pos {
	if p.IsValid() {
		return p
	}
	return g.Pos
}

// youngest is the age below which a query with a window is not asked.
func (g *Gate) youngest() time.Duration { return scrapesPerWindow * g.ScrapeInterval.Value }

// names returns what each check is called: its name, or its kind, with a
// number where that would not tell it apart.
func (g *Gate) names() []string {
	seen := map[string]int{}
	out := make([]string, len(g.Checks))
	for i, c := range g.Checks {
		n := c.title()
		seen[n]++
		if seen[n] > 1 {
			n = fmt.Sprintf("%s %d", n, seen[n])
		}
		out[i] = n
	}
	return out
}
