package metrics_test

import (
	"compress/gzip"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/internal/local/metrics"
	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

// kept is all that a memory has, as "series" to "second=value".
func kept(t *testing.T, m *samples.Memory) map[string][]string {
	t.Helper()
	q, err := m.Querier(math.MinInt64/2, math.MaxInt64/2)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	all := map[string][]string{}
	for set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*")); set.Next(); {
		ls := set.At().Labels()
		if !ls.Has(model.MetricNameLabel) || !ls.IsValid(model.UTF8Validation) {
			t.Errorf("got the labels %s", ls)
		}
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			said := "a histogram"
			if kind == chunkenc.ValFloat {
				_, v := it.At()
				if said = fmt.Sprint(v); value.IsStaleNaN(v) {
					said = "end"
				}
			}
			all[ls.String()] = append(all[ls.String()], fmt.Sprintf("%g=%s", float64(it.AtT())/1000, said))
		}
		if it.Err() != nil {
			t.Error(it.Err())
		}
	}
	return all
}

func TestAnswersAreRead(t *testing.T) {
	const text, open = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"
	x := func(name string) string {
		return `{__name__="` + name + `", instance="127.0.0.1:1", job="local", track="stable"}`
	}
	for _, tt := range []struct {
		name, form string
		bodies     []string
		want       map[string][]string
		err        string
	}{
		{
			name: "a series that comes and goes and comes", form: text, bodies: []string{"x 1\n", "", "x 3\n", "y 1\n"},
			want: map[string][]string{x("x"): {"1000=1", "1001=end", "1002=3", "1003=end"}, x("y"): {"1003=1"}},
		},
		{
			name: "nonsense ends all", form: text, bodies: []string{"x 1\n", "x 2\ny }\n", "x 3\n"}, err: "while parsing",
			want: map[string][]string{x("x"): {"1000=1", "1001=end", "1002=3"}},
		},
		{
			name: "a time of its own, which goes on by itself", form: text, bodies: []string{"x 1 999500\n", "x 2 999500\n", ""},
			want: map[string][]string{x("x"): {"999.5=1"}},
		},
		{
			name: "a time of its own that cannot be", form: text, bodies: []string{"x 1 1700000000000\nx 1 9\ny 1\n"},
			want: map[string][]string{x("y"): {"1000=1"}},
		},
		{
			name: "the same twice", form: text, bodies: []string{"x 1\nx 2\n"},
			want: map[string][]string{x("x"): {"1000=1"}},
		},
		{
			name: "labels of the target's own", form: text, bodies: []string{"x{track=\"a\",exported_track=\"b\",job=\"\"} 1\n"},
			want: map[string][]string{`{__name__="x", exported_exported_track="a", exported_track="b", instance="127.0.0.1:1", job="local", track="stable"}`: {"1000=1"}},
		},
		{name: "no form", bodies: []string{"x 1\n"}, want: map[string][]string{x("x"): {"1000=1"}}},
		{name: "another form", form: "text/html", bodies: []string{"x 1\n"}, want: map[string][]string{x("x"): {"1000=1"}}},
		{
			name: "OpenMetrics", form: open, bodies: []string{"# TYPE x counter\nx_total 1\n# EOF\n"},
			want: map[string][]string{x("x_total"): {"1000=1"}},
		},
		{name: "OpenMetrics that is cut", form: open, bodies: []string{"# TYPE x counter\nx_total 1\n"}, err: "EOF", want: map[string][]string{}},
		{name: "no number", form: text, bodies: []string{"x NaN\n"}, want: map[string][]string{x("x"): {"1000=NaN"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var bodies [][]byte
			for _, b := range tt.bodies {
				bodies = append(bodies, []byte(b))
			}
			m, err := metrics.Page(tt.form, bodies...)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got error %v, want one with %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, kept(t, m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatIsTooMuch fails, with its reason shown among the targets.
func TestWhatIsTooMuch(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		handler      http.HandlerFunc
	}{
		{"bytes", "more than 67108864 bytes", func(w http.ResponseWriter, _ *http.Request) {
			line := []byte("# " + strings.Repeat("x", 1<<20) + "\n")
			for range 65 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}},
		{"samples", "more than 200000 samples", says(strings.Repeat("x 1\n", 200_001))},
		{"compressed", `encoding "gzip"`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte("x 1\n"))
			_ = z.Close()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := metrics.Open(metrics.Options{ScrapeInterval: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.SetTargets([]metrics.Target{service(t, tt.handler)}); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				_, text := fetch(t, s.URL()+"/api/v1/targets")
				if strings.Contains(text, strings.ReplaceAll(tt.reason, `"`, `\"`)) || strings.Contains(text, strings.ReplaceAll(tt.reason, `"`, `\\\"`)) {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("got %s", text)
				}
			}
		})
	}
}

// TestARemovedTargetEndsAtOnce, and one that comes back in the same moment
// goes on.
func TestARemovedTargetEndsAtOnce(t *testing.T) {
	var scrapes atomic.Int64
	target := service(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		says(fmt.Sprintf("x %d\n", scrapes.Add(1)))(w, r)
	}))
	s, err := metrics.Open(metrics.Options{ScrapeInterval: time.Hour}) // the first is at once, and none comes after it
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := client(t, s)
	if err := s.SetTargets([]metrics.Target{target}); err != nil {
		t.Fatal(err)
	}
	until(t, c, `x`, is(1))
	if err := s.SetTargets([]metrics.Target{target, target}); err != nil { // nothing has changed
		t.Fatal(err)
	}
	if err := s.SetTargets(nil); err != nil {
		t.Fatal(err)
	}
	until(t, c, `{__name__=~".+"}`, func(s []gates.Series) bool { return len(s) == 0 })
	for began := time.Now().UnixMilli(); time.Now().UnixMilli() == began; { // samples' times are in ms
		time.Sleep(100 * time.Microsecond)
	}
	if err := s.SetTargets([]metrics.Target{target}); err != nil {
		t.Fatal(err)
	}
	until(t, c, `x`, is(2))
}

func FuzzAnswers(f *testing.F) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: 1.1, Buckets: []float64{1}})
	reg.MustRegister(h)
	h.Observe(2)
	w := &recorder{header: http.Header{}}
	r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, "/", nil)
	if err != nil {
		f.Fatal(err)
	}
	const proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	r.Header.Set("Accept", proto)
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
	f.Add(proto, w.body)
	f.Add("text/plain", []byte("# HELP x Text.\n# TYPE x counter\nx{a=\"b\"} 1 2\n"))
	f.Add("application/openmetrics-text;version=1.0.0", []byte("# TYPE x counter\n# UNIT x s\nx_total 1 # {a=\"b\"} 1\n# EOF\n"))
	f.Fuzz(func(t *testing.T, form string, body []byte) {
		m, err := metrics.Page(form, body, nil, body) // it comes, goes and comes
		for name, said := range kept(t, m) {
			if err != nil && !strings.HasSuffix(said[len(said)-1], "=end") && len(said) == 3 {
				t.Errorf("%s has %q of answers that are wrong", name, said)
			}
		}
	})
}

// recorder is a ResponseWriter in memory.
type recorder struct {
	header http.Header
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}
