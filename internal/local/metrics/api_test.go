package metrics_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"

	"github.com/headgate-dev/headgate/gates"
)

// fetch asks the API without a library and returns the status and the text.
func fetch(t *testing.T, address string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestTheAPIAsClientsKnowIt asks all that Grafana and promtool ask, by the
// library that Prometheus gives its clients.
func TestTheAPIAsClientsKnowIt(t *testing.T) {
	const metric = "# HELP requests_total What was asked.\n# TYPE requests_total counter\nrequests_total{code=\"200\"} 5\nrequests_total{code=\"500\"} 1\n"
	target := service(t, says(metric))
	s, c := open(t, target)
	until(t, c, `count(requests_total)`, func(s []gates.Series) bool { return one(s) == 2 })
	client, err := api.NewClient(api.Config{Address: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	a, ctx, now := v1.NewAPI(client), t.Context(), time.Now()

	series, _, _, err := a.Series(ctx, []string{`requests_total{code="500"}`}, now.Add(-time.Hour), now)
	want := []model.LabelSet{{"__name__": "requests_total", "code": "500", "instance": model.LabelValue(target.Address), "job": "local", "track": "stable"}}
	if diff := cmp.Diff(want, series); err != nil || diff != "" {
		t.Errorf("series: %v (-want +got):\n%s", err, diff)
	}
	if got, _, _, err := a.Series(ctx, []string{"requests_total"}, time.Time{}, time.Time{}, v1.WithLimit(1)); err != nil || len(got) != 1 {
		t.Errorf("series with a limit: %v, %v", got, err)
	}
	if got, _, _, err := a.LabelNames(ctx, []string{"requests_total"}, time.Time{}, time.Time{}); err != nil || !slices.Equal(got, model.LabelNames{"__name__", "code", "instance", "job", "track"}) {
		t.Errorf("labels: %v, %v", got, err)
	}
	if got, _, _, err := a.LabelValues(ctx, "code", []string{"requests_total", "up"}, time.Time{}, time.Time{}); err != nil || !slices.Equal(got, model.LabelValues{"200", "500"}) {
		t.Errorf("values: %v, %v", got, err)
	}
	if got, err := a.Metadata(ctx, "requests_total", ""); err != nil || len(got["requests_total"]) != 1 || got["requests_total"][0] != (v1.Metadata{Type: "counter", Help: "What was asked."}) {
		t.Errorf("metadata: %v, %v", got, err)
	}
	if got, err := a.Targets(ctx); err != nil || len(got.Active) != 1 || got.Active[0].Health != v1.HealthGood || got.Active[0].Labels["track"] != "stable" {
		t.Errorf("targets: %+v, %v", got, err)
	}
	if got, err := a.Buildinfo(ctx); err != nil || !strings.HasPrefix(got.Version, "3.") {
		t.Errorf("build info: %+v, %v", got, err)
	}
	if got, err := a.Runtimeinfo(ctx); err != nil || got.StorageRetention != "6h" {
		t.Errorf("runtime info: %+v, %v", got, err)
	}
	if got, err := a.FormatQuery(ctx, "sum( up )"); err != nil || got != `"sum(up)"` {
		t.Errorf("format: %q, %v", got, err)
	}
	if got, err := a.Rules(ctx, nil); err != nil || len(got.Groups) != 0 {
		t.Errorf("rules: %+v, %v", got, err)
	}
	if got, err := a.Alerts(ctx); err != nil || len(got.Alerts) != 0 {
		t.Errorf("alerts: %+v, %v", got, err)
	}
	if got, err := a.QueryExemplars(ctx, "up", now, now); err != nil || len(got) != 0 {
		t.Errorf("exemplars: %+v, %v", got, err)
	}
	ranged, _, _, err := a.QueryRange(ctx, `requests_total{code="200"}`, v1.Range{Start: now.Add(-time.Second), End: now, Step: 100 * time.Millisecond})
	m, ok := ranged.(model.Matrix)
	if err != nil || !ok || len(m) != 1 || len(m[0].Values) == 0 || m[0].Values[0].Value != 5 {
		t.Errorf("range: %v, %v", ranged, err)
	}
	if got, _, _, err := a.Query(ctx, `scalar(vector(1.5))`, now); err != nil || !strings.HasPrefix(got.String(), "scalar: 1.5 ") {
		t.Errorf("scalar: %v, %v", got, err)
	}
	if _, got := fetch(t, s.URL()+`/api/v1/query?time=1.5&query="<text>"`); got != `{"status":"success","data":{"resultType":"string","result":[1.500,"\u003ctext\u003e"]}}` {
		t.Errorf("text: %s", got)
	}
	if _, warnings, _, err := a.Query(ctx, `quantile(7, requests_total)`, time.Now()); err != nil || len(warnings) != 1 {
		t.Errorf("a wrong quantile: got warnings %q, %v", warnings, err)
	}
}

func TestHistogramsAreEncoded(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: 1.1})
	reg.MustRegister(h)
	h.Observe(2)
	s, c := open(t, service(t, promhttp.HandlerFor(reg, promhttp.HandlerOpts{})))
	until(t, c, `histogram_count(h)`, is(1))
	client, err := api.NewClient(api.Config{Address: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	got, _, _, err := v1.NewAPI(client).Query(t.Context(), "h", time.Now())
	v, ok := got.(model.Vector)
	if err != nil || !ok || len(v) != 1 || v[0].Histogram == nil || v[0].Histogram.Count != 1 || v[0].Histogram.Sum != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	got, _, _, err = v1.NewAPI(client).Query(t.Context(), "h[5s]", time.Now())
	if m, ok := got.(model.Matrix); err != nil || !ok || len(m) != 1 || len(m[0].Histograms) == 0 {
		t.Fatalf("got %v, %v", got, err)
	}
}

// TestWhatIsAskedWrongly has Prometheus' codes and kinds.
func TestWhatIsAskedWrongly(t *testing.T) {
	s, _ := open(t)
	for _, tt := range []struct {
		path, kind string
		status     int
	}{
		{"query?query=sum(", "bad_data", 400},
		{"query", "bad_data", 400},
		{"query?query=up&time=noon", "bad_data", 400},
		{"query?query=up&time=NaN", "bad_data", 400},
		{"query?query=up&timeout=soon", "bad_data", 400},
		{"query?query=up&timeout=0", "timeout", 503},
		{"query?query=up&limit=-1", "bad_data", 400},
		{"query?query=" + url.QueryEscape(`vector(1) + on() group_left() (label_replace(vector(1), "a", "b", "", "") or vector(2))`), "execution", 422},
		{"query_range?query=up&start=0&end=10", "bad_data", 400},
		{"query_range?query=up&start=10&end=0&step=1", "bad_data", 400},
		{"query_range?query=up&start=0&end=10&step=0", "bad_data", 400},
		{"query_range?query=up&step=1", "bad_data", 400},
		{"query_range?query=up&start=0&end=20000&step=1", "bad_data", 400},
		{"series", "bad_data", 400},
		{"series?match[]=" + url.QueryEscape(`{a=~".*"}`), "bad_data", 400},
		{"labels?match[]={", "bad_data", 400},
		{"label/%FF/values", "bad_data", 400},
		{"metadata?limit=many", "bad_data", 400},
		{"format_query?query=)", "bad_data", 400},
		{"query?query=%zz", "bad_data", 400},
	} {
		t.Run(tt.path, func(t *testing.T) {
			status, text := fetch(t, s.URL()+"/api/v1/"+tt.path)
			var got struct{ Status, ErrorType, Error string }
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if status != tt.status || got.Status != "error" || got.ErrorType != tt.kind || got.Error == "" {
				t.Errorf("got %d %s, want %d %s", status, text, tt.status, tt.kind)
			}
		})
	}
}

// TestOnlyThisMachineIsAnswered: a page in a browser that had its own name
// point to this machine reads nothing.
func TestOnlyThisMachineIsAnswered(t *testing.T) {
	s, _ := open(t)
	port := s.URL()[strings.LastIndex(s.URL(), ":"):]
	for host, want := range map[string]int{
		"127.0.0.1" + port: 200, "localhost" + port: 200, "[::1]" + port: 200,
		"evil.example" + port: 403, "127.0.0.1.evil.example": 403, "10.0.0.1" + port: 403,
	} {
		if got, _ := fetch(t, s.URL()+"/-/ready", func(r *http.Request) { r.Host = host }); got != want {
			t.Errorf("%s: got %d, want %d", host, got, want)
		}
	}
}

func TestLongFormsAreRefused(t *testing.T) {
	s, _ := open(t)
	body := strings.NewReader("query=" + strings.Repeat("x", 2<<20))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/api/v1/query", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return // it need not read all before it answers
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %s", resp.Status)
	}
}

func TestPages(t *testing.T) {
	s, _ := open(t)
	pages := map[string]int{"/": 200, "/-/healthy": 200, "/-/ready": 200, "/graph": 404, "/api/v1/admin/tsdb/snapshot": 404}
	for _, path := range slices.Sorted(maps.Keys(pages)) {
		if got, text := fetch(t, s.URL()+path); got != pages[path] {
			t.Errorf("%s: got %s", path, fmt.Sprint(got, " ", text))
		}
	}
}
