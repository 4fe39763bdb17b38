package counts

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Query says what to ask of one metric for both tracks at once.
type Query struct {
	Metric string
	// Canary and Stable select the tracks; Stable is nil where there is
	// nothing to compare with.
	Canary, Stable []*labels.Matcher
	// Where selects the requests that count at all.
	Where []*labels.Matcher
}

// MaxSamples is how many samples an answer may hold before the next questions
// are for sums, which are approximate.
const MaxSamples = 5000

// Samples returns how many samples series hold.
func Samples(series []Series) int {
	n := 0
	for _, s := range series {
		n += len(s.Points)
	}
	return n
}

// ErrNothingInCommon reports selectors of two tracks that have no label in
// common, so that one query for both would be for the whole world.
var ErrNothingInCommon = errors.New("the selectors of canary and stable have no label in common")

// Selector returns a PromQL selector, with the metric's name, that matches
// the series of both tracks; it may match others, which [Query.Track] tells
// apart.
func (q Query) Selector(more ...string) (string, error) {
	arms := union(q.Canary, q.Stable)
	if len(arms) == 0 {
		return "", ErrNothingInCommon
	}
	var parts []string
	for _, m := range slices.Concat(arms, q.Where) {
		parts = append(parts, m.String())
	}
	return q.Metric + "{" + strings.Join(append(parts, more...), ",") + "}", nil
}

// union returns matchers that match what either of two lists matches. Those
// of a label that both restrict are put together; what only one of them
// restricts is left open.
func union(a, b []*labels.Matcher) []*labels.Matcher {
	if b == nil {
		return a
	}
	var out []*labels.Matcher
	for _, m := range a {
		if slices.ContainsFunc(b, func(o *labels.Matcher) bool { return o.String() == m.String() }) {
			out = append(out, m)
			continue
		}
		x, okX := wanted(a, m.Name)
		y, okY := wanted(b, m.Name)
		if !okX || !okY || slices.ContainsFunc(out, func(o *labels.Matcher) bool { return o.Name == m.Name }) {
			continue
		}
		if either, err := labels.NewMatcher(labels.MatchRegexp, m.Name, x+"|"+y); err == nil {
			out = append(out, either)
		}
	}
	return out
}

// wanted returns the pattern of the one matcher that says which values of a
// label are wanted; false where there is none, or where there are several.
func wanted(ms []*labels.Matcher, name string) (string, bool) {
	var found []*labels.Matcher
	for _, m := range ms {
		if m.Name == name && (m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp) {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	if found[0].Type == labels.MatchEqual {
		return regexp.QuoteMeta(found[0].Value), true
	}
	return "(?:" + found[0].Value + ")", true
}

// Track tells which track a series belongs to. What both selectors match is
// the canary's, so that what a new release does is never hidden in stable.
func (q Query) Track(set map[string]string) Track {
	switch {
	case Matches(set, q.Canary):
		return Canary
	case q.Stable != nil && Matches(set, q.Stable):
		return Stable
	}
	return Other
}

// Matches reports whether labels fit all matchers.
func Matches(set map[string]string, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(set[m.Name]) {
			return false
		}
	}
	return true
}

// Raw returns the query for the samples of a counter after since, to be
// evaluated at the moment at. With bounds it asks for these buckets of a
// classic histogram alone, and for the one of all.
func (q Query) Raw(since, at time.Time, bounds ...float64) (string, error) {
	s, err := q.Selector(buckets(bounds)...)
	if err != nil {
		return "", err
	}
	return s + "[" + Duration(at.Sub(since)) + "]", nil
}

// Summed returns the query for the sums of counters by those labels, one value
// per step after since: what to ask where there are too many series. Sums of
// the series of a pod restart with it and grow from zero with each of its new
// series, so by must hold a label that tells pods apart, and those that tell
// tracks and bad requests apart.
func (q Query) Summed(by []string, r Range, bounds ...float64) (string, error) {
	s, err := q.Selector(buckets(bounds)...)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sum by (%s) (%s)%s", strings.Join(by, ", "), s, r.steps()), nil
}

// Native returns the query for native histograms: per group of labels by, how
// many requests there were, and how many took up to each of the bounds. The
// answers have the label le, as buckets have. Numbers between the bounds of the
// histogram itself are estimates.
func (q Query) Native(by []string, r Range, bounds ...float64) (string, error) {
	s, err := q.Selector()
	if err != nil {
		return "", err
	}
	sum := fmt.Sprintf("sum by (%s) (%s)", strings.Join(by, ", "), s)
	labelled := func(expr, le string) string {
		return fmt.Sprintf("label_replace(%s, %q, %q, %q, %q)", expr, bucketLabel, le, "", "")
	}
	parts := []string{labelled("histogram_count("+sum+")", "+Inf")}
	for _, b := range bounds {
		le := strconv.FormatFloat(b, 'g', -1, 64)
		fast := fmt.Sprintf("round(histogram_count(%s) * (histogram_fraction(0, %s, %s) >= 0 or histogram_count(%s) * 0))", sum, le, sum, sum)
		parts = append(parts, labelled(fast, le))
	}
	return "(" + strings.Join(parts, " or ") + ")" + r.steps(), nil
}

// Range is the time that sums are asked for, and the time between two of them.
type Range struct {
	Since, At time.Time
	Step      time.Duration
}

func (r Range) steps() string {
	return "[" + Duration(r.At.Sub(r.Since)) + ":" + Duration(r.Step) + "]"
}

// buckets is the matcher for those bounds and the one of all, as text of a
// selector; nothing without bounds.
func buckets(bounds []float64) []string {
	if len(bounds) == 0 {
		return nil
	}
	var les []string
	for _, b := range bounds {
		le := regexp.QuoteMeta(strconv.FormatFloat(b, 'g', -1, 64))
		les = append(les, le)
		if b == math.Trunc(b) && !strings.Contains(le, "e") {
			les = append(les, le+`\.0`)
		}
	}
	return []string{bucketLabel + "=~" + strconv.Quote(strings.Join(append(les, `\+Inf`), "|"))}
}

// PodMetrics returns the query for the samples of several metrics at once, told
// apart by their label __name__. The metric of q is not used.
func (q Query) PodMetrics(since, at time.Time, metrics ...string) (string, error) {
	q.Metric = ""
	s, err := q.Selector(fmt.Sprintf("__name__=~%q", strings.Join(metrics, "|")))
	if err != nil {
		return "", err
	}
	return s + "[" + Duration(at.Sub(since)) + "]", nil
}

// Duration writes a time as PromQL does, in milliseconds where it must.
func Duration(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(max(d, time.Second)/time.Second), 10) + "s"
	}
	return strconv.FormatInt(int64(max(1, (d+time.Millisecond-1)/time.Millisecond)), 10) + "ms"
}
