package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/headgate-dev/headgate/internal/local/metrics/samples"
)

// What a scrape may bring.
const (
	maxBody   = 64 << 20
	maxSeries = 200_000
	// maxKept is the memory for answers that a target keeps between scrapes.
	maxKept = 4 << 20
	// maxAhead is how far in the future a sample may be that has a time of its
	// own.
	maxAhead = 10 * time.Minute
)

// accept names the forms that are understood, the best first. Only protobuf
// has native histograms.
const accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," +
	"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5," +
	"application/openmetrics-text;version=0.0.1;q=0.4," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3," +
	"text/plain;version=0.0.4;q=0.2,*/*;q=0.1"

// textual is the form of an answer that does not say its own.
const textual = "text/plain"

// scraped is the answer of a target; its body is valid until the next one.
type scraped struct {
	body []byte
	form string // its content type
}

// fetch asks the target for its metrics.
func (l *loop) fetch(ctx context.Context) (scraped, error) {
	timeout := l.scraper.timeout()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return scraped{}, err
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("User-Agent", "Headgate")
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(timeout.Seconds(), 'f', -1, 64))
	resp, err := l.scraper.client.Do(r)
	if err != nil {
		return scraped{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return scraped{}, fmt.Errorf("the target answers %s", resp.Status)
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return scraped{}, fmt.Errorf("the target answers in the encoding %q, which it was not asked for", e)
	}
	into := bytes.NewBuffer(l.body[:0])
	n, err := into.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	if into.Cap() <= maxKept {
		l.body = into.Bytes()
	}
	switch {
	case err != nil:
		return scraped{}, fmt.Errorf("read answer: %w", err)
	case n > maxBody:
		return scraped{}, fmt.Errorf("the answer has more than %d bytes", maxBody)
	}
	return scraped{body: into.Bytes(), form: resp.Header.Get("Content-Type")}, nil
}

// page is what a target said in one scrape.
type page struct {
	samples  []samples.Sample
	count    int // what was said, kept or not
	added    int // series that were not said in the scrape before
	metadata map[string]described
}

// read makes samples of an answer.
func (l *loop) read(from scraped, at time.Time) (page, error) {
	said := page{metadata: map[string]described{}, samples: make([]samples.Sample, 0, len(l.known)+len(reported))}
	l.round++
	if len(from.body) == 0 {
		return said, nil
	}
	parser, err := textparse.New(from.body, from.form, labels.NewSymbolTable(), textparse.ParserOptions{
		KeepClassicOnClassicAndNativeHistograms: true,
		FallbackContentType:                     textual,
	})
	if parser == nil {
		return said, err
	}
	for {
		entry, err := parser.Next()
		switch {
		case errors.Is(err, io.EOF):
			return said, nil
		case err != nil:
			return said, err
		case entry == textparse.EntrySeries || entry == textparse.EntryHistogram:
			err = l.sample(parser, entry, at, &said)
		default:
			said.describe(parser, entry)
		}
		if err != nil {
			return said, err
		}
	}
}

// describe keeps what is said of a metric.
func (p *page) describe(from textparse.Parser, entry textparse.Entry) {
	switch entry {
	case textparse.EntryType:
		name, kind := from.Type()
		p.change(name, func(d *described) { d.Type = kind })
	case textparse.EntryHelp:
		name, text := from.Help()
		p.change(name, func(d *described) { d.Help = string(text) })
	case textparse.EntryUnit:
		name, text := from.Unit()
		p.change(name, func(d *described) { d.Unit = string(text) })
	default: // a comment
	}
}

func (p *page) change(name []byte, set func(*described)) {
	d, ok := p.metadata[string(name)]
	if !ok {
		d.Type = model.MetricTypeUnknown
	}
	set(&d)
	p.metadata[string(name)] = d
}

// sample adds the value that the parser is at.
func (l *loop) sample(from textparse.Parser, entry textparse.Entry, at time.Time, said *page) error {
	if said.count++; said.count > maxSeries {
		return fmt.Errorf("the answer has more than %d samples", maxSeries)
	}
	x := samples.Sample{T: at.UnixMilli()}
	var text []byte
	var own *int64
	if entry == textparse.EntryHistogram {
		text, own, x.Histogram, x.FloatHistogram = from.Histogram()
	} else {
		text, own, x.V = from.Series()
	}
	if err := check(x); err != nil {
		return fmt.Errorf("read %s: %w", text, err)
	}
	if own != nil { // the target says when, so it is also the one to say that there is no more
		x.T = *own
		if x.T > at.Add(maxAhead).UnixMilli() || x.T < at.UnixMilli()-l.scraper.retention.Milliseconds() {
			return nil
		}
		var err error
		x.To, err = l.series(from)
		said.samples = append(said.samples, x)
		return err
	}
	k := l.known[string(text)]
	if k == nil {
		s, err := l.series(from)
		if err != nil {
			return err
		}
		k = &known{series: s}
		l.known[string(text)] = k
		said.added++
	}
	if k.round == l.round {
		return nil // it was said before
	}
	k.round = l.round
	x.To = k.series
	said.samples = append(said.samples, x)
	return nil
}

// check refuses histograms that contradict themselves.
func check(x samples.Sample) error {
	switch {
	case x.Histogram != nil:
		return x.Histogram.Validate()
	case x.FloatHistogram != nil:
		return x.FloatHistogram.Validate()
	}
	return nil
}

// series is that of the value that the parser is at, with the labels of the
// target. A label of the same name becomes exported_NAME.
func (l *loop) series(from textparse.Parser) (*samples.Series, error) {
	var own labels.Labels
	from.Labels(&own)
	b := labels.NewBuilder(own)
	l.labels.Range(func(target labels.Label) { b.Set(target.Name, target.Value) })
	l.labels.Range(func(target labels.Label) {
		v := own.Get(target.Name)
		if v == "" {
			return
		}
		name := model.ExportedLabelPrefix + target.Name
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, v)
	})
	all := b.Labels()
	if !all.Has(model.MetricNameLabel) || !all.IsValid(model.UTF8Validation) {
		return nil, fmt.Errorf("read %s: a name is not valid", all)
	}
	return l.scraper.memory.Series(all), nil
}
