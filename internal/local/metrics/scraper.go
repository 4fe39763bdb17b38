package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

// DefaultJob is the job of a target that names none.
const DefaultJob = "local"

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

// scraper has a loop for each target.
type scraper struct {
	memory    *samples.Memory
	client    *http.Client
	interval  time.Duration
	retention time.Duration
	log       *slog.Logger

	mu      sync.Mutex
	loops   map[string]*loop // by what tells targets apart
	closed  bool
	running sync.WaitGroup
}

func startScraper(to *samples.Memory, o Options) *scraper {
	return &scraper{
		memory: to, interval: o.ScrapeInterval, retention: o.Retention, log: o.Log, loops: map[string]*loop{},
		client: &http.Client{
			// Compression costs more than it saves where no wire is.
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// timeout is how long a scrape may take.
func (s *scraper) timeout() time.Duration { return s.interval * 4 / 5 }

func (s *scraper) set(targets []Target) error {
	wanted := map[string]*loop{}
	for _, t := range targets {
		l, err := s.loop(t)
		if err != nil {
			return fmt.Errorf("set targets: %w", err)
		}
		wanted[l.url+l.labels.String()] = l
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("set targets: the metrics are closed")
	}
	for key, l := range s.loops {
		if wanted[key] == nil {
			l.stop()
			delete(s.loops, key)
		}
	}
	for key, l := range wanted {
		if s.loops[key] == nil {
			s.loops[key] = l
			ctx, cancel := context.WithCancelCause(context.Background())
			l.stop = func() { cancel(stopped{at: time.Now()}) }
			s.running.Go(func() { l.run(ctx) })
		}
	}
	return nil
}

// stopped is why a loop ends, and when: its target's series end at that
// moment, which is before the first sample of whatever comes in its place.
type stopped struct{ at time.Time }

func (stopped) Error() string { return "the target is no longer there" }

// loop checks a target and makes what scrapes it.
func (s *scraper) loop(t Target) (*loop, error) {
	if _, _, err := net.SplitHostPort(t.Address); err != nil {
		return nil, fmt.Errorf("read target %q: %w", t.Address, err)
	}
	path := cmp.Or(t.Path, "/metrics")
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("read target %s: the path %q does not begin with /", t.Address, path)
	}
	all := map[string]string{model.JobLabel: DefaultJob, model.InstanceLabel: t.Address}
	for name, value := range t.Labels {
		if strings.HasPrefix(name, model.ReservedLabelPrefix) || !model.UTF8Validation.IsValidLabelName(name) {
			return nil, fmt.Errorf("read target %s: %q cannot be a label", t.Address, name)
		}
		if !model.LabelValue(value).IsValid() {
			return nil, fmt.Errorf("read target %s: the value of label %s is not UTF-8", t.Address, name)
		}
		all[name] = value
	}
	address := url.URL{Scheme: "http", Host: t.Address, Path: path}
	return &loop{
		scraper: s, target: t, path: path, url: address.String(), labels: labels.FromMap(all).WithoutEmpty(),
		known: map[string]*known{}, health: unknownHealth,
	}, nil
}

// active returns what is scraped, sorted by address.
func (s *scraper) active() []*loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*loop, 0, len(s.loops))
	for _, l := range s.loops {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *loop) int { return cmp.Or(cmp.Compare(a.url, b.url), labels.Compare(a.labels, b.labels)) })
	return all
}

// close ends scraping and waits for it.
func (s *scraper) close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.loops {
		l.stop()
	}
	s.mu.Unlock()
	s.running.Wait() // each scrape has a deadline, and is cancelled
	s.client.CloseIdleConnections()
}
