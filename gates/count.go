package gates

import (
	"math"
	"slices"
	"time"
)

// lookback is how far before a window samples are fetched, to find the value
// that a counter had when the window began. It is as long as Prometheus
// itself takes a series without new samples to be there.
const lookback = 5 * time.Minute

// widest is how far back a window is widened for a track with little traffic.
const widest = time.Hour

// increase counts how much a counter grew after start. A sample smaller than
// the one before means that the counter began again at 0. A series without
// any sample up to start was born since, so its first sample counts as well:
// rate() and increase() lose it, and with it the first errors of a new pod.
func increase(points []Point, start time.Time) float64 {
	var sum, last float64
	for _, p := range points {
		v := p.Value
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			continue
		}
		if p.Time.After(start) {
			if v >= last {
				sum += v - last
			} else {
				sum += v
			}
		}
		last = v
	}
	return sum
}

// tooOld is the age of the newest sample from which an answer is stale: two
// scrapes, by the setting or by what the samples show, whichever is longer,
// and some time for a scrape that is late.
func tooOld(series []Series, interval time.Duration) time.Duration {
	var gaps []time.Duration
	for _, s := range series {
		for i := 1; i < len(s.Points); i++ {
			gaps = append(gaps, s.Points[i].Time.Sub(s.Points[i-1].Time))
		}
		if len(gaps) > 1000 {
			break
		}
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		interval = max(interval, gaps[len(gaps)/2])
	}
	return max(2*interval+interval/2, interval+3*time.Second)
}

// needed is how many requests it takes to show a share: with none bad among
// them, the true share is below the given one with a confidence of 95 % (the
// rule of three). It is at least 20, and at most 1000 so that strict limits
// do not shut out services with little traffic.
func needed(share float64) float64 {
	if share <= 0 {
		return 1000
	}
	return min(1000, max(20, math.Ceil(3/share-1e-9)))
}

// tally is what was counted of requests.
type tally struct {
	// all are the requests, bad those surely over the limit and doubtful
	// those that may be; bad <= doubtful.
	all, bad, doubtful float64
	// span is how long a time was counted.
	span time.Duration
}

// judgement is how a tally stands against the share that may be bad.
type judgement int

const (
	within judgement = iota + 1
	over
	unclear
	tooFew
	none
)

// judge holds a tally against the largest share that is well. With fewer
// requests than needed it is over already when even a clean rest could not
// bring it back.
func (t tally) judge(share, needed float64) judgement {
	switch {
	case !(t.all > 0), math.IsInf(t.all, 1):
		return none
	case t.all < needed && t.bad > share*needed:
		return over
	case t.all < needed:
		return tooFew
	case t.bad > share*t.all:
		return over
	case t.doubtful > share*t.all:
		return unclear
	}
	return within
}

// wider returns the window to try when the first one held too few requests,
// and 0 when there is none: all the time since the track began, up to an hour.
// A window without any request is not widened, or a track that no longer gets
// traffic would look well for what it did before.
func (l look) wider() time.Duration {
	if l.since.IsZero() {
		return 0
	}
	if all := min(widest, l.at.Sub(l.since)); all > l.window {
		return all
	}
	return 0
}
