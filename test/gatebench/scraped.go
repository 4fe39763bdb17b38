package gatebench

import (
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
)

// Epoch is when the canary of every trace begins to get traffic, by the clock
// of Prometheus.
func Epoch() time.Time { return time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC) }

// The labels that tell the two tracks of a trace apart.
const (
	Metric         = "http_requests_total"
	CanaryName     = "shop-canary"
	StableName     = "shop"
	CanarySelector = `app="` + CanaryName + `"`
	StableSelector = `app="` + StableName + `"`
)

// Scrape returns what Prometheus has of the trace: for each pod one counter of
// requests that succeeded and one of those that failed, which is there from
// the first failure on. Pods are scraped at different moments of an interval.
func (t *Trace) Scrape() []counts.Series {
	s, r := t.Scenario, Random(t.Scenario.Name+" scrapes", 0)
	var out []counts.Series
	pods := func(track string, pods [][]Counts, first int) {
		for i, pod := range pods {
			late := time.Duration(r.Float64() * 0.9 * float64(s.Scrape))
			times := func(k int) time.Time { return Epoch().Add(time.Duration(first+k+1)*s.Scrape - late) }
			labels := func(status string) map[string]string {
				return map[string]string{
					"__name__": Metric, "app": track, "pod": fmt.Sprintf("%s-%d", track, i), "status": status,
				}
			}
			well := counts.Series{Labels: labels("200")}
			failed := counts.Series{Labels: labels("500")}
			var sum Counts
			for k, c := range pod {
				sum.add(c)
				if good := sum.Requests - sum.Bad; good > 0 {
					well.Points = append(well.Points, counts.Point{Time: times(k), Value: float64(good)})
				}
				if sum.Bad > 0 {
					failed.Points = append(failed.Points, counts.Point{Time: times(k), Value: float64(sum.Bad)})
				}
			}
			for _, series := range []counts.Series{well, failed} {
				if len(series.Points) > 0 {
					out = append(out, series)
				}
			}
		}
	}
	pods(StableName, t.stable, -s.History)
	pods(CanaryName, t.canary, 0)
	return out
}
