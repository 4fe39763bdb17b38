package gatebench

import (
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
	"github.com/headgate-dev/headgate/gates/stats"
)

// Setting is one way to set a gate that compares error rates.
type Setting struct {
	// Name is that of a column.
	Name string
	// Tests are what the statistics are given; Planned and Max are filled in
	// from the rollout where they are 0.
	Tests stats.Settings
	// History says that the dispersion is measured before the release; without
	// it, Tests has it.
	History bool
	// Warmup is how long requests do not count.
	Warmup time.Duration
	// Max is up to how many looks the gate may be extended.
	Max int
}

// Strict tolerates nothing and guards against nothing.
func Strict(alpha float64) Setting {
	return Setting{
		Name:  "strict",
		Tests: stats.Settings{Alpha: alpha, Tolerance: 1, Guards: stats.Guards{Dispersion: 1}},
	}
}

// Default compares with the tolerance and the guards that a gate is to have.
func Default() Setting {
	return Setting{
		Name:    "default",
		Tests:   stats.Settings{Alpha: 0.01, Tolerance: stats.DefaultTolerance, Late: true, Guards: stats.DefaultGuards()},
		History: true,
	}
}

// measured is the setting with the dispersion from before the release.
func (s Setting) measured() Setting {
	s.Name, s.History = s.Name+", dispersion measured", true
	return s
}

// track tells the tracks of a trace apart.
func track(labels map[string]string) counts.Track {
	switch labels["app"] {
	case CanaryName:
		return counts.Canary
	case StableName:
		return counts.Stable
	}
	return counts.Other
}

func failed(labels map[string]string) bool { return labels["status"] == "500" }

// Looks counts what was scraped of a trace as our gates do. after is how long
// after the first traffic it begins.
func (t *Trace) Looks(series []counts.Series, after time.Duration) []counts.Look {
	s := counts.Settings{
		Begin: Epoch().Add(after), Started: Epoch().Add(-10 * time.Second),
		Every: t.Scenario.Scrape, Scrape: t.Scenario.Scrape, Compare: true, Track: track, Bad: failed,
	}
	return counts.Looks(s, series, s.At(len(t.Live)-int(after/t.Scenario.Scrape)).Add(counts.Lag(s.Scrape)))
}

// Judge lets our gate judge a trace from what was scraped of it. It is the
// path of a gate without its waiting: counts, then statistics.
func (s Setting) Judge(t *Trace, series []counts.Series) (Verdict, error) {
	looks := t.Looks(series, s.Warmup)
	tests := s.Tests
	tests.Planned, tests.Max = 20, s.Max
	if s.History {
		if phi, ok := stats.Dispersion(bins(t.History)); ok {
			tests.Guards.Dispersion = phi
		}
	}
	c, err := stats.NewComparison(tests)
	if err != nil {
		return Verdict{}, err
	}
	var sum stats.Look
	phi := 1.0
	for _, l := range looks {
		if l.Outcome != counts.OK {
			continue
		}
		look := stats.Look{Canary: arm(l.Pair.Canary), Stable: arm(l.Pair.Stable)}
		sum.Canary, sum.Stable = plus(sum.Canary, look.Canary), plus(sum.Stable, look.Stable)
		j := c.Add(l.K, look)
		phi = j.Dispersion
		if j.Crossed {
			return Verdict{Ruling: Ruling{true, s.Warmup + time.Duration(l.K)*t.Scenario.Scrape}}, nil
		}
	}
	return Verdict{Passed: stats.PassComparison(sum, stats.DefaultMargin(), phi).Shown}, nil
}

func arm(t counts.Tally) stats.Arm {
	a := stats.Arm{Requests: t.Requests}
	if len(t.Bad) > 0 {
		a.Bad = t.Bad[0]
	}
	return a
}

func plus(a, b stats.Arm) stats.Arm {
	return stats.Arm{Requests: a.Requests + b.Requests, Bad: a.Bad + b.Bad}
}

func bins(history []Counts) []stats.Bin {
	out := make([]stats.Bin, len(history))
	for i, c := range history {
		out[i] = stats.Bin{Requests: c.Requests, Bad: c.Bad}
	}
	return out
}
