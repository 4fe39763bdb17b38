package counts

import "time"

// HistoryLooks is how many bins of stable's past its dispersion is taken from.
const HistoryLooks = 240

// History counts stable's past in bins as long as a look, the last of which
// ends at the beginning of the watch: what the dispersion of its errors is
// taken from. series reach back to [HistorySince]. A bin without fresh samples
// has no counts, and neither have those of the time before there was anything;
// the bin after one without has the events of both, and is left out as well.
func History(s Settings, series []Series) []Tally {
	past := s
	past.Begin = s.Begin.Add(-HistoryLooks * s.Every)
	past.Compare, past.Started = false, time.Time{}
	if s.Track != nil {
		past.Track = func(labels map[string]string) Track {
			if s.Track(labels) == Stable {
				return Canary // the track that is counted alone
			}
			return Other
		}
	}
	out := make([]Tally, HistoryLooks)
	whole := true
	for i, l := range New(past).Add(series, HistoryLooks) {
		fresh := l.Canary.Outcome.fresh() || l.Canary.Outcome == MultiSeries
		if fresh && whole {
			out[i] = l.Canary.Tally
		}
		whole = fresh
	}
	return out
}

// HistorySince returns the moment after which samples must be fetched for
// [History].
func HistorySince(s Settings) time.Time {
	return s.Begin.Add(-HistoryLooks*s.Every - lookback)
}
