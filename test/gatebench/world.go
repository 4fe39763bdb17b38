package gatebench

import (
	"math/rand/v2"
	"time"
)

// Chance is the probability that a request fails which is made at a time since
// the canary began to get traffic; times before that are negative.
type Chance func(at time.Duration) float64

// Always is the same chance at all times.
func Always(p float64) Chance { return func(time.Duration) float64 { return p } }

// From is one chance until a time, and another after it.
func From(at time.Duration, before, after float64) Chance {
	return func(t time.Duration) float64 {
		if t < at {
			return before
		}
		return after
	}
}

// Scenario is a rollout with a known truth.
type Scenario struct {
	// Name tells the scenario from others; seeds depend on it.
	Name string
	// Rate is the number of requests a second, of both tracks together.
	Rate float64
	// Share is the canary's share of them, 0 to 1.
	Share float64
	// Stable and Canary are what fails.
	Stable, Canary Chance
	// Burst is the mean size of the clusters that failures come in; sizes are
	// geometric. 0 and 1 mean single failures.
	Burst float64
	// Scrape is the time between two scrapes, which is also that between looks.
	Scrape time.Duration
	// Looks is how many scrapes are simulated from the first traffic on.
	Looks int
	// History is how many scrapes of stable are simulated before.
	History int
	// CanaryPods and StablePods are how many pods share the requests.
	CanaryPods, StablePods int
}

// Plain is a rollout of five minutes with a canary of 10 %, scraped every 15 s,
// with an hour of history.
func Plain(name string, rate, stable, canary float64) Scenario {
	return Scenario{
		Name: name, Rate: rate, Share: 0.1, Stable: Always(stable), Canary: Always(canary),
		Scrape: 15 * time.Second, Looks: 20, History: 240, CanaryPods: 1, StablePods: 2,
	}
}

// Counts are requests of one track, and how many of them failed.
type Counts struct{ Requests, Bad int64 }

func (c *Counts) add(d Counts) {
	c.Requests += d.Requests
	c.Bad += d.Bad
}

// Rate is the share that failed; NaN without requests.
func (c Counts) Rate() float64 { return float64(c.Bad) / float64(c.Requests) }

// Interval is what both tracks did between two scrapes.
type Interval struct{ Canary, Stable Counts }

// Trace is one rollout: what each pod did between any two scrapes.
type Trace struct {
	Scenario Scenario
	// History is stable's, Live both tracks' from the first traffic on.
	History []Counts
	Live    []Interval
	// Before is what a pod with the canary's traffic would have done in the
	// five minutes before: rules with a fixed window mix it in.
	Before []Counts
	// canary and stable are the pods' own; stable's begin with the history.
	canary, stable [][]Counts
}

// Draw simulates the rollout with a number.
func (s Scenario) Draw(run int) *Trace {
	r := Random(s.Name, run)
	t := &Trace{Scenario: s, History: make([]Counts, s.History), Live: make([]Interval, s.Looks)}
	for range s.StablePods {
		pod := make([]Counts, s.History+s.Looks)
		for i := range pod {
			pod[i] = s.interval(r, i-s.History, s.Stable, (1-s.Share)/float64(s.StablePods))
			if i < s.History {
				t.History[i].add(pod[i])
			} else {
				t.Live[i-s.History].Stable.add(pod[i])
			}
		}
		t.stable = append(t.stable, pod)
	}
	for range s.CanaryPods {
		pod := make([]Counts, s.Looks)
		for i := range pod {
			pod[i] = s.interval(r, i, s.Canary, s.Share/float64(s.CanaryPods))
			t.Live[i].Canary.add(pod[i])
		}
		t.canary = append(t.canary, pod)
	}
	for i := -int(5 * time.Minute / s.Scrape); i < 0; i++ {
		t.Before = append(t.Before, s.interval(r, i, s.Stable, s.Share))
	}
	return t
}

// interval draws what a pod does between the scrapes i and i+1.
func (s Scenario) interval(r *rand.Rand, i int, chance Chance, share float64) Counts {
	c := Counts{Requests: Poisson(r, s.Rate*share*s.Scrape.Seconds())}
	at := time.Duration(i)*s.Scrape + s.Scrape/2
	p := chance(at)
	if s.Burst <= 1 {
		c.Bad = Binomial(r, c.Requests, p)
		return c
	}
	for range Poisson(r, float64(c.Requests)*p/s.Burst) {
		c.Bad += geometric(r, s.Burst)
	}
	c.Bad = min(c.Bad, c.Requests)
	return c
}
