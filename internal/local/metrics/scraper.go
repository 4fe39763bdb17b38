package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
)

// DefaultJob is the job of a target that names none.
const DefaultJob = "local"

// pool is the one scrape pool, which holds all targets.
const pool = "local"

// Target is something to scrape.
type Target struct {
	// Address is host:port; it becomes the label instance, unless Labels has
	// one.
	Address string
	// Path is that of the metrics; "" means /metrics.
	Path string
	// Labels are added to every series of the target; a label of the same
	// name that the target gives itself becomes exported_NAME. Without a
	// label job, [DefaultJob] is taken.
	Labels map[string]string
}

// settings are Prometheus' own file for the pool. What a scrape may bring is
// bounded; compression costs more than it saves where no wire is.
const settings = `
global: {scrape_interval: %[1]dms, scrape_timeout: %[2]dms, evaluation_interval: %[1]dms}
scrape_configs:
  - job_name: ` + pool + `
    scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0, PrometheusText0.0.4]
    fallback_scrape_protocol: PrometheusText0.0.4
    scrape_native_histograms: true
    always_scrape_classic_histograms: true
    body_size_limit: 64MB
    sample_limit: 200000
    enable_compression: false
    follow_redirects: false
`

// scraper feeds the targets to Prometheus' scrape manager.
type scraper struct {
	manager *scrape.Manager
	done    chan struct{} // closed when the manager is at its end
	mu      sync.Mutex
	sets    chan map[string][]*targetgroup.Group // the newest set, not yet taken
	failed  error
	closed  bool
}

func startScraper(to storage.AppendableV2, o Options) (*scraper, error) {
	interval := o.ScrapeInterval.Milliseconds()
	cfg, err := config.Load(fmt.Sprintf(settings, interval, interval*4/5), o.Log)
	if err != nil {
		return nil, fmt.Errorf("configure scraping: %w", err)
	}
	m, err := scrape.NewManager(&scrape.Options{
		// The manager looks at new targets at a ticker's pace, 5 s by default,
		// but at once when it had none for longer than that.
		DiscoveryReloadInterval:  model.Duration(10 * time.Millisecond),
		DiscoveryReloadOnStartup: true,
	}, o.Log, nil, nil, to, prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("configure scraping: %w", err)
	}
	s := &scraper{manager: m, done: make(chan struct{}), sets: make(chan map[string][]*targetgroup.Group, 1)}
	go s.run(cfg)
	return s, nil
}

// run is apart from startScraper since the manager asks the resolver for this
// host's full name, which can take seconds where there is no network.
func (s *scraper) run(cfg *config.Config) {
	defer close(s.done)
	if err := s.manager.ApplyConfig(cfg); err != nil {
		s.mu.Lock()
		s.failed = fmt.Errorf("configure scraping: %w", err)
		s.mu.Unlock()
		return
	}
	_ = s.manager.Run(s.sets) // it never fails
}

func (s *scraper) set(targets []Target) error {
	groups := make([]*targetgroup.Group, 0, len(targets))
	for _, t := range targets {
		g, err := t.group()
		if err != nil {
			return fmt.Errorf("set targets: %w", err)
		}
		groups = append(groups, g)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("set targets: the metrics are closed")
	}
	if s.failed != nil {
		return fmt.Errorf("set targets: %w", s.failed)
	}
	select {
	case <-s.sets: // what nobody took is out of date
	default:
	}
	s.sets <- map[string][]*targetgroup.Group{pool: groups}
	return nil
}

// group is the target in Prometheus' words.
func (t Target) group() (*targetgroup.Group, error) {
	if _, _, err := net.SplitHostPort(t.Address); err != nil {
		return nil, fmt.Errorf("read target %q: %w", t.Address, err)
	}
	path := cmp.Or(t.Path, "/metrics")
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("read target %s: the path %q does not begin with /", t.Address, path)
	}
	all := model.LabelSet{model.JobLabel: DefaultJob}
	for name, value := range t.Labels {
		if strings.HasPrefix(name, model.ReservedLabelPrefix) || !model.UTF8Validation.IsValidLabelName(name) {
			return nil, fmt.Errorf("read target %s: %q cannot be a label", t.Address, name)
		}
		if !model.LabelValue(value).IsValid() {
			return nil, fmt.Errorf("read target %s: the value of label %s is not UTF-8", t.Address, name)
		}
		all[model.LabelName(name)] = model.LabelValue(value)
	}
	all[model.MetricsPathLabel] = model.LabelValue(path)
	return &targetgroup.Group{
		Source:  t.Address + path,
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(t.Address)}},
		Labels:  all,
	}, nil
}

// stopTimeout bounds the wait for scrapes that are under way.
const stopTimeout = 10 * time.Second

// close ends scraping and waits for it.
func (s *scraper) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.manager.Stop()
		<-s.done
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout): // the resolver hangs; nothing is scraped
	}
}
