// Package samples keeps the samples of a local run in memory, for Prometheus'
// query engine to read.
package samples

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

const (
	// maxSamples is how many samples a chunk takes. What has left its time is
	// dropped by the chunk.
	maxSamples = 120
	// largeChunk is how many bytes of a chunk are enough; one of histograms
	// takes some all the same.
	largeChunk, fewSamples = 1 << 10, 10
	// sweepInterval is the time between two looks for series that ended.
	sweepInterval = time.Minute
)

// Memory keeps samples for some time, in the chunks that Prometheus keeps them
// in. There is nothing on a disk: what is measured are processes of this very
// run, so nobody asks for their past after it. Its methods may be called from
// several goroutines.
type Memory struct {
	retention int64 // in ms

	mu     sync.RWMutex // held for reading by each querier until it is closed
	byHash map[uint64][]*Series
	byName map[string][]*Series
	swept  int64
}

// Series is the samples with the same labels. The memory's lock guards all but
// the labels.
type Series struct {
	labels labels.Labels
	chunks []span
	app    chunkenc.Appender // of the last chunk
	gone   bool              // it is no longer in the memory
}

// span is a chunk with the times, in ms, of its first and its last sample.
type span struct {
	chunkenc.Chunk
	first, last int64
}

// Sample is one value: one of the two histograms, which must be valid and are
// the memory's from then on, or else a float.
type Sample struct {
	To             *Series
	T              int64 // its time, in ms since 1970
	V              float64
	Histogram      *histogram.Histogram
	FloatHistogram *histogram.FloatHistogram
}

// New returns a memory that keeps what is younger than retention, by the time
// of the samples; what is older goes some time after.
func New(retention time.Duration) *Memory {
	return &Memory{retention: retention.Milliseconds(), byHash: map[uint64][]*Series{}, byName: map[string][]*Series{}}
}

// Series returns the series with these labels, a new one where there is none.
func (m *Memory) Series(ls labels.Labels) *Series {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(ls)
}

func (m *Memory) get(ls labels.Labels) *Series {
	hash := ls.Hash()
	for _, s := range m.byHash[hash] {
		if labels.Equal(s.labels, ls) {
			return s
		}
	}
	s := &Series{labels: ls}
	name := ls.Get(model.MetricNameLabel)
	m.byHash[hash] = append(m.byHash[hash], s)
	m.byName[name] = append(m.byName[name], s)
	return s
}

// Add keeps samples, all at once: who asks sees them all or none, so that no
// error is seen without the request that it belongs to. What is not newer than
// its series is left out.
func (m *Memory) Add(batch []Sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest int64
	for _, x := range batch {
		if x.To.gone {
			x.To = m.get(x.To.labels)
		}
		x.To.add(x, m.retention)
		newest = max(newest, x.T)
	}
	if newest-m.swept > sweepInterval.Milliseconds() {
		m.swept = newest
		m.sweep(newest - m.retention)
	}
}

// sweep forgets the series that ended before a time.
func (m *Memory) sweep(before int64) {
	old := func(s *Series) bool {
		s.gone = len(s.chunks) == 0 || s.chunks[len(s.chunks)-1].last < before
		return s.gone
	}
	for hash, all := range m.byHash {
		if m.byHash[hash] = slices.DeleteFunc(all, old); len(m.byHash[hash]) == 0 {
			delete(m.byHash, hash)
		}
	}
	for name, all := range m.byName {
		if m.byName[name] = slices.DeleteFunc(all, old); len(m.byName[name]) == 0 {
			delete(m.byName, name)
		}
	}
}

// add appends a sample, and drops the chunks that are older than retention.
func (s *Series) add(x Sample, retention int64) {
	if n := len(s.chunks); n > 0 && x.T <= s.chunks[n-1].last {
		return
	}
	previous := s.app // to tell whether a histogram has begun anew
	if !s.open(x, retention) {
		previous = nil
	}
	var chunk chunkenc.Chunk // instead of the last one, or after it
	recoded := false
	switch { // they only fail where they may not begin a chunk
	case x.Histogram != nil:
		chunk, recoded, s.app, _ = s.app.AppendHistogram(previous, 0, x.T, x.Histogram, false)
	case x.FloatHistogram != nil:
		chunk, recoded, s.app, _ = s.app.AppendFloatHistogram(previous, 0, x.T, x.FloatHistogram, false)
	default:
		s.app.Append(0, x.T, x.V)
	}
	if chunk != nil && !recoded {
		s.chunks = append(s.chunks, span{Chunk: chunk, first: x.T})
	}
	last := &s.chunks[len(s.chunks)-1]
	if recoded {
		last.Chunk = chunk
	}
	last.last = x.T
}

// open begins a chunk where the last one does not take x, and tells so.
func (s *Series) open(x Sample, retention int64) bool {
	encoding := x.encoding()
	if n := len(s.chunks); n > 0 {
		last := s.chunks[n-1]
		count := last.NumSamples()
		full := count >= maxSamples || count >= fewSamples && len(last.Bytes()) >= largeChunk
		if last.Encoding() == encoding && !full {
			return false
		}
		last.Compact()
	}
	s.chunks = slices.DeleteFunc(s.chunks, func(c span) bool { return c.last < x.T-retention })
	chunk, err := chunkenc.NewEmptyChunk(encoding)
	if err != nil {
		panic("metrics: " + err.Error())
	}
	if s.app, err = chunk.Appender(); err != nil {
		panic("metrics: " + err.Error())
	}
	s.chunks = append(s.chunks, span{Chunk: chunk, first: x.T, last: x.T})
	return true
}

func (x Sample) encoding() chunkenc.Encoding {
	switch {
	case x.Histogram != nil:
		return chunkenc.EncHistogram
	case x.FloatHistogram != nil:
		return chunkenc.EncFloatHistogram
	}
	return chunkenc.EncXOR
}
