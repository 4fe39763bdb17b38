package gatebench

import (
	"fmt"
	"time"
)

// Case is a scenario, and what is wanted of our gates in it.
type Case struct {
	// ID is that of the line of the benchmark, such as G1.
	ID       string
	Scenario Scenario
	Tries    []Try
}

// Try is one setting of a gate.
type Try struct {
	Setting Setting
	Wants   []Want
}

// Cases are all scenarios of error rates: releases that are well (G), bad (D),
// and seen by too few requests to tell (V).
func Cases() []Case {
	all := append(good(), weather()...)
	all = append(all, bursts()...)
	all = append(all, bad()...)
	return append(all, verdicts()...)
}

func rates() []float64 { return []float64{1, 10, 100, 1000} }

// good are releases like stable: G1 and, with another alpha, G2.
func good() []Case {
	var all []Case
	for _, base := range []float64{0.0001, 0.001, 0.01, 0.05, 0.2} {
		for _, rate := range rates() {
			s := Plain(fmt.Sprintf("%s, %v req/s", percent(base), rate), rate, base, base)
			all = append(all, Case{"G1", s, []Try{
				{Strict(0.01), []Want{AtMost(0.01)}}, {Default(), []Want{AtMost(0.005)}},
			}}, Case{"G2", s, []Try{{Strict(0.05), []Want{AtMost(0.05)}}}})
		}
	}
	return all
}

// weather are good releases while something else is wrong: G4, G5 and G7.
func weather() []Case {
	var all []Case
	both := []Try{{Strict(0.01), []Want{AtMost(0.01)}}, {Default(), []Want{AtMost(0.005)}}}
	for _, rate := range []float64{100, 1000} {
		outage := Plain(fmt.Sprintf("both from 0.5 to 20 %% for 90 s, %v req/s", rate), rate, 0, 0)
		outage.Stable = func(at time.Duration) float64 {
			if at >= 120*time.Second && at < 210*time.Second {
				return 0.2
			}
			return 0.005
		}
		outage.Canary = outage.Stable
		drift := Plain(fmt.Sprintf("both drift from 0.2 to 3 %%, %v req/s", rate), rate, 0, 0)
		drift.Stable = func(at time.Duration) float64 {
			return 0.002 + 0.028*min(1, max(0, at.Seconds()/300))
		}
		drift.Canary = drift.Stable
		noisy := Plain(fmt.Sprintf("both at 6 %%, %v req/s", rate), rate, 0.06, 0.06)
		for _, s := range []Scenario{outage, drift, noisy} {
			all = append(all, Case{"G4", s, both})
		}
	}
	slightly := Plain("2 % to 2.1 %, 1000 req/s", 1000, 0.02, 0.021)
	all = append(all, Case{"G5", slightly, []Try{{Default(), []Want{AtMost(0.005)}}}})
	for _, rate := range []float64{100, 1000} {
		cold := Plain(fmt.Sprintf("canary at 3 %% for 45 s, then 0.5 %%, %v req/s", rate), rate, 0.005, 0)
		cold.Canary = From(45*time.Second, 0.03, 0.005)
		cold.Looks += 4
		warm := func(s Setting) Setting { s.Warmup = time.Minute; return s }
		all = append(all, Case{"G7", cold, []Try{
			{warm(Strict(0.01)), []Want{AtMost(0.01)}}, {warm(Default()), []Want{AtMost(0.01)}},
		}})
	}
	return all
}

// bursts are errors that come in clusters: G6.
func bursts() []Case {
	var all []Case
	for _, size := range []float64{2, 5} {
		for _, rate := range []float64{10, 100, 1000} {
			s := Plain(fmt.Sprintf("clusters of %v, 1 %%, %v req/s", size, rate), rate, 0.01, 0.01)
			s.Burst = size
			all = append(all, Case{"G6", s, []Try{
				{Strict(0.01).measured(), []Want{AtMost(0.01)}}, {Default(), []Want{AtMost(0.01)}},
			}})
		}
	}
	s := Plain("clusters of 2, 1 % to 3 %, 100 req/s", 100, 0.01, 0.03)
	s.Burst = 2
	return append(all, Case{"G6", s, []Try{{Default(), []Want{AtLeast(0.88), Within(180*time.Second, 0)}}}})
}

// bad are releases with more errors than stable: D1 to D9.
func bad() []Case {
	const s = time.Second
	found := func(share float64, median time.Duration) []Want {
		return []Want{AtLeast(share), Within(median, 0)}
	}
	late := func(rate, before, after float64, median time.Duration) Case {
		c := Plain(fmt.Sprintf("%s to %s from 150 s on, %v req/s", percent(before), percent(after), rate), rate, before, 0)
		c.Canary = From(150*s, before, after)
		return Case{"D9", c, []Try{{Default(), []Want{AtLeast(1), Within(median, 150*s)}}}}
	}
	all := []Case{
		worse("D1", 0.001, 0.01, 100, Try{Default(), found(0.99, 75*s)}),
		worse("D2", 0.001, 0.01, 1000, Try{Default(), found(1, 15*s)}),
		worse("D3", 0.01, 0.02, 100, Try{Strict(0.01), found(0.94, 150*s)}, Try{Default(), found(0.85, 180*s)}),
		worse("D4", 0.01, 0.02, 1000, Try{Default(), found(1, 30*s)}),
		worse("D5", 0.01, 0.012, 1000, Try{Strict(0.01), found(0.70, 240*s)}),
		worse("D6", 0.05, 0.5, 1, Try{Default(), found(0.98, 120*s)}),
	}
	for _, rate := range []float64{10, 100, 1000} {
		all = append(all,
			worse("D6", 0.05, 0.5, rate, Try{Default(), found(1, 15*s)}),
			worse("D7", 0, 1, rate, Try{Default(), found(1, 15*s)}))
	}
	all = append(all, worse("D8", 0.001, 0.05, 10, Try{Default(), found(0.99, 75*s)}),
		late(100, 0.001, 0.05, 30*s), late(1000, 0.01, 0.02, 45*s))
	extended := func(c Case) Case {
		c.Scenario.Looks = 120
		c.Scenario.Name += ", extended to 30 min"
		for i := range c.Tries {
			c.Tries[i].Setting.Max = 120
		}
		return c
	}
	return append(all,
		extended(worse("D10", 0.001, 0.001, 10, Try{Default(), []Want{AtMost(0.01)}})),
		extended(worse("D10", 0.001, 0.01, 10, Try{Default(), found(0.97, 450*s)})))
}

func worse(id string, stable, canary, rate float64, tries ...Try) Case {
	name := fmt.Sprintf("%s to %s, %v req/s", percent(stable), percent(canary), rate)
	return Case{id, Plain(name, rate, stable, canary), tries}
}

// verdicts are about what passes: V1 and V2.
func verdicts() []Case {
	var all []Case
	for _, rate := range []float64{1, 10} {
		all = append(all, worse("V1", 0.001, 0.01, rate, Try{Default(), []Want{NeverPassed()}}))
	}
	for _, base := range []float64{0.001, 0.01} {
		all = append(all, worse("V2", base, base, 100, Try{Default(), []Want{PassedAtLeast(0.98)}}))
	}
	return all
}
