package samples

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// querier reads the memory between two times, both in ms and included. As
// long as it is open, nothing is added: all that one query selects is of one
// moment. So whoever has one open opens no second one.
type querier struct {
	memory     *Memory
	start, end int64
	unlock     func()
}

// Querier implements [storage.Queryable].
func (m *Memory) Querier(start, end int64) (storage.Querier, error) {
	m.mu.RLock()
	return &querier{memory: m, start: start, end: end, unlock: sync.OnceFunc(m.mu.RUnlock)}, nil
}

// Close implements [storage.Querier].
func (q *querier) Close() error {
	q.unlock()
	return nil
}

// find returns the series that have samples and agree with all matchers.
func (q *querier) find(matchers []*labels.Matcher) []*Series {
	var found []*Series
	for _, all := range q.candidates(matchers) {
		for _, s := range all {
			if len(q.within(s)) > 0 && agrees(s.labels, matchers) {
				found = append(found, s)
			}
		}
	}
	return found
}

// candidates are the series of the name that is asked for, or all.
func (q *querier) candidates(matchers []*labels.Matcher) map[string][]*Series {
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return map[string][]*Series{m.Value: q.memory.byName[m.Value]}
		}
	}
	return q.memory.byName
}

func agrees(ls labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// within are the chunks that reach into the querier's time.
func (q *querier) within(s *Series) []span {
	from := slices.IndexFunc(s.chunks, func(c span) bool { return c.last >= q.start })
	if from < 0 {
		return nil
	}
	to := from
	for to < len(s.chunks) && s.chunks[to].first <= q.end {
		to++
	}
	return s.chunks[from:to]
}

// Select implements [storage.Querier]. Hints could only save work.
func (q *querier) Select(_ context.Context, sorted bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := q.find(matchers)
	if sorted {
		slices.SortFunc(found, func(a, b *Series) int { return labels.Compare(a.labels, b.labels) })
	}
	set := &seriesSet{left: make([]storage.Series, len(found))}
	for i, s := range found {
		chunks := q.within(s)
		set.left[i] = &storage.SeriesEntry{Lset: s.labels, SampleIteratorFn: func(again chunkenc.Iterator) chunkenc.Iterator {
			return iterator(chunks, again)
		}}
	}
	return set
}

// LabelNames implements [storage.Querier].
func (q *querier) LabelNames(_ context.Context, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names := map[string]bool{}
	for _, s := range q.find(matchers) {
		s.labels.Range(func(l labels.Label) { names[l.Name] = true })
	}
	return slices.Sorted(maps.Keys(names)), nil, nil
}

// LabelValues implements [storage.Querier].
func (q *querier) LabelValues(_ context.Context, name string, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values := map[string]bool{}
	for _, s := range q.find(matchers) {
		if v := s.labels.Get(name); v != "" {
			values[v] = true
		}
	}
	return slices.Sorted(maps.Keys(values)), nil, nil
}

// seriesSet is a list in the form that the engine reads.
type seriesSet struct {
	left []storage.Series
	at   storage.Series
}

func (s *seriesSet) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.at, s.left = s.left[0], s.left[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return s.at }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// iterator reads chunks one after another.
func iterator(chunks []span, again chunkenc.Iterator) chunkenc.Iterator {
	if len(chunks) == 1 {
		return chunks[0].Iterator(again)
	}
	all := make([]chunkenc.Iterator, len(chunks))
	for i, c := range chunks {
		all[i] = c.Iterator(nil)
	}
	return storage.ChainSampleIteratorFromIterators(again, all)
}
