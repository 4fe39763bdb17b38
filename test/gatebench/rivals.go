package gatebench

import (
	"math"
	"time"
)

// Ruling is what a rule did with a rollout.
type Ruling struct {
	// RolledBack at the time At, since the first traffic; otherwise the
	// release went on to its end.
	RolledBack bool
	At         time.Duration
}

// Rule judges a rollout as another tool would.
type Rule struct {
	Name  string
	Judge func(*Trace) Ruling
}

// Rivals are the rules that ours are held against, each with the setting that
// its own documentation shows.
func Rivals() []Rule {
	return []Rule{
		{"fixed 5 %, 5 m window", FiveMinutes},
		{"fixed 5 %, clean window", CleanMinute},
		{"Argo Rollouts", Argo},
		{"Flagger", Flagger},
		{"Kayenta", Kayenta},
	}
}

const (
	every  = 30 * time.Second
	minute = time.Minute
)

// window sums what the canary did in the time up to an end.
func (t *Trace) window(end, length time.Duration) Counts {
	var sum Counts
	scrape := t.Scenario.Scrape
	for i := max(0, int((end-length)/scrape)); i < int(end/scrape); i++ {
		sum.add(t.Live[i].Canary)
	}
	return sum
}

// length is how long the rollout took.
func (t *Trace) length() time.Duration { return time.Duration(len(t.Live)) * t.Scenario.Scrape }

// FiveMinutes asks every 30 s for the error rate in the last five minutes,
// which at first are those of the former release, and rolls back above 5 %.
// No requests count as no errors.
func FiveMinutes(t *Trace) Ruling {
	for at := every; at <= t.length(); at += every {
		sum := t.window(at, 5*time.Minute)
		for i := int(at / t.Scenario.Scrape); i < len(t.Before); i++ {
			sum.add(t.Before[i])
		}
		if sum.Requests > 0 && sum.Rate() > 0.05 {
			return Ruling{true, at}
		}
	}
	return Ruling{}
}

// CleanMinute is the same with a window of one minute that holds nothing but
// the canary's own requests.
func CleanMinute(t *Trace) Ruling {
	for at := every; at <= t.length(); at += every {
		if sum := t.window(at, minute); sum.Requests > 0 && sum.Rate() > 0.05 {
			return Ruling{true, at}
		}
	}
	return Ruling{}
}

// Argo measures the success rate of the last minute every 30 s. A measurement
// below 95 %, or not a number, has failed; more than three of those abort.
func Argo(t *Trace) Ruling {
	failed := 0
	for at := every; at <= t.length(); at += every {
		if rate := t.window(at, minute).Rate(); !(1-rate >= 0.95) {
			failed++
		}
		if failed > 3 {
			return Ruling{true, at}
		}
	}
	return Ruling{}
}

// Flagger measures the success rate of the last minute every 30 s; below 99 %,
// and without any value, a check has failed. The fifth rolls back, and no good
// check makes up for a failed one. That Flagger acts one interval later is
// left out.
func Flagger(t *Trace) Ruling {
	failed := 0
	for at := every; at <= t.length(); at += every {
		if rate := t.window(at, minute).Rate(); math.IsNaN(rate) || 1-rate < 0.99 {
			failed++
		}
		if failed >= 5 {
			return Ruling{true, at}
		}
	}
	return Ruling{}
}

// Kayenta compares the error rates of all scrapes at the end, by
// [MannWhitney], in the direction of an increase. It looks once.
func Kayenta(t *Trace) Ruling {
	var control, experiment []float64
	for _, i := range t.Live {
		if i.Stable.Requests > 0 {
			control = append(control, i.Stable.Rate())
		}
		if i.Canary.Requests > 0 {
			experiment = append(experiment, i.Canary.Rate())
		}
	}
	if High(control, experiment) {
		return Ruling{true, t.length()}
	}
	return Ruling{}
}
