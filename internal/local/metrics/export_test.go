package metrics

import (
	"log/slog"
	"time"

	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

// Page reads answers of a target one after another, each a second after the
// one before, and returns the memory that they are kept in, and what was wrong
// with the last one that was wrong.
func Page(form string, bodies ...[]byte) (*samples.Memory, error) {
	m := samples.New(time.Hour)
	s := startScraper(m, Options{ScrapeInterval: time.Second, Retention: 500 * time.Second, Log: slog.New(slog.DiscardHandler)})
	l, err := s.loop(Target{Address: "127.0.0.1:1", Labels: map[string]string{"track": "stable"}})
	if err != nil {
		return nil, err
	}
	var wrong error
	for i, body := range bodies {
		at := time.Unix(1000+int64(i), 0)
		said, failed := l.read(scraped{body: body, form: form}, at)
		if failed == nil {
			said.samples = append(said.samples, l.unsaid(at)...)
		} else {
			said.samples, wrong = l.ended(at), failed
		}
		m.Add(said.samples)
	}
	return m, wrong
}
