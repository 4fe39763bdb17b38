package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headgate-dev/headgate/pipeline"
)

// forbidding is a store that this user may not read.
type forbidding struct{ memoryStore }

func (forbidding) Peek(context.Context) ([]pipeline.Event, error) {
	return nil, errors.New("get secrets is forbidden")
}

// refused is a stage whose preflight finds what is missing.
type refused struct{ plain }

func (refused) Preflight(context.Context, *pipeline.Scope) []pipeline.Finding {
	return []pipeline.Finding{{Message: "patch deployments is forbidden"}}
}

func TestUnreadableJournalDoesNotHideWhatElseIsMissing(t *testing.T) {
	b := newBench(stage("a", refused{changes("route", "100")}))
	b.Store = forbidding{}
	r := b.Run(t.Context())
	want(t, r, pipeline.FailedUnchanged)
	for _, missing := range []string{"get secrets", "patch deployments"} {
		if !strings.Contains(r.Reason, missing) {
			t.Errorf("the reason does not name %s: %s", missing, r.Reason)
		}
	}
	if len(r.Findings) != 1 {
		t.Errorf("findings %v, want that of the preflight", r.Findings)
	}
}

// lossy answers only after some questions got no answer.
type lossy struct {
	matching
	lost *int
}

func (l lossy) Matches(ctx context.Context, thing pipeline.Thing, to json.RawMessage) (bool, error) {
	if *l.lost > 0 {
		*l.lost--
		return false, errors.New("connection reset")
	}
	return l.matching.Matches(ctx, thing, to)
}

func TestResumeAsksAgainWhenAnAnswerIsLost(t *testing.T) {
	for lost, ending := range map[int]pipeline.Ending{1: pipeline.Delivered, 2: pipeline.Delivered, 3: pipeline.FailedRolledBack} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(stage("a", changes("route", "50")))
			b.wrote(t, made("a", "route", "50")...)
			b.Undoers["thing"] = lossy{matching{b.Undoers["thing"].(undoing), map[string]string{"route": "50"}}, &lost}
			want(t, b.Run(t.Context()), ending)
		})
	}
}
