package counts

import "fmt"

// Outcome says what kind of answer a look got for a track. Only [OK] may enter
// a test of proportions; the zero value says that nothing is known.
type Outcome int

// The outcomes.
const (
	// Unknown: nothing was looked at.
	Unknown Outcome = iota
	// OK: there are counts, and at least one request.
	OK
	// NoSeries: the selector matches nothing: not scraped, or a wrong label.
	NoSeries
	// NoTraffic: there are fresh samples, and no request since the look before.
	NoTraffic
	// Missed: the track has no sample since the look before, which is less
	// than two scrapes ago. Its events come with its next sample.
	Missed
	// Stale: the newest sample is older than two scrapes.
	Stale
	// MultiSeries: a counter is there twice, as two replicas of Prometheus or
	// two jobs scrape it. Counts hold it once.
	MultiSeries
	// Layouts: not every histogram of the track has the bounds asked for, so
	// that slow requests cannot be counted.
	Layouts
	// NonFinite: a sample is NaN, infinite, negative or no count at all.
	NonFinite
	// Partial: the provider warned that its answer may be incomplete.
	Partial
	// QueryError: there is no answer; [Look.Retryable] says whether one may
	// come.
	QueryError
)

// Outcomes lists all of them.
func Outcomes() []Outcome {
	return []Outcome{
		Unknown, OK, NoSeries, NoTraffic, Missed, Stale, MultiSeries, Layouts, NonFinite, Partial, QueryError,
	}
}

// String returns the word of records.
func (o Outcome) String() string {
	switch o {
	case Unknown:
		return "unknown"
	case OK:
		return "ok"
	case NoSeries:
		return "noSeries"
	case NoTraffic:
		return "noTraffic"
	case Missed:
		return "missed"
	case Stale:
		return "stale"
	case MultiSeries:
		return "multiSeries"
	case Layouts:
		return "layouts"
	case NonFinite:
		return "nonFinite"
	case Partial:
		return "partial"
	case QueryError:
		return "queryError"
	}
	return fmt.Sprintf("outcome(%d)", int(o))
}

// fresh reports whether counts of the track reach up to the look.
func (o Outcome) fresh() bool { return o == OK || o == NoTraffic }
