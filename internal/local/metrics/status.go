package metrics

import (
	"cmp"
	"maps"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
)

// activeTarget is a target as Prometheus' API shows it.
type activeTarget struct {
	DiscoveredLabels   labels.Labels       `json:"discoveredLabels"`
	Labels             labels.Labels       `json:"labels"`
	ScrapePool         string              `json:"scrapePool"`
	ScrapeURL          string              `json:"scrapeUrl"`
	GlobalURL          string              `json:"globalUrl"`
	LastError          string              `json:"lastError"`
	LastScrape         time.Time           `json:"lastScrape"`
	LastScrapeDuration float64             `json:"lastScrapeDuration"`
	Health             scrape.TargetHealth `json:"health"`
	ScrapeInterval     string              `json:"scrapeInterval"`
	ScrapeTimeout      string              `json:"scrapeTimeout"`
}

func (a *api) targets(r *http.Request) (answer, error) {
	active := []activeTarget{}
	if state := strings.ToLower(r.FormValue("state")); state != "dropped" {
		b := labels.NewBuilder(labels.EmptyLabels())
		for _, t := range a.server.scraper.manager.TargetsActive()[pool] {
			url := t.URL().String()
			shown := activeTarget{
				DiscoveredLabels: t.DiscoveredLabels(b), Labels: t.Labels(b), ScrapePool: pool, ScrapeURL: url, GlobalURL: url,
				LastScrape: t.LastScrape(), LastScrapeDuration: t.LastScrapeDuration().Seconds(), Health: t.Health(),
				ScrapeInterval: t.GetValue(model.ScrapeIntervalLabel), ScrapeTimeout: t.GetValue(model.ScrapeTimeoutLabel),
			}
			if err := t.LastError(); err != nil {
				shown.LastError = err.Error()
			}
			active = append(active, shown)
		}
	}
	slices.SortFunc(active, func(x, y activeTarget) int { return cmp.Compare(x.ScrapeURL, y.ScrapeURL) })
	return answer{data: map[string]any{
		"activeTargets": active, "droppedTargets": []string{}, "droppedTargetCounts": map[string]int{pool: 0},
	}}, nil
}

// described is what a target says of a metric.
type described struct {
	Type model.MetricType `json:"type"`
	Help string           `json:"help"`
	Unit string           `json:"unit"`
}

func (a *api) metadata(r *http.Request) (answer, error) {
	most, err := limit(r)
	if err != nil {
		return answer{}, err
	}
	all := map[string][]described{}
	metric := r.FormValue("metric")
	for _, t := range a.server.scraper.manager.TargetsActive()[pool] {
		for _, m := range t.ListMetadata() {
			d := described{Type: m.Type, Help: m.Help, Unit: m.Unit}
			if (metric == "" || metric == m.MetricFamily) && !slices.Contains(all[m.MetricFamily], d) {
				all[m.MetricFamily] = append(all[m.MetricFamily], d)
			}
		}
	}
	if most > 0 && len(all) > most {
		for _, name := range slices.Sorted(maps.Keys(all))[most:] {
			delete(all, name)
		}
	}
	return answer{data: all}, nil
}

// buildInfo names the version of the engine that is built in, since that is
// what clients choose their words by.
func (a *api) buildInfo(*http.Request) (answer, error) {
	return answer{data: map[string]string{
		"version": engineVersion(), "revision": "", "branch": "", "buildUser": "headgate", "buildDate": "", "goVersion": runtime.Version(),
	}}, nil
}

// engineVersion is Prometheus' own: what the module calls v0.316.0 is 3.16.0.
func engineVersion() string {
	const unknown = "3.0.0"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/prometheus/prometheus" {
			return versionOf(m.Version, unknown)
		}
	}
	return unknown
}

// versionOf reads a version of the module, v0.XYY.Z, as Prometheus' X.Y.Z.
func versionOf(module, otherwise string) string {
	parts := strings.Split(module, ".")
	if len(parts) != 3 || parts[0] != "v0" || len(parts[1]) != 3 {
		return otherwise
	}
	minor := strings.TrimPrefix(parts[1][1:], "0")
	return parts[1][:1] + "." + minor + "." + parts[2]
}

func (a *api) runtimeInfo(*http.Request) (answer, error) {
	dir, err := os.Getwd()
	if err != nil {
		dir = ""
	}
	return answer{data: map[string]any{
		"startTime": a.began, "CWD": dir, "serverTime": time.Now().UTC(), "reloadConfigSuccess": true, "lastConfigTime": a.began,
		"corruptionCount": 0, "goroutineCount": runtime.NumGoroutine(), "GOMAXPROCS": runtime.GOMAXPROCS(0), "GOMEMLIMIT": debug.SetMemoryLimit(-1),
		"GOGC": os.Getenv("GOGC"), "GODEBUG": os.Getenv("GODEBUG"), "storageRetention": model.Duration(a.retention).String(),
	}}, nil
}
