package gatebench

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
	"github.com/headgate-dev/headgate/gates/stats"
)

// slowTolerance is by how much the odds of a slow request may grow.
const slowTolerance = 1.25

// latency is L1: requests that take longer.
func latency() Line {
	title := "slower requests"
	note := "Durations are lognormal around 80 ms and end in Prometheus' default buckets. " +
		"Requests above four bounds are compared, those nearest to stable's p50, p95, p99 and p99.9 before the release."
	head := []string{"rollout", "**default**", "fixed p95 of 1 s", "Flagger, p99 of 500 ms", "Kayenta, p95"}
	return Line{"L1", title, note, func(ctx context.Context, runs int) (Section, error) {
		s := Section{ID: "L1", Title: title, Note: note, Head: head}
		var all judgements
		for _, c := range slowCases() {
			var tallies [4]Tally
			for run := range runs {
				if err := context.Cause(ctx); err != nil {
					return s, err
				}
				t := drawSlow(c.name, c.rate, LogNormal(0.08), c.canary, run)
				v, err := t.judge()
				if err != nil {
					return s, err
				}
				tallies[0].add(v)
				for i, rule := range []func(*slowTrace) Ruling{slowFixed, slowFlagger, slowKayenta} {
					tallies[i+1].add(Verdict{Ruling: rule(t)})
				}
			}
			row := []string{c.name}
			for _, t := range tallies {
				row = append(row, t.String())
			}
			s.Rows = append(s.Rows, row)
			for _, w := range c.wants {
				all.want(c.goal, c.name, w, tallies[0])
			}
		}
		s.Goals = all.goals()
		return s, nil
	}}
}

type slowCase struct {
	name, goal string
	rate       float64
	canary     Durations
	wants      []Want
}

func slowCases() []slowCase {
	var all []slowCase
	for _, rate := range []float64{10, 100, 1000} {
		all = append(all, slowCase{
			fmt.Sprintf("like stable, %v req/s", rate), "like stable", rate, LogNormal(0.08), []Want{AtMost(0.01)},
		})
	}
	return append(all,
		slowCase{
			"all take 1.3 times as long, 100 req/s", "1.3 times as long", 100, LogNormal(0.08 * 1.3),
			[]Want{AtLeast(1), Within(time.Minute, 0)},
		},
		slowCase{
			"2 % take 3 s, 100 req/s", "2 % take 3 s", 100, LogNormal(0.08).WithSlow(0.02),
			[]Want{AtLeast(1), Within(45*time.Second, 0)},
		})
}

// judge compares the requests above each bound; they share alpha 1 %.
func (t *slowTrace) judge() (Verdict, error) {
	above := t.nearest()
	var checks []stats.Check
	for _, b := range above {
		tests := Default().Tests
		tests.Tolerance = slowTolerance
		if phi, ok := stats.Dispersion(bins(slower(t.history, b))); ok {
			tests.Guards.Dispersion = phi
		}
		checks = append(checks, stats.Check{Settings: tests, Weight: 1})
	}
	f, err := stats.NewFamily(stats.Spending{Alpha: 0.01, Planned: len(t.canary)}, checks)
	if err != nil {
		return Verdict{}, err
	}
	for _, l := range t.looks(above) {
		if l.Outcome != counts.OK {
			continue
		}
		at := make([]*stats.Look, len(above))
		for i := range above {
			at[i] = &stats.Look{
				Canary: stats.Arm{Requests: l.Pair.Canary.Requests, Bad: l.Pair.Canary.Bad[i]},
				Stable: stats.Arm{Requests: l.Pair.Stable.Requests, Bad: l.Pair.Stable.Bad[i]},
			}
		}
		for _, j := range f.Add(l.K, at) {
			if j.Crossed {
				return Verdict{Ruling: Ruling{true, time.Duration(l.K) * t.scrape}}, nil
			}
		}
	}
	return Verdict{}, nil
}

func (t *slowTrace) window(end, length time.Duration) histogram {
	var sum histogram
	for i := max(0, int((end-length)/t.scrape)); i < int(end/t.scrape); i++ {
		sum.add(t.canary[i])
	}
	return sum
}

func (t *slowTrace) length() time.Duration { return time.Duration(len(t.canary)) * t.scrape }

func slowFixed(t *slowTrace) Ruling {
	for at := every; at <= t.length(); at += every {
		if t.window(at, minute).quantile(0.95) > 1 {
			return Ruling{true, at}
		}
	}
	return Ruling{}
}

func slowFlagger(t *slowTrace) Ruling {
	failed := 0
	for at := every; at <= t.length(); at += every {
		if q := t.window(at, minute).quantile(0.99); math.IsNaN(q) || q > 0.5 {
			failed++
		}
		if failed >= 5 {
			return Ruling{true, at}
		}
	}
	return Ruling{}
}

func slowKayenta(t *slowTrace) Ruling {
	points := func(all []histogram) []float64 {
		var out []float64
		for _, h := range all {
			if q := h.quantile(0.95); !math.IsNaN(q) {
				out = append(out, q)
			}
		}
		return out
	}
	if High(points(t.stable), points(t.canary)) {
		return Ruling{true, t.length()}
	}
	return Ruling{}
}
