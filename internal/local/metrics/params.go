package metrics

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// moment reads a time of a request, as seconds or by RFC 3339; without one it
// is otherwise.
func moment(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(seconds) || math.Abs(seconds) > 1e11 {
			return time.Time{}, wrongParameter(name, fmt.Errorf("%q is no time", text))
		}
		return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, wrongParameter(name, fmt.Errorf("%q is no time", text))
	}
	// What has no bound in the clients' words has none in ours: Go's clients
	// write the ends of time, which are more than milliseconds can hold.
	switch {
	case t.Year() < 1:
		return time.UnixMilli(math.MinInt64 / 2).UTC(), nil
	case t.Year() > 9999:
		return time.UnixMilli(math.MaxInt64 / 2).UTC(), nil
	}
	return t, nil
}

// span reads a duration, as seconds or in Prometheus' words.
func span(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(seconds) || math.Abs(seconds) > 1e9 {
			return 0, fmt.Errorf("%q is no duration", text)
		}
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration", text)
	}
	return time.Duration(d), nil
}

// limit reads how many results are wanted at most; 0 means all.
func limit(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, wrongParameter("limit", fmt.Errorf("%q is no number from 0 on", text))
	}
	return n, nil
}

// matchers reads the series selectors of a request, of which none may select
// everything.
func (a *api) matchers(r *http.Request) ([][]*labels.Matcher, error) {
	sets, err := a.parser.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		return nil, wrongParameter("match[]", err)
	}
	for _, set := range sets {
		if !selective(set) {
			return nil, wrongParameter("match[]", errors.New("it selects every series"))
		}
	}
	return sets, nil
}

func selective(set []*labels.Matcher) bool {
	for _, m := range set {
		if !m.Matches("") {
			return true
		}
	}
	return false
}
