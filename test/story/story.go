// Package story is what releases must come to, whatever they are rolled out
// on: one table for the cluster and for the local platform.
package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// Old is the version that users have before every story.
const Old = "old"

// Steps are those of the canary in every story.
const Steps = "[{setWeight: 20%}, {pause: 6s}, {setWeight: 50%}, {pause: 6s}, {setWeight: 80%}, {pause: 6s}]"

// Gates are those of every story. Windows and looks are short, since metrics
// are scraped every second.
const Gates = `gates:
  slo:
    every: 1s
    window: 10s
    scrapeInterval: 1s
    metricsGrace: 4s
    onInconclusive: extend
    maxExtend: 15s
    checks:
      - errorRate: {max: 5%}
      - latency: {quantile: 0.95, max: 1s}
`

// Trigger is the feature flag that makes the release of a story with At above
// 20 bad, when it is switched on.
const Trigger = "e2e_later"

// Story is a release of the example service and how it must end.
type Story struct {
	// Release names it and its version; Faults are variables of its
	// environment, see examples/ecommerce.
	Release string
	Faults  map[string]string
	// Missing says that there is no such image.
	Missing bool
	// At is the weight in percent from which on it is bad; 0 for one that is
	// good, or that does not run at all.
	At float64
	// Check is the check that must notice, "" where none is asked.
	Check string
	// Says stands in the reason of the end, in lower case.
	Says string
	// Endings are those that are right.
	Endings []pipeline.Ending
	// Within bounds the time of the whole run, 0 for none.
	Within time.Duration
}

// Stories returns the table.
func Stories() []Story {
	back := []pipeline.Ending{pipeline.FailedRolledBack}
	early := []pipeline.Ending{pipeline.FailedRolledBack, pipeline.FailedUnchanged}
	return []Story{
		{Release: "good", Endings: []pipeline.Ending{pipeline.Delivered}},
		{Release: "errors", Faults: map[string]string{"FAIL_RATE": "0.2"}, At: 20, Check: "errorRate", Says: "errorrate", Endings: back},
		{Release: "slow", Faults: map[string]string{"SLOW": "1500ms"}, At: 20, Check: "latency", Says: "latency", Endings: back},
		{Release: "later", Faults: map[string]string{"FAIL_RATE": "0.2", "FAIL_FLAG": Trigger}, At: 50, Check: "errorRate", Says: "errorrate", Endings: back},
		{Release: "unready", Faults: map[string]string{"NEVER_READY": "true"}, Says: "ready", Endings: early, Within: time.Minute},
		{Release: "crash", Faults: map[string]string{"CRASH": "true"}, Says: "exit", Endings: early, Within: time.Minute},
		{Release: "nothing", Missing: true, Says: "nothing", Endings: early, Within: 15 * time.Second},
	}
}

// Named returns the story of a release.
func Named(release string) Story {
	for _, s := range Stories() {
		if s.Release == release {
			return s
		}
	}
	panic("story: there is none of the release " + release)
}

// Good reports whether the release is to be promoted.
func (s Story) Good() bool { return slices.Contains(s.Endings, pipeline.Delivered) }

// Runs reports whether any request may reach the release.
func (s Story) Runs() bool { return s.Good() || s.At > 0 }

// Outcome is how a story ended.
type Outcome struct {
	Ending pipeline.Ending
	Reason string
	Took   time.Duration
	// Live is the version that users have at the end, and Weight what the
	// canary still gets, in percent.
	Live   string
	Weight float64
	// Requests and Failed are counted by the users themselves, and Versions
	// are those that answered them.
	Requests, Failed int
	Versions         map[string]int
}

// Judge returns what is not as it must be.
func (s Story) Judge(o Outcome) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !slices.Contains(s.Endings, o.Ending) {
		say("ended %q, want one of %v", o.Ending, s.Endings)
	}
	if !strings.Contains(strings.ToLower(o.Reason), s.Says) {
		say("the reason %q does not say %q", o.Reason, s.Says)
	}
	if s.Within > 0 && o.Took > s.Within {
		say("took %s, want %s", o.Took, s.Within)
	}
	live := Old
	if s.Good() {
		live = s.Release
	}
	if o.Live != live {
		say("%q is live, want %q", o.Live, live)
	}
	if o.Weight != 0 {
		say("the canary still gets %g%%", o.Weight)
	}
	if o.Requests == 0 {
		say("no request was sent, so that nothing is shown")
	}
	if s.At == 0 && o.Failed > 0 {
		say("%d of %d requests failed", o.Failed, o.Requests)
	}
	for version := range o.Versions {
		if version != Old && (version != s.Release || !s.Runs()) {
			say("version %q got requests", version)
		}
	}
	if s.Good() && o.Versions[s.Release] == 0 {
		say("version %q got no requests", s.Release)
	}
	return wrong
}
