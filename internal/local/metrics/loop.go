package metrics

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

// What Prometheus calls the state of a target.
const (
	unknownHealth = "unknown"
	up            = "up"
	down          = "down"
)

// loop scrapes one target. What is above mu is of its goroutine alone.
type loop struct {
	scraper *scraper
	target  Target
	path    string
	url     string
	labels  labels.Labels // of all its series
	stop    func()        // ends it, and does not wait
	body    []byte        // of the last answer; the memory is used again
	known   map[string]*known
	round   int
	reports []*samples.Series // as in report

	mu       sync.Mutex
	health   string
	err      error
	last     time.Time // of the last scrape's beginning
	took     time.Duration
	metadata map[string]described
}

// known is a series that the target said, by the text it said it with.
type known struct {
	series *samples.Series
	round  int  // in which it was said last
	live   bool // it has a sample that no marker of an end came after
}

// run scrapes at once and then in each interval, at a moment of it that the
// target's name chooses, so that targets do not all take their turn together.
func (l *loop) run(ctx context.Context) {
	interval := l.scraper.interval
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(l.url + l.labels.String())) // it never fails
	phase := time.Duration(hash.Sum64() % uint64(interval))
	now := time.Now()
	l.scrape(ctx, now)
	next := now.Truncate(interval).Add(phase)
	for next.Before(now.Add(interval / 2)) {
		next = next.Add(interval)
	}
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			l.scrape(ctx, l.moment(next))
		case <-ctx.Done():
			l.end(context.Cause(ctx))
			return
		}
		next = next.Add(interval)
		if late := time.Since(next); late > 0 { // its turns are over: it waits for the next one
			next = next.Add(late.Truncate(interval) + interval)
		}
		timer.Reset(time.Until(next))
	}
}

// moment is the time of the samples of a scrape that was meant for planned.
// Times at a steady pace take far less memory than those a millisecond off, so
// as much is forgiven.
func (l *loop) moment(planned time.Time) time.Time {
	now := time.Now()
	if late := now.Sub(planned); late < min(2*time.Millisecond, l.scraper.interval/100) {
		return planned
	}
	return now
}

// scrape asks the target and keeps what it says as of the time at.
func (l *loop) scrape(ctx context.Context, at time.Time) {
	began := time.Now()
	answer, err := l.fetch(ctx)
	var said page
	if err == nil {
		said, err = l.read(answer, at)
	}
	if ctx.Err() != nil {
		return // it was stopped, and so has ended
	}
	if err != nil {
		l.scraper.log.Debug("a scrape failed", slog.String("target", l.url), slog.Any("error", err))
		said = page{samples: l.ended(at), count: said.count}
	} else {
		said.samples = append(said.samples, l.unsaid(at)...)
	}
	took := time.Since(began)
	l.scraper.memory.Add(append(said.samples, l.report(at, took, err, said)...))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.took, l.err, l.health = at, took, err, up
	if err != nil {
		l.health = down
	} else {
		l.metadata = said.metadata
	}
}

// end is the sample that says that a series has ended.
func end(s *samples.Series, at time.Time) samples.Sample {
	return samples.Sample{To: s, T: at.UnixMilli(), V: math.Float64frombits(value.StaleNaN)}
}

// unsaid ends the series that the scrape just read did not say again.
func (l *loop) unsaid(at time.Time) []samples.Sample {
	var ends []samples.Sample
	for text, k := range l.known {
		if k.round == l.round {
			k.live = true
			continue
		}
		if k.live {
			ends = append(ends, end(k.series, at))
		}
		delete(l.known, text)
	}
	return ends
}

// ended ends all series that the target said.
func (l *loop) ended(at time.Time) []samples.Sample {
	var ends []samples.Sample
	for _, k := range l.known {
		if k.live {
			ends = append(ends, end(k.series, at))
		}
	}
	clear(l.known)
	return ends
}

// end ends all series of a target that is no longer there.
func (l *loop) end(cause error) {
	at := time.Now()
	if s, ok := errors.AsType[stopped](cause); ok {
		at = s.at
	}
	ends := l.ended(at)
	for _, s := range l.reports {
		ends = append(ends, end(s, at))
	}
	l.scraper.memory.Add(ends)
}

// reported are the series that a scraper itself says of each target.
var reported = [...]string{
	"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
}

// report says how a scrape went, in the order of reported.
func (l *loop) report(at time.Time, took time.Duration, err error, said page) []samples.Sample {
	if l.reports == nil {
		b := labels.NewBuilder(l.labels)
		for _, name := range reported {
			l.reports = append(l.reports, l.scraper.memory.Series(b.Set(model.MetricNameLabel, name).Labels()))
		}
	}
	well, count := 1.0, float64(said.count)
	if err != nil {
		well = 0
	}
	values := [...]float64{well, took.Seconds(), count, count, float64(said.added)}
	all := make([]samples.Sample, len(values))
	for i, v := range values {
		all[i] = samples.Sample{To: l.reports[i], T: at.UnixMilli(), V: v}
	}
	return all
}
