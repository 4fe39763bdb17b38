package counts

import "time"

// Settings say what is counted, and when. All times are those of the
// provider of metrics, never of the machine that asks.
type Settings struct {
	// Begin is T0: counting begins here, and look k is at Begin + k*Every.
	Begin time.Time
	// Every is the time from look to look, by [Interval]; Scrape is how often
	// the pods are scraped. Both are above 0.
	Every, Scrape time.Duration
	// Started is when the first pod of the release began, not after Begin. A
	// series of the canary cannot be older, so that one first seen after Begin
	// counts from zero. The zero time means that it is not known; a series
	// counts from zero then only when others of its track were seen before.
	Started time.Time
	// Compare says that canary and stable are to be held against each other.
	// Without it there is the canary alone.
	Compare bool
	// Track tells the tracks apart by a series' labels.
	Track func(labels map[string]string) Track
	// Bad tells the requests that count against a track; used when Bounds is
	// empty.
	Bad func(labels map[string]string) bool
	// Bounds are those of a classic histogram, rising and finite: requests
	// above a bound are bad for it. The series then are the buckets, told by
	// their label le.
	Bounds []float64
	// OneOfTwins says that a counter which is there twice is counted once and
	// noted in [Arm.Twins], in place of the outcome [MultiSeries].
	OneOfTwins bool
	// Approximate says that the series are sums of counters, made by
	// [Query.Summed] or [Query.Native].
	Approximate bool
}

// Look is what was counted at one moment.
type Look struct {
	// K numbers looks from 1 on, and At is Begin + K*Every.
	K  int       `json:"k"`
	At time.Time `json:"at"`
	// Outcome is that of the comparison, or of the canary where there is
	// nothing to compare. With OK, Pair may enter a test.
	Outcome Outcome `json:"outcome"`
	// Reason is a sentence where the outcome is not OK.
	Reason string `json:"reason,omitempty"`
	// Retryable is meant for QueryError: whether the next try may succeed.
	Retryable bool `json:"retryable,omitempty"`
	// Canary and Stable are what each track counted since the look before.
	Canary Arm `json:"canary"`
	Stable Arm `json:"stable"`
	// Pair is what both counted since the last look at which both were fresh;
	// it is empty while one of them is not, and its counts come later.
	Pair Pair `json:"pair"`
	// Approximate says that the counts are estimates.
	Approximate bool `json:"approximate,omitempty"`
}

// Pair is two tallies of the same time.
type Pair struct {
	Canary Tally `json:"canary"`
	Stable Tally `json:"stable"`
	// Looks is how many looks the time is long, 1 unless scrapes were missed.
	Looks int `json:"looks,omitempty"`
}

// Tally is a number of requests, and how many of them were bad.
type Tally struct {
	Requests int64 `json:"requests"`
	// Bad has one number for each of Settings.Bounds, or just one.
	Bad []int64 `json:"bad,omitempty"`
}

// Arm is what one track counted in a look.
type Arm struct {
	Tally
	Outcome Outcome `json:"outcome"`
	// Reason is a sentence where the outcome is neither OK nor NoTraffic.
	Reason string `json:"reason,omitempty"`
	// Resets is how many counters began again, Newborn how many were born,
	// Twins how many series show a counter that is counted by another.
	Resets  int `json:"resets,omitempty"`
	Newborn int `json:"newborn,omitempty"`
	Twins   int `json:"twins,omitempty"`
}

// shortest is the least time between looks: what is scraped more often gains
// nothing from being looked at more often.
const shortest = 15 * time.Second

// Interval returns the time from look to look: every, where the gate says so,
// but never below the scrape interval; else the scrape interval, at least
// 15 s.
func Interval(every, scrape time.Duration) time.Duration {
	if every > 0 {
		return max(every, scrape)
	}
	return max(scrape, shortest)
}

// Lag is by how much a look is taken later than the moment it is about, so
// that the samples of that moment have arrived: one and a half scrapes.
func Lag(scrape time.Duration) time.Duration { return scrape + scrape/2 }

// Due returns how many looks may be taken at now, by the provider's clock.
func (s Settings) Due(now time.Time) int {
	if s.Every <= 0 {
		return 0
	}
	return max(0, int(now.Sub(s.Begin.Add(Lag(s.Scrape)))/s.Every))
}

// At returns the moment of a look.
func (s Settings) At(k int) time.Time { return s.Begin.Add(time.Duration(k) * s.Every) }

// Looks counts all looks that are due at now from series that reach back to
// before the beginning. It gives the same looks as a [Counter] that was given
// the same samples bit by bit.
func Looks(s Settings, series []Series, now time.Time) []Look {
	return New(s).Add(series, s.Due(now))
}
