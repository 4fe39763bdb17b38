package samples_test

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

func named(name string, more ...string) labels.Labels {
	return labels.FromStrings(append([]string{model.MetricNameLabel, name}, more...)...)
}

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// point is a float, or the count of a histogram.
type point struct {
	T int64
	V float64
}

// read returns what there is between two times, by the labels.
func read(t *testing.T, m *samples.Memory, start, end int64, matchers ...*labels.Matcher) map[string][]point {
	t.Helper()
	q, err := m.Querier(start, end)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	found := map[string][]point{}
	var it chunkenc.Iterator
	for set := q.Select(t.Context(), false, nil, matchers...); set.Next(); {
		it = set.At().Iterator(it)
		name := set.At().Labels().String()
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			switch p := (point{}); kind {
			case chunkenc.ValFloat:
				p.T, p.V = it.At()
				found[name] = append(found[name], p)
			default:
				at, h := it.AtFloatHistogram(nil)
				found[name] = append(found[name], point{at, h.Count})
			}
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
	}
	return found
}

func floats(to *samples.Series, from, until, step int64) []samples.Sample {
	var all []samples.Sample
	for at := from; at < until; at += step {
		all = append(all, samples.Sample{To: to, T: at, V: float64(at)})
	}
	return all
}

func TestWhatWasAddedIsRead(t *testing.T) {
	m := samples.New(time.Hour)
	a, b := m.Series(named("x", "track", "stable")), m.Series(named("x", "track", "canary"))
	if again := m.Series(named("x", "track", "stable")); again != a {
		t.Error("the same labels have two series")
	}
	var want []point
	for i := range int64(1000) { // several chunks
		m.Add([]samples.Sample{{To: a, T: 1000 * i, V: math.Sqrt(float64(i))}})
		want = append(want, point{1000 * i, math.Sqrt(float64(i))})
	}
	m.Add([]samples.Sample{{To: b, T: 500, V: 1}})
	// What is not newer than its series is left out.
	m.Add([]samples.Sample{{To: b, T: 500, V: 2}, {To: b, T: 499, V: 3}, {To: b, T: 501, V: 4}, {To: b, T: 501, V: 5}})
	if diff := cmp.Diff(map[string][]point{`{__name__="x", track="canary"}`: {{500, 1}, {501, 4}}},
		read(t, m, 0, 1e9, equal(model.MetricNameLabel, "x"), equal("track", "canary"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, read(t, m, 0, 1e9, equal("track", "stable"))[`{__name__="x", track="stable"}`]); diff != "" {
		t.Error(diff)
	}
	for name, got := range map[string]map[string][]point{
		"another name":  read(t, m, 0, 1e9, equal(model.MetricNameLabel, "y")),
		"another label": read(t, m, 0, 1e9, equal(model.MetricNameLabel, "x"), equal("track", "")),
		"before":        read(t, m, -10, -1, equal(model.MetricNameLabel, "x")),
		"after":         read(t, m, 1e7, 1e8, equal(model.MetricNameLabel, "x")),
	} {
		if len(got) > 0 {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestSeekingGoesFromChunkToChunk(t *testing.T) {
	m := samples.New(time.Hour)
	m.Add(floats(m.Series(named("x")), 0, 1_000_000, 1000))
	q, err := m.Querier(0, 2_000_000)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(t.Context(), false, nil, equal(model.MetricNameLabel, "x"))
	if !set.Next() {
		t.Fatal("no series")
	}
	it := set.At().Iterator(nil)
	for _, tt := range []struct{ to, want int64 }{{0, 0}, {1, 1000}, {500, 1000}, {300_500, 301_000}, {301_000, 301_000}, {999_000, 999_000}} {
		if v := it.Seek(tt.to); v != chunkenc.ValFloat || it.AtT() != tt.want {
			t.Errorf("seek %d: got %v at %d, want %d", tt.to, v, it.AtT(), tt.want)
		}
	}
	if v := it.Seek(999_001); v != chunkenc.ValNone || it.Err() != nil {
		t.Errorf("after the end: got %v, %v", v, it.Err())
	}
}

// TestHistogramsChangeTheirShape: buckets come, the schema changes, the
// counts begin anew, floats take their place, and nothing is lost.
func TestHistogramsChangeTheirShape(t *testing.T) {
	shape := func(count uint64, schema int32, buckets ...int64) *histogram.Histogram {
		return &histogram.Histogram{
			Schema: schema, Count: count, Sum: 1, ZeroThreshold: 1e-9,
			PositiveSpans: []histogram.Span{{Offset: 0, Length: uint32(len(buckets))}}, PositiveBuckets: buckets,
		}
	}
	m := samples.New(time.Hour)
	s := m.Series(named("h"))
	all := []samples.Sample{
		{Histogram: shape(3, 1, 3)},
		{Histogram: shape(7, 1, 4, -1)}, // one more bucket: the chunk is written anew
		{Histogram: shape(8, 1, 4, 0)},  //
		{Histogram: shape(1, 1, 1)},     // a new process: another chunk
		{Histogram: shape(4, 2, 1, 2)},  // another schema: another chunk
		{V: 5},                          // another kind
		{FloatHistogram: shape(6, 1, 6).ToFloat(nil)},
		{FloatHistogram: shape(9, 1, 6, -3).ToFloat(nil)},
		{Histogram: shape(11, 1, 11)},
	}
	var want []point
	for i := range all {
		all[i].To, all[i].T = s, int64(i)
		v := all[i].V
		if h := all[i].Histogram; h != nil {
			v = float64(h.Count)
		} else if h := all[i].FloatHistogram; h != nil {
			v = h.Count
		}
		want = append(want, point{int64(i), v})
	}
	m.Add(all)
	if diff := cmp.Diff(want, read(t, m, 0, 100, equal(model.MetricNameLabel, "h"))[`{__name__="h"}`]); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsOldGoes: samples by the chunk, and series that have ended whole.
func TestWhatIsOldGoes(t *testing.T) {
	minute := time.Minute.Milliseconds()
	m := samples.New(10 * time.Minute)
	live, ended := m.Series(named("live")), m.Series(named("ended"))
	m.Add(floats(ended, 0, minute, 1000))
	for at := int64(0); at < 60*minute; at += 1000 {
		m.Add([]samples.Sample{{To: live, T: at, V: 1}})
	}
	got := read(t, m, 0, 60*minute, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, ".+"))
	points := got[`{__name__="live"}`]
	if len(got) != 1 || len(points) < 600 || len(points) > 600+2*120 {
		t.Errorf("got %d series, %d points of the live one, want 1 and 600 to 840", len(got), len(points))
	}
	m.Add([]samples.Sample{{To: ended, T: 60 * minute, V: 7}}) // it comes back, by the name that its target still has
	if diff := cmp.Diff([]point{{60 * minute, 7}}, read(t, m, 0, 61*minute, equal(model.MetricNameLabel, "ended"))[`{__name__="ended"}`]); diff != "" {
		t.Error(diff)
	}
}

func TestLabelsAreListed(t *testing.T) {
	m := samples.New(time.Hour)
	m.Add([]samples.Sample{
		{To: m.Series(named("a", "track", "stable", "x", "1")), T: 1},
		{To: m.Series(named("b", "track", "canary")), T: 2},
		{To: m.Series(named("b", "track", "blue")), T: 90},
	})
	m.Series(named("empty", "none", "1")) // nobody said anything of it
	q, err := m.Querier(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, tt := range []struct {
		name string
		get  func(context.Context) ([]string, error)
		want []string
	}{
		{"names", func(ctx context.Context) ([]string, error) { l, _, err := q.LabelNames(ctx, nil); return l, err }, []string{"__name__", "track", "x"}},
		{"names of b", func(ctx context.Context) ([]string, error) {
			l, _, err := q.LabelNames(ctx, nil, equal(model.MetricNameLabel, "b"))
			return l, err
		}, []string{"__name__", "track"}},
		{"values", func(ctx context.Context) ([]string, error) {
			l, _, err := q.LabelValues(ctx, "track", nil)
			return l, err
		}, []string{"canary", "stable"}},
	} {
		if got, err := tt.get(t.Context()); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// TestAQuerySeesOneMoment: of what is added together, one that reads sees all
// or nothing, however often it selects.
func TestAQuerySeesOneMoment(t *testing.T) {
	m := samples.New(time.Hour)
	a, b := m.Series(named("a")), m.Series(named("b"))
	var adding sync.WaitGroup
	adding.Go(func() {
		for i := range int64(2000) {
			m.Add([]samples.Sample{{To: a, T: i, V: float64(i)}, {To: b, T: i, V: float64(i)}})
			runtime.Gosched()
		}
	})
	for range 500 {
		q, err := m.Querier(0, 1e6)
		if err != nil {
			t.Fatal(err)
		}
		newest := func(name string) int64 {
			at := int64(-1)
			for set := q.Select(t.Context(), false, nil, equal(model.MetricNameLabel, name)); set.Next(); {
				for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
					at = it.AtT()
				}
			}
			return at
		}
		x := newest("a")
		runtime.Gosched()
		if y := newest("b"); x != y {
			t.Errorf("a is at %d, b at %d", x, y)
		}
		for range 2 { // a second time is harmless
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	adding.Wait()
}

// TestMemoryOfAnHour: what an hour of counters takes, at a steady pace, is
// bounded.
func TestMemoryOfAnHour(t *testing.T) {
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	const count, seconds = 200, 3600
	before := heap()
	m := samples.New(6 * time.Hour)
	all := make([]*samples.Series, count)
	for i := range all {
		all[i] = m.Series(named("requests_total", "code", string(rune('a'+i%26)), "pod", string(rune('A'+i))))
	}
	batch := make([]samples.Sample, count)
	for at := range int64(seconds) {
		for i, s := range all {
			batch[i] = samples.Sample{To: s, T: 1000 * at, V: float64(at * int64(1+i))}
		}
		m.Add(batch)
	}
	got := float64(heap()-before) / (count * seconds)
	t.Logf("%.2f bytes for each sample", got)
	if got > 4 {
		t.Errorf("got %.2f bytes for each sample, want 4 at most", got)
	}
	runtime.KeepAlive(m)
}
