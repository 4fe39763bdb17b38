package gatebench

import (
	"context"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
	"github.com/headgate-dev/headgate/gates/stats"
)

// several is G3: five things that can go wrong share one alpha.
func several() Line {
	const metrics = 5
	title := "five checks that decide"
	note := "All five compare, and share alpha: what counts is whether any of them rolls back."
	return Line{"G3", title, note, func(ctx context.Context, runs int) (Section, error) {
		s := Section{ID: "G3", Title: title, Note: note, Head: []string{"rollout", "**strict**", "Kayenta, any of them"}}
		var all judgements
		for _, rate := range []float64{100, 1000} {
			name := fmt.Sprintf("1 %% each, %v req/s", rate)
			var ours, kayenta Tally
			for run := range runs {
				if err := context.Cause(ctx); err != nil {
					return s, err
				}
				var looks [metrics][]counts.Look
				worst := Verdict{}
				for m := range metrics {
					scenario := Plain(fmt.Sprintf("%s, check %d", name, m), rate, 0.01, 0.01)
					scenario.History = 4 // what stable counted before must be known
					trace := scenario.Draw(run)
					looks[m] = trace.Looks(trace.Scrape(), 0)
					if v := Kayenta(trace); v.RolledBack {
						worst.Ruling = v
					}
				}
				kayenta.add(worst)
				v, err := family(looks[:])
				if err != nil {
					return s, err
				}
				ours.add(v)
			}
			s.Rows = append(s.Rows, []string{name, ours.String(), kayenta.String()})
			all.want("strict", name, AtMost(0.01), ours)
		}
		s.Goals = all.goals()
		return s, nil
	}}
}

// family judges several checks that share alpha 1 %.
func family(looks [][]counts.Look) (Verdict, error) {
	var checks []stats.Check
	for range looks {
		checks = append(checks, stats.Check{Settings: Strict(0.01).Tests, Weight: 1})
	}
	f, err := stats.NewFamily(stats.Spending{Alpha: 0.01, Planned: len(looks[0])}, checks)
	if err != nil {
		return Verdict{}, err
	}
	for k := range looks[0] {
		at := make([]*stats.Look, len(looks))
		for m := range looks {
			if l := looks[m][k]; l.Outcome == counts.OK {
				at[m] = &stats.Look{Canary: arm(l.Pair.Canary), Stable: arm(l.Pair.Stable)}
			}
		}
		for _, j := range f.Add(k+1, at) {
			if j.Crossed {
				return Verdict{Ruling: Ruling{true, time.Duration(k+1) * 15 * time.Second}}, nil
			}
		}
	}
	return Verdict{Passed: true}, nil
}
