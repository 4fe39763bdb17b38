package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// Kind says in one or two words how a request failed; a status of 400 or more
// is "status 503".
type Kind string

// The kinds besides a status.
const (
	// Refused: no connection. Reset: it broke before the answer was complete.
	Refused Kind = "refused"
	Reset   Kind = "reset"
	// Timeout: no complete answer in time. Overload: not sent in time, since
	// all connections were busy.
	Timeout  Kind = "timeout"
	Overload Kind = "overload"
	Other    Kind = "other"
)

// Failure is one request that failed.
type Failure struct {
	// At is when it ended.
	At      time.Time `json:"at"`
	Kind    Kind      `json:"kind"`
	Version string    `json:"version,omitempty"`
	Detail  string    `json:"detail"`
}

// Count is how many requests there were, and how many of them failed.
type Count struct {
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
}

// Version is what was seen of one version, as its answers' X-Version names it.
type Version struct {
	Count
	// First and Last are when its first and last answer came.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Second is one second of the load, by when requests ended.
type Second struct {
	// At is the second's begin, from the load's start, in seconds.
	At int `json:"at"`
	Count
	Versions map[string]Count `json:"versions"`
}

// Report is what a load counted.
type Report struct {
	Start   time.Time     `json:"start"`
	Elapsed time.Duration `json:"elapsed"`
	Count
	// Reconnects is how often a kept connection had been closed by the other
	// end while idle.
	Reconnects int                `json:"reconnects"`
	Kinds      map[Kind]int       `json:"kinds"`
	Versions   map[string]Version `json:"versions"`
	Seconds    []Second           `json:"seconds"`
	// Failures are the first 100.
	Failures []Failure `json:"failures,omitempty"`
	// P50, P95, P99 and Max are latencies from when requests were due.
	P50 time.Duration `json:"p50"`
	P95 time.Duration `json:"p95"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

type outcome struct {
	due, done   time.Time
	status      int
	version     string
	kind        Kind // "" for a request that went well
	err         error
	reconnected bool
}

const maxFailures = 100

// tally adds up outcomes.
type tally struct {
	start  time.Time
	failed func(Failure)

	mu        sync.Mutex
	ended     time.Time
	r         Report
	latencies []time.Duration
}

func newTally(start time.Time, c Config) *tally {
	return &tally{
		start: start, failed: c.Failed,
		r: Report{Start: start, Kinds: map[Kind]int{}, Versions: map[string]Version{}},
	}
}

func (t *tally) end(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = at
}

func (t *tally) add(o outcome) {
	f := Failure{At: o.done, Kind: o.kind, Version: o.version}
	if o.err != nil {
		f.Detail = o.err.Error()
	}
	t.count(o, f)
	if o.kind != "" && t.failed != nil {
		t.failed(f)
	}
}

func (t *tally) count(o outcome, f Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failed := o.kind != ""
	t.r.add(failed)
	if o.reconnected {
		t.r.Reconnects++
	}
	t.latencies = append(t.latencies, o.done.Sub(o.due))
	second := t.second(o.done)
	second.add(failed)
	if o.version != "" {
		c := second.Versions[o.version]
		c.add(failed)
		second.Versions[o.version] = c
		v := t.r.Versions[o.version]
		v.add(failed)
		if v.First.IsZero() {
			v.First = o.done
		}
		v.Last = o.done
		t.r.Versions[o.version] = v
	}
	if !failed {
		return
	}
	t.r.Kinds[o.kind]++
	if len(t.r.Failures) < maxFailures {
		t.r.Failures = append(t.r.Failures, f)
	}
}

func (c *Count) add(failed bool) {
	c.Requests++
	if failed {
		c.Failed++
	}
}

func (t *tally) second(at time.Time) *Second {
	n := max(int(at.Sub(t.start)/time.Second), 0)
	for len(t.r.Seconds) <= n {
		t.r.Seconds = append(t.r.Seconds, Second{At: len(t.r.Seconds), Versions: map[string]Count{}})
	}
	return &t.r.Seconds[n]
}

// report returns a copy that stays as it is.
func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	r.Elapsed = time.Since(t.start)
	if !t.ended.IsZero() {
		r.Elapsed = t.ended.Sub(t.start)
	}
	r.Kinds = maps.Clone(r.Kinds)
	r.Versions = maps.Clone(r.Versions)
	r.Failures = slices.Clone(r.Failures)
	r.Seconds = slices.Clone(r.Seconds)
	for i := range r.Seconds {
		r.Seconds[i].Versions = maps.Clone(r.Seconds[i].Versions)
	}
	sorted := slices.Sorted(slices.Values(t.latencies))
	if n := len(sorted); n > 0 {
		at := func(q float64) time.Duration { return sorted[min(int(q*float64(n)), n-1)] }
		r.P50, r.P95, r.P99, r.Max = at(0.50), at(0.95), at(0.99), sorted[n-1]
	}
	return r
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d requests in %v, %d failed\n", r.Requests, r.Elapsed.Round(time.Millisecond), r.Failed)
	fmt.Fprintf(w, "latency p50 %v, p95 %v, p99 %v, max %v\n", round(r.P50), round(r.P95), round(r.P99), round(r.Max))
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		fmt.Fprintf(w, "failed by %s: %d\n", kind, r.Kinds[kind])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		v := r.Versions[name]
		fmt.Fprintf(w, "version %s: %d requests, %d failed, seen from %v to %v\n", name, v.Requests, v.Failed,
			v.First.Sub(r.Start).Round(time.Millisecond), v.Last.Sub(r.Start).Round(time.Millisecond))
	}
	for _, f := range r.Failures[:min(len(r.Failures), 5)] {
		fmt.Fprintf(w, "at %v: %s %s: %s\n", f.At.Sub(r.Start).Round(time.Millisecond), f.Kind, f.Version, f.Detail)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
