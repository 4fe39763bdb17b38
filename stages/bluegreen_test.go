package stages_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

const (
	twoColours = `version: 1
name: user-service
gates:
  slo:
    every: 10s
    window: 1m
    checks:
      - query: 'errors{${{ selector }}}'
        max: 0.05
stages:
  - name: rollout
    blueGreen:
      deployment: user-service
      image: shop/user@sha256:new
      traffic: {httpRoute: user-service, drain: 5s}
      gate: slo
`
	baked   = twoColours + "      bake: 5m\n"
	stepped = twoColours + "      steps: [{setWeight: 20%}, {pause: 5m}, {setWeight: 50%}, {gate: slo, for: 2m}]\n      bake: 5m\n"
	shown   = baked + "      preview: {service: preview, gate: slo, for: 2m}\n"
	settled = "  - name: settle\n    gate: {use: slo, for: 5m}\n"
)

// isOldColour checks that blue has all traffic with its old release, and that
// green is what it was.
func (w *town) isOldColour(t *testing.T, active, idle string, was unit) {
	t.Helper()
	w.isWell(t)
	if u := w.units[active]; u == nil || u.Image != oldImage || u.pods() < w.need {
		t.Errorf("the active colour is %+v", u)
	}
	u := w.units[idle]
	switch {
	case u == nil && was.Image == "":
	case u == nil || u.Image != was.Image || u.Replicas != was.Replicas:
		t.Errorf("the idle colour is %+v, it was %+v", u, was)
	}
	if d := cmp.Diff(map[string]float64{active: 100}, w.routes[mainRoute]); d != "" {
		t.Errorf("route (-want +got):\n%s", d)
	}
	if w.routes[previewer][idle] != 0 {
		t.Errorf("the preview Service is still at %s", idle)
	}
}

func (w *town) isNewColour(t *testing.T, active, former string, pods int) {
	t.Helper()
	w.isWell(t)
	if u := w.units[active]; u == nil || u.Image != newImage || u.Ready < w.need {
		t.Errorf("the new colour is %+v", u)
	}
	if u := w.units[former]; u == nil || u.Image != oldImage || u.Replicas != pods {
		t.Errorf("the former colour is %+v, want %d pods of the old release", u, pods)
	}
	if d := cmp.Diff(map[string]float64{active: 100}, w.routes[mainRoute]); d != "" {
		t.Errorf("route (-want +got):\n%s", d)
	}
}

func TestBlueGreenDelivers(t *testing.T) {
	cases := []struct {
		name, file string
		pods       int
		log        []string
	}{
		{"at once", twoColours, 0, []string{
			greenAt + " runs new x5", greenAt + " gets 100", "settle " + mainRoute, blueAt + " has 0 pods", "tidy " + greenAt,
		}},
		{"in steps", stepped, 0, []string{
			greenAt + " runs new x5", greenAt + " gets 20", greenAt + " gets 50", greenAt + " gets 100", "settle " + mainRoute, blueAt + " has 0 pods", "tidy " + greenAt,
		}},
		{"previewed, and kept warm", shown + "      keepOld: 30m\n      idleReplicas: 2\n", 2, []string{
			greenAt + " runs new x5", greenAt + " gets 100", greenAt + " gets 100", "settle " + mainRoute, blueAt + " has 2 pods", "tidy " + greenAt,
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(blueAt)
				result, _ := w.release(t.Context(), t, tc.file)
				if result.Ending != pipeline.Delivered {
					t.Fatalf("got %+v, want delivered\n%q", result, w.log)
				}
				if d := cmp.Diff(tc.log, w.log); d != "" {
					t.Errorf("changes (-want +got):\n%s", d)
				}
				w.isNewColour(t, greenAt, blueAt, tc.pods)
			})
		})
	}
}

// TestBlueGreenTakesTurns: the second release goes to blue, which the first
// left without pods.
func TestBlueGreenTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		if result, _ := w.release(t.Context(), t, baked); result.Ending != pipeline.Delivered {
			t.Fatalf("first: %+v", result)
		}
		next := strings.ReplaceAll(baked, "sha256:new", "sha256:newer")
		if result, _ := w.release(t.Context(), t, next); result.Ending != pipeline.Delivered {
			t.Fatalf("second: %+v", result)
		}
		w.isWell(t)
		if w.routes[mainRoute][blueAt] != 100 || short(w.units[blueAt].Image) != "newer" || w.units[greenAt].Replicas != 0 {
			t.Errorf("blue %+v, green %+v, route %v", w.units[blueAt], w.units[greenAt], w.routes[mainRoute])
		}
		before := len(w.log)
		result, _ := w.release(t.Context(), t, next)
		if result.Ending != pipeline.Delivered || !slices.Equal(w.log[before:], []string{"tidy " + blueAt}) {
			t.Errorf("the same again: %+v, changes %q", result, w.log[before:])
		}
	})
}

