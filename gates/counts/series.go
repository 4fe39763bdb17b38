package counts

import "time"

// Series is one labelled series of samples.
type Series struct {
	Labels map[string]string
	// Points are in the order of time.
	Points []Point
}

// Point is one sample.
type Point struct {
	Time  time.Time
	Value float64
}

// Track says which copy of a workload a series belongs to.
type Track int

// The tracks. Other is for series of neither.
const (
	Other Track = iota
	Canary
	Stable
)

// String returns the word of outputs.
func (t Track) String() string {
	switch t {
	case Canary:
		return "canary"
	case Stable:
		return "stable"
	case Other:
	}
	return "other"
}
