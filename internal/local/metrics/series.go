package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// lookup is what requests about series and labels have in common.
type lookup struct {
	querier    storage.Querier
	start, end int64
	sets       [][]*labels.Matcher
	limit      int
}

// look reads a request and opens the storage for its time.
func (a *api) look(r *http.Request) (*lookup, error) {
	start, err := moment(r, "start", time.UnixMilli(math.MinInt64/2))
	if err != nil {
		return nil, err
	}
	end, err := moment(r, "end", time.UnixMilli(math.MaxInt64/2))
	if err != nil {
		return nil, err
	}
	l := &lookup{start: start.UnixMilli(), end: end.UnixMilli()}
	if l.limit, err = limit(r); err != nil {
		return nil, err
	}
	if l.sets, err = a.matchers(r); err != nil {
		return nil, err
	}
	l.querier, err = a.server.store.db.Querier(l.start, l.end)
	if err != nil {
		return nil, &apiError{kind: internal, err: fmt.Errorf("read samples: %w", err)}
	}
	return l, nil
}

func (l *lookup) close() { _ = l.querier.Close() } // it was only read

func (a *api) series(r *http.Request) (answer, error) {
	if len(r.Form["match[]"]) == 0 {
		return answer{}, wrong(errors.New("a match[] is needed"))
	}
	l, err := a.look(r)
	if err != nil {
		return answer{}, err
	}
	defer l.close()
	hints := &storage.SelectHints{Start: l.start, End: l.end, Func: "series"} // the func that needs no samples
	sets := make([]storage.SeriesSet, len(l.sets))
	for i, m := range l.sets {
		sets[i] = l.querier.Select(r.Context(), true, hints, m...)
	}
	merged := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	found := []labels.Labels{}
	out := answer{}
	for merged.Next() {
		if l.limit > 0 && len(found) == l.limit {
			out.warnings.Add(errTruncated)
			break
		}
		found = append(found, merged.At().Labels())
	}
	if err := merged.Err(); err != nil {
		return answer{}, err
	}
	out.warnings.Merge(merged.Warnings())
	out.data = found
	return out, nil
}

func (a *api) labels(r *http.Request) (answer, error) {
	return a.words(r, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, nil, m...)
	})
}

func (a *api) labelValues(r *http.Request) (answer, error) {
	name := r.PathValue("name")
	if len(name) > 3 && name[:3] == "U__" {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return answer{}, wrong(fmt.Errorf("invalid label name: %q", name))
	}
	return a.words(r, func(ctx context.Context, q storage.Querier, m []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, nil, m...)
	})
}

// words collects what find finds for each selector, sorted and each once.
func (a *api) words(r *http.Request, find func(context.Context, storage.Querier, []*labels.Matcher) ([]string, annotations.Annotations, error)) (answer, error) {
	l, err := a.look(r)
	if err != nil {
		return answer{}, err
	}
	defer l.close()
	if len(l.sets) == 0 {
		l.sets = [][]*labels.Matcher{nil} // all series
	}
	all, out := []string{}, answer{}
	for _, set := range l.sets {
		found, warnings, err := find(r.Context(), l.querier, set)
		if err != nil {
			return answer{}, err
		}
		out.warnings.Merge(warnings)
		all = append(all, found...) // found's memory is the storage's
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if l.limit > 0 && len(all) > l.limit {
		all = all[:l.limit]
		out.warnings.Add(errTruncated)
	}
	out.data = all
	return out, nil
}