func TestBlueGreenGoesBack(t *testing.T) {
	cases := []struct {
		name, file string
		spoil      func(w *town)
		switched   bool   // traffic has been on green
		reason     string // part of it
	}{
		{"pods that do not get ready", baked, func(w *town) { w.sick = newImage }, false, "not ready"},
		{"preview gate", shown, func(w *town) { w.errors = badNew(0) }, false, "gate slo failed"},
		{"bake", baked, func(w *town) { w.errors = badNew(100) }, true, "gate slo failed"},
		{"first step", stepped, func(w *town) { w.errors = badNew(20) }, true, "gate slo failed"},
		{"later step", stepped, func(w *town) { w.errors = badNew(50) }, true, "gate slo failed"},
		{"later stage", baked + settled, func(w *town) {
			began := time.Now()
			w.errors = func(_, image string, _ float64) float64 {
				if image == newImage && time.Since(began) > 6*time.Minute {
					return 1
				}
				return 0
			}
		}, true, "gate slo failed"},
		{"pods that die after the switch", baked, func(w *town) {
			w.moved = func(at string, weight float64) {
				if at == greenAt && weight == 100 {
					w.units[greenAt].Ready, w.units[greenAt].fallen = 0, true
				}
			}
		}, true, "none of its pods is ready"},
		{"somebody else's image", baked, func(w *town) {
			w.moved = func(string, float64) {
				w.units[greenAt].Image, w.units[greenAt].by = "shop/user@sha256:other", "kubectl-edit"
			}
		}, true, "was changed by kubectl-edit"},
	}
	for _, tc := range cases {
		for _, idle := range []*unit{nil, {Image: "shop/user@sha256:older", Version: 1}, {Image: "shop/user@sha256:older", Replicas: 2, Ready: 2, Version: 1}} {
			t.Run(tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newTown(blueAt)
					var was unit
					if idle != nil {
						was = *idle
						w.units[greenAt] = new(unit)
						*w.units[greenAt] = was
					}
					tc.spoil(w)
					result, rec := w.release(t.Context(), t, tc.file)
					if result.Ending != pipeline.FailedRolledBack || !strings.Contains(result.Reason, tc.reason) {
						t.Fatalf("got %+v, want rolled back for %s\n%q", result, tc.reason, w.log)
					}
					w.isOldColour(t, blueAt, greenAt, was)
					backs := 0
					for _, line := range w.log {
						if line == "restore "+mainRoute {
							backs++
						}
						if strings.HasPrefix(line, blueAt) {
							t.Errorf("the old colour was touched: %s", line)
						}
					}
					if switched := slices.ContainsFunc(w.log, func(l string) bool { return strings.HasPrefix(l, greenAt+" gets") && tc.file != shown }); switched != tc.switched {
						t.Errorf("traffic on green: %v, want %v\n%q", switched, tc.switched, w.log)
					}
					if tc.switched && backs != 1 {
						t.Errorf("%d writes of the route to go back", backs)
					}
					if !rec.has(pipeline.EvidenceFound) && !strings.Contains(tc.name, "later stage") {
						t.Error("no evidence was collected")
					}
				})
			})
		}
	}
}

// badNew makes the new release fail where it has at least so much traffic.
func badNew(from float64) func(at, image string, weight float64) float64 {
	return func(_, image string, weight float64) float64 {
		if image == newImage && weight >= from {
			return 0.3
		}
		return 0
	}
}

// TestBlueGreenIsBackWithinSecondsWhenNewPodsDie is the hole of others: the
// way back depends on the old pods alone.
func TestBlueGreenIsBackWithinSecondsWhenNewPodsDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		var died, back time.Time
		w.moved = func(at string, weight float64) {
			switch {
			case at == greenAt && weight == 100:
				w.units[greenAt].Ready, w.units[greenAt].fallen, died = 0, true, time.Now()
			case !died.IsZero():
				back = time.Now()
			}
		}
		w.release(t.Context(), t, baked)
		// The guard of the fake shows it after 2 s; 2 s more are allowed.
		if took := back.Sub(died); back.IsZero() || took > 4*time.Second {
			t.Errorf("back after %s", took)
		}
	})
}

func TestBlueGreenRefusesTrafficOnBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt, greenAt)
		w.routes[mainRoute] = map[string]float64{blueAt: 50, greenAt: 50}
		result, _ := w.release(t.Context(), t, baked)
		if result.Ending != pipeline.FailedUnchanged || !strings.Contains(result.Reason, "50%") || len(w.log) != 0 {
			t.Errorf("got %+v, changes %q, want a refusal", result, w.log)
		}
	})
}

