package pipeline_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headgate-dev/headgate/pipeline"
)

func TestOlderRunDoesNotReplaceANewerOne(t *testing.T) {
	cases := []struct {
		name, first, second string
		allow               bool
		want                pipeline.Ending
	}{
		{"in order", "7", "8", false, pipeline.Delivered},
		{"again", "7", "7", false, pipeline.Delivered},
		{"overtaken", "8", "7", false, pipeline.Locked},
		{"longer number", "10", "9", false, pipeline.Locked},
		{"on purpose", "8", "7", true, pipeline.Delivered},
		{"unknown", "", "7", false, pipeline.Delivered},
		{"not a number", "main-8", "7", false, pipeline.Delivered},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, m := oldWorld(), &memory{}
				run := func(id, number string, allow bool) pipeline.Result {
					l := &life{fate: &fate{}, w: w, m: m}
					u := undoer{w: w, l: l}
					r := &pipeline.Runner{
						Pipeline: &pipeline.Pipeline{Name: "user-service", Stages: []*pipeline.Stage{
							{Name: "flag", Changes: true, Task: &ramp{w: w, l: l, reached: func(int) {}}},
						}},
						Info:  pipeline.Info{ID: id, Pipeline: "user-service", Number: number, Digest: id},
						Store: memoryStore{m, l}, Clock: pipeline.RealClock{}, Undoers: map[string]pipeline.Undoer{"flag": u},
						Options: pipeline.Options{AllowOlder: allow},
					}
					return r.Run(t.Context())
				}
				if got := run("first", tc.first, false); got.Ending != pipeline.Delivered {
					t.Fatalf("first: %+v", got)
				}
				before := w.changes
				got := run("second", tc.second, tc.allow)
				if got.Ending != tc.want {
					t.Fatalf("second: got %+v, want %s", got, tc.want)
				}
				if got.Ending == pipeline.Locked && (w.changes != before || !strings.Contains(got.Hint, "--allow-older")) {
					t.Errorf("got %+v and %d changes, want a hint and none", got, w.changes-before)
				}
			})
		})
	}
}
