package stages_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
)

func TestRollingDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(stableAt)
		result, rec := w.release(t.Context(), t, rollingFile+settled)
		if result.Ending != pipeline.Delivered {
			t.Fatalf("got %+v", result)
		}
		if d := cmp.Diff([]string{stableAt + " runs new x-1", "tidy " + stableAt}, w.log); d != "" {
			t.Errorf("changes (-want +got):\n%s", d)
		}
		if err := stableIs(newImage)(w); err != nil {
			t.Error(err)
		}
		w.isWell(t)
		for _, e := range rec.events {
			if e.Type == pipeline.Judged && !strings.Contains(e.Verdict.Evidence[0].Query, stableAt+"@"+newImage) {
				t.Errorf("stage %s judged by %s, which former pods answer too", e.Stage, e.Verdict.Evidence[0].Query)
			}
		}
	})
}

func TestRollingGoesBack(t *testing.T) {
	cases := []struct {
		name   string
		file   string
		spoil  func(w *town)
		reason string
	}{
		{"gate midway", rollingFile, func(w *town) { w.errors = badNew(0) }, "gate slo failed"},
		{"pods that do not get ready", rollingFile, func(w *town) { w.sick = newImage }, "not ready"},
		{"a later stage", rollingFile + settled, func(w *town) { w.errors = badAfter(6 * time.Minute) }, "gate slo failed"},
		{"somebody else's change", rollingFile, func(w *town) {
			go func() {
				time.Sleep(time.Minute)
				w.mu.Lock()
				defer w.mu.Unlock()
				w.units[stableAt].Version++
				w.units[stableAt].by = "kubectl-edit"
			}()
		}, "was changed by kubectl-edit"},
		{"no pod left", rollingFile, func(w *town) {
			go func() {
				time.Sleep(time.Minute)
				w.mu.Lock()
				defer w.mu.Unlock()
				w.units[stableAt].Ready, w.units[stableAt].fallen = 0, true
			}()
		}, "none of its pods is ready"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(stableAt)
				tc.spoil(w)
				result, rec := w.release(t.Context(), t, tc.file)
				if result.Ending != pipeline.FailedRolledBack || !strings.Contains(result.Reason, tc.reason) {
					t.Fatalf("got %+v, want rolled back for %s", result, tc.reason)
				}
				if err := stableIs(oldImage)(w); err != nil {
					t.Errorf("%v: %s", err, w.describe())
				}
				if tc.name != "no pod left" { // there, users were not well before the rollback
					w.isWell(t)
				}
				if !rec.has(pipeline.EvidenceFound) && !strings.Contains(tc.name, "later") {
					t.Error("no evidence was collected")
				}
			})
		})
	}
}

// badAfter makes the new release fail so long after now.
func badAfter(d time.Duration) func(at, image string, weight float64) float64 {
	began := time.Now()
	return func(_, image string, _ float64) float64 {
		if image == newImage && time.Since(began) > d {
			return 0.3
		}
		return 0
	}
}

func TestRollingFirstDeployment(t *testing.T) {
	file := strings.Replace(rollingFile, "      gate:", "      manifests: [deploy/]\n      gate:", 1)
	for _, bad := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown()
			want := pipeline.Delivered
			if bad {
				w.errors, want = badNew(0), pipeline.FailedRolledBack
			}
			result, _ := w.release(t.Context(), t, file)
			if result.Ending != want || (len(w.units) == 0) != bad {
				t.Errorf("bad %v: got %+v with %s", bad, result, w.describe())
			}
		})
	}
}

// TestCancelledRollingIsPutBackAtOnce: its new pods have traffic as they come.
func TestCancelledRollingIsPutBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(stableAt)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(2 * time.Minute); cancel(pipeline.ErrCancelled) }()
		result := w.live(ctx, t, &outing{file: rollingFile}, &life{})
		if result.Ending != pipeline.CancelledInt || w.units[stableAt].Image != oldImage {
			t.Errorf("got %+v with %s", result, w.describe())
		}
	})
}

// TestRollingOfNoPods: an autoscaler that scales to zero is no failure.
func TestRollingOfNoPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(stableAt)
		w.need, w.units[stableAt].Replicas, w.units[stableAt].Ready = 0, 0, 0
		result, _ := w.release(t.Context(), t, strings.ReplaceAll(rollingFile, "      gate: slo\n      bake: 5m\n", ""))
		if result.Ending != pipeline.Delivered || w.units[stableAt].Image != newImage {
			t.Errorf("got %+v with %s", result, w.describe())
		}
	})
}

func TestPodsThatEndAtOnceAreWarnedOf(t *testing.T) {
	cases := []struct {
		name, file string
		drains     int
		want       string // part of it, "" for no warning
	}{
		{"rolling", rollingFile, 0, " drain: 5s keeps"},
		{"rolling with drain", rollingFile + "      drain: 5s\n", 0, "for the last time"},
		{"rolling with a hook", rollingFile, 5, ""},
		{"canary by numbers", countingFile, 0, "for the last time"},
		{"canary by numbers without drain", strings.Replace(countingFile, ", drain: 5s", "", 1), 0, "traffic.drain: 5s keeps"},
		{"canary by a route", canaryFile, 0, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(stableAt)
				w.drains, w.counting = tc.drains, strings.Contains(tc.file, "replicas: true")
				result, rec := w.release(t.Context(), t, tc.file)
				if result.Ending != pipeline.Delivered {
					t.Fatalf("got %+v", result)
				}
				var warned []string
				for _, e := range rec.events {
					if e.Type == pipeline.Warned && strings.Contains(e.Message, "preStop") {
						warned = append(warned, e.Message)
					}
				}
				if (len(warned) > 0) != (tc.want != "") || tc.want != "" && !strings.Contains(warned[0], tc.want) {
					t.Errorf("warned %q, want %q", warned, tc.want)
				}
			})
		})
	}
}
