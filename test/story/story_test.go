package story_test

import (
	"slices"
	"testing"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/story"
)

// TestJudgeNoticesWhatIsWrong: a judge who is always content would make every
// end-to-end test pass.
func TestJudgeNoticesWhatIsWrong(t *testing.T) {
	right := story.Outcome{
		Ending: pipeline.Delivered, Live: "good", Requests: 10,
		Versions: map[string]int{"old": 5, "good": 5},
	}
	good := story.Named("good")
	if wrong := good.Judge(right); len(wrong) > 0 {
		t.Errorf("a right outcome is called wrong: %q", wrong)
	}
	for name, spoil := range map[string]func(o *story.Outcome){
		"ending":  func(o *story.Outcome) { o.Ending = pipeline.FailedRolledBack },
		"live":    func(o *story.Outcome) { o.Live = "old" },
		"weight":  func(o *story.Outcome) { o.Weight = 50 },
		"lost":    func(o *story.Outcome) { o.Failed = 1 },
		"nobody":  func(o *story.Outcome) { o.Requests = 0 },
		"unseen":  func(o *story.Outcome) { o.Versions = map[string]int{"old": 10} },
		"foreign": func(o *story.Outcome) { o.Versions = map[string]int{"good": 1, "other": 1} },
	} {
		o := right
		spoil(&o)
		if len(good.Judge(o)) == 0 {
			t.Errorf("%s: nothing is called wrong", name)
		}
	}
	crash := story.Outcome{Ending: pipeline.FailedRolledBack, Reason: "exit code 1", Live: "old", Requests: 1, Versions: map[string]int{"old": 1}}
	if wrong := story.Named("crash").Judge(crash); len(wrong) > 0 {
		t.Errorf("a right outcome is called wrong: %q", wrong)
	}
	crash.Versions = map[string]int{"crash": 1}
	if wrong := story.Named("crash").Judge(crash); !slices.Contains(wrong, `version "crash" got requests`) {
		t.Errorf("a request to a version that does not run is not noticed: %q", wrong)
	}
}
