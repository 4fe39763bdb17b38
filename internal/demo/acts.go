package demo

import (
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// The flag of the story, the stages of its pipeline and the share of requests
// that its bad parts fail.
const (
	Flag         = "new_profile_format"
	rolloutStage = "rollout"
	flagStage    = "new profile format"
	badRelease   = "0.2"
	badFeature   = "0.3"
)

// Act is one run of the pipeline in the story.
type Act struct {
	// Title is what it is about, Before what is about to be tried.
	Title, Before string
	// Vars are those of the pipeline's file, From and Until the stages to run;
	// "" is the first and the last.
	Vars        map[string]string
	From, Until string

	// judge says in plain words what came of it, and what of that is not as it
	// must be.
	judge func(came) (said string, wrong []string)
}

// came is what came of an act.
type came struct {
	result pipeline.Result
	// during is what users saw from the begin of the act to its end, after
	// what they saw then.
	during, after seen
	// failing is how long requests failed, from the first to the last.
	failing time.Duration
	// flag is the flag's state, before and after.
	flagBefore, flagAfter string
}

// acts are the story.
func acts() []Act {
	return []Act{
		{
			Title: "A good release",
			Before: "v2 shall take the place of v1. It gets 20, 50, 80 % of the users, and a gate asks all the while " +
				"whether they see errors or wait too long.",
			Vars:  map[string]string{"release": "v2", "fail_rate": badFeature, "fail_flag": Flag},
			Until: rolloutStage, judge: good,
		},
		{
			Title:  "A bad release",
			Before: "v3 fails one request in five, and no test has noticed. The same pipeline, the same gate.",
			Vars:   map[string]string{"release": "v3", "fail_rate": badRelease},
			Until:  rolloutStage, judge: bad,
		},
		{
			Title: "A bad feature",
			Before: "v2 came with a new profile format, behind a flag that is off. The flag is switched on for 5 %, then for 50 % of the users. " +
				"What nobody knows yet: the new format fails for three in ten.",
			From: flagStage, judge: feature,
		},
	}
}

// mistakes collects what is not as it must be.
type mistakes []string

func (m *mistakes) unless(ok bool, format string, args ...any) {
	if !ok {
		*m = append(*m, fmt.Sprintf(format, args...))
	}
}

// always holds for all acts.
func (m *mistakes) always(c came, ending pipeline.Ending) {
	m.unless(c.result.Ending == ending, "the run ended as %s, not as %s", c.result.Ending, ending)
	m.unless(c.during.Requests > 0, "no request was sent meanwhile")
	m.unless(c.after.only("v2"), "afterwards not all requests were answered by v2: %s", versions(c.after))
	m.unless(c.after.Failed == 0, "%d of %d requests failed afterwards", c.after.Failed, c.after.Requests)
}

func good(c came) (string, []string) {
	var m mistakes
	m.always(c, pipeline.Delivered)
	m.unless(c.during.Failed == 0, "%d of %d requests failed", c.during.Failed, c.during.Requests)
	m.unless(c.during.versions["v2"].Requests > 0, "v2 got no request before the end")
	return fmt.Sprintf("Delivered. Of %s that users sent meanwhile %d failed. v2 serves everybody now.",
		requests(c.during.Requests), c.during.Failed), m
}

func bad(c came) (string, []string) {
	var m mistakes
	v3 := c.during.versions["v3"]
	m.always(c, pipeline.FailedRolledBack)
	m.unless(c.result.Stage == rolloutStage, "stage %q failed, not %q", c.result.Stage, rolloutStage)
	m.unless(v3.Failed > 0, "v3 failed no request, so that nothing was shown")
	m.unless(c.during.Failed == v3.Failed, "%d requests failed that v3 has not answered", c.during.Failed-v3.Failed)
	return fmt.Sprintf("Stopped by the gate and put back. Of %s that users sent meanwhile %d failed, all of them v3's, within %s. Since then %d of %d have failed: v2 serves everybody.",
		requests(c.during.Requests), c.during.Failed, seconds(c.failing), c.after.Failed, c.after.Requests), m
}

func feature(c came) (string, []string) {
	var m mistakes
	m.always(c, pipeline.FailedRolledBack)
	m.unless(c.result.Stage == flagStage, "stage %q failed, not %q", c.result.Stage, flagStage)
	m.unless(c.during.Failed > 0, "the new format failed for nobody, so that nothing was shown")
	m.unless(c.during.only("v2"), "not all requests were answered by v2: %s", versions(c.during))
	m.unless(c.flagBefore == c.flagAfter, "the flag was %s and is %s", c.flagBefore, c.flagAfter)
	return fmt.Sprintf("Stopped by the gate. Of %s that users sent meanwhile %d failed, within %s. The flag is %s, as it was, v2 stays, and since then %d of %d have failed.",
		requests(c.during.Requests), c.during.Failed, seconds(c.failing), c.flagAfter, c.after.Failed, c.after.Requests), m
}