func TestBlueGreenFirstDeployment(t *testing.T) {
	file := strings.Replace(baked, "      traffic:", "      manifests: [deploy/]\n      traffic:", 1)
	for _, bad := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown()
			if bad {
				w.errors = badNew(0)
			}
			result, _ := w.release(t.Context(), t, file)
			want := pipeline.Delivered
			if bad {
				want = pipeline.FailedRolledBack
			}
			if result.Ending != want || (w.units[blueAt] == nil) != bad || w.units[greenAt] != nil {
				t.Errorf("bad %v: got %+v with %v", bad, result, w.units)
			}
		})
	}
}

// TestCancelledBlueGreenIsBackAtOnce: the pods are left to recovery.
func TestCancelledBlueGreenIsBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(2 * time.Minute); cancel(pipeline.ErrCancelled) }()
		o, began := &outing{file: baked}, time.Now()
		result := w.live(ctx, t, o, &life{})
		if took := time.Since(began) - 2*time.Minute; result.Ending != pipeline.CancelledInt || took > 6*time.Second {
			t.Fatalf("got %+v after %s", result, took)
		}
		if w.routes[mainRoute][blueAt] != 100 || w.units[greenAt].pods() == 0 {
			t.Errorf("route %v, green %+v", w.routes[mainRoute], w.units[greenAt])
		}
		o.recover = true
		if result = w.live(t.Context(), t, o, &life{}); result.Ending != pipeline.FailedRolledBack {
			t.Fatalf("recover: %+v", result)
		}
		w.isOldColour(t, blueAt, greenAt, unit{})
	})
}

// TestBlueGreenKeepsTheOldColourWhenTheNewOneDiesAfterTheCommit: who delivered
// has somewhere to go back to.
func TestBlueGreenKeepsTheOldColourWhenTheNewOneDiesAfterTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		go func() {
			time.Sleep(20 * time.Minute)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.units[greenAt].Ready, w.units[greenAt].fallen = 0, true
		}()
		result, _ := w.release(t.Context(), t, baked+"      keepOld: 30m\n")
		if result.Ending != pipeline.DeliveredNotFinished || w.units[blueAt].Ready != 5 {
			t.Errorf("got %+v, old colour %+v", result, w.units[blueAt])
		}
	})
}

// TestGateAfterBlueGreenLooksAtTheActiveColour: and before it, at the one that
// is active then.
func TestGateAfterBlueGreenLooksAtTheActiveColour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(greenAt)
		w.units[blueAt] = &unit{Image: "shop/user@sha256:older", Version: 1}
		result, rec := w.release(t.Context(), t, baked+"  - name: done\n    commit: {}\n"+settled)
		if result.Ending != pipeline.Delivered {
			t.Fatalf("got %+v", result)
		}
		w.isNewColour(t, blueAt, greenAt, 0)
		for _, e := range rec.events {
			if e.Type == pipeline.Judged && e.Stage == "settle" && !strings.Contains(e.Verdict.Evidence[0].Query, blueAt) {
				t.Errorf("the gate asked %s", e.Verdict.Evidence[0].Query)
			}
			if e.Type == pipeline.Warned {
				t.Errorf("warned: %s", e.Message)
			}
		}
	})
}

func TestBlueGreenNeedsAPlatformThatPutsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		w.without = true
		result, _ := w.release(t.Context(), t, baked)
		if result.Ending != pipeline.FailedUnchanged || !strings.Contains(result.Reason, "cannot put a workload back") || len(w.log) != 0 {
			t.Errorf("got %+v, changes %q", result, w.log)
		}
	})
}

var _ stages.Settler = townRouter{}

// TestPlanOfBlueGreenNamesPermissionsForBothColours: the idle one may be in a
// namespace of its own, and is the one that most is written to.
func TestPlanOfBlueGreenNamesPermissionsForBothColours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		plans, _ := w.runner(t, &outing{file: baked, diary: &diary{town: w}}).Plan(t.Context())
		got := plans[0].Plan.Permissions
		for _, colour := range []string{"user-service-blue", "user-service-green"} {
			if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, colour) }) {
				t.Errorf("%v says nothing of %s", got, colour)
			}
		}
	})
}

// TestIdleColourIsHeldWhenTheReleaseSetsItsMinimum: it was held before, and the
// manifests of the release have undone that.
func TestIdleColourIsHeldWhenTheReleaseSetsItsMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(blueAt)
		w.units[greenAt] = &unit{Image: oldImage, Version: 1}
		w.hpas[greenAt], w.brings = hpaOf(greenAt), 1
		w.hpas[greenAt].Min = 1
		go func() {
			time.Sleep(2 * time.Minute)
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := w.hpas[greenAt].Min; got < w.need {
				t.Errorf("while the new colour bakes its autoscaler may go down to %d pods of %d", got, w.need)
			}
		}()
		if result, _ := w.release(t.Context(), t, baked); result.Ending != pipeline.Delivered || w.hpas[greenAt].Min != 1 {
			t.Errorf("got %+v with the minimum %d", result, w.hpas[greenAt].Min)
		}
	})
}
