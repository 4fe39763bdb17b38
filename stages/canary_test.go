package stages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

const shopFile = `version: 1
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
    canary:
      deployment: user-service
      image: shop/user@sha256:new
      traffic: {httpRoute: user-service, drain: 5s}
      steps: [{setWeight: 20%}, {pause: 5m}, {setWeight: 50%}, {pause: 5m}]
      gate: slo
  - name: profile
    flag: {name: new_profile, steps: [{setPercentage: 50%}, {pause: 1m}, {setPercentage: 100%}], gate: slo}
`

var promoted = []string{
	"canary runs shop/user@sha256:new x1", "weight 20",
	"canary runs shop/user@sha256:new x3", "weight 50",
	"canary runs shop/user@sha256:new x5", "weight 100",
	"flag 50", "flag 100",
	"stable runs shop/user@sha256:new x-1", "restore route", "remove canary",
}

func TestCanaryIsPromotedStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		result, _ := c.release(t.Context(), t, shopFile, &memoryStore{})
		if result.Ending != pipeline.Delivered {
			t.Fatalf("got %+v, want delivered", result)
		}
		if d := cmp.Diff(promoted, c.log); d != "" {
			t.Errorf("changes (-want +got):\n%s", d)
		}
		c.isWell(t)
		if c.routed || c.tracks[stages.Canary] != nil || c.flag.Percentage != 100 {
			t.Errorf("something is left over: %+v", c)
		}
	})
}

func (c *city) isWell(t *testing.T) {
	t.Helper()
	for _, w := range c.wrong {
		t.Error(w)
	}
}

// isOld checks that everything is as it was before the release.
func (c *city) isOld(t *testing.T) {
	t.Helper()
	c.isWell(t)
	if len(c.tracks) != 1 || c.tracks[stages.Stable].image != "shop/user@sha256:old" || c.weight != 0 || c.routed || c.flag.Percentage != 5 {
		t.Errorf("not as it was: stable %+v, canary %+v, weight %g, flag %+v", c.tracks[stages.Stable], c.tracks[stages.Canary], c.weight, c.flag)
	}
}

func TestCanaryThatFailsItsGateIsPutBack(t *testing.T) {
	cases := []struct {
		name   string
		errors func(track, image string, weight float64) float64
		last   string // the last change before the rollback
		stage  string
	}{
		{"from the start", func(track, _ string, _ float64) float64 {
			if track == stages.Canary {
				return 0.2
			}
			return 0
		}, "weight 20", "rollout"},
		{"only at 50 %", func(track, _ string, weight float64) float64 {
			if track == stages.Canary && weight >= 50 {
				return 0.2
			}
			return 0
		}, "weight 50", "rollout"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCity()
				c.errors = tc.errors
				result, rec := c.release(t.Context(), t, shopFile, &memoryStore{})
				if result.Ending != pipeline.FailedRolledBack || result.Stage != tc.stage {
					t.Fatalf("got %+v, want rolled back in %s", result, tc.stage)
				}
				if !strings.Contains(result.Reason, "gate slo failed") {
					t.Errorf("reason %q does not name the gate", result.Reason)
				}
				c.isOld(t)
				at := len(c.log) - 3
				if d := cmp.Diff([]string{tc.last, "restore route", "remove canary"}, c.log[at:]); d != "" {
					t.Errorf("end of the changes (-want +got):\n%s", d)
				}
				if !rec.has(pipeline.EvidenceFound) {
					t.Error("no evidence was collected")
				}
			})
		})
	}
}

func (r *recorder) has(typ pipeline.EventType) bool {
	for _, e := range r.events {
		if e.Type == typ {
			return true
		}
	}
	return false
}

func TestCanaryThatFailsIsOffTrafficWithinOneInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		began := time.Now()
		bad := began.Add(2*time.Minute + 3*time.Second)
		c.errors = func(track, _ string, _ float64) float64 {
			if track == stages.Canary && time.Now().After(bad) {
				return 0.2
			}
			return 0
		}
		_, rec := c.release(t.Context(), t, shopFile, &memoryStore{})
		var back time.Time
		for _, e := range rec.events {
			if e.Type == pipeline.Undone && e.Change.Thing.Kind == "route" {
				back = e.Time
			}
		}
		if took := back.Sub(bad); took <= 0 || took > 11*time.Second {
			t.Errorf("traffic was back %s after the metric showed it, want within 10s and 1s", took)
		}
	})
}

func TestReleaseThatNeverGetsReadyNeverGetsTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		c.sick = "shop/user@sha256:new"
		result, _ := c.release(t.Context(), t, shopFile, &memoryStore{})
		if result.Ending != pipeline.FailedRolledBack || !errors.Is(result.Err, stages.ErrNotReady) {
			t.Fatalf("got %+v, want rolled back since not ready", result)
		}
		c.isOld(t)
		if d := cmp.Diff([]string{"canary runs shop/user@sha256:new x1", "remove canary"}, c.log); d != "" {
			t.Errorf("changes (-want +got):\n%s", d)
		}
	})
}

func TestMissingImageChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		result, _ := c.release(t.Context(), t, strings.ReplaceAll(shopFile, "user@sha256:new", "missing:1"), &memoryStore{})
		if result.Ending != pipeline.FailedUnchanged || !strings.Contains(result.Reason, "manifest unknown") {
			t.Fatalf("got %+v, want failed, with the registry's reason", result)
		}
		if len(c.log) > 0 {
			t.Errorf("something was changed: %q", c.log)
		}
	})
}

func TestNothingAdvancesWithoutMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		began := time.Now()
		c.errors = func(string, string, float64) float64 {
			if time.Since(began) > 2*time.Minute {
				c.noProm = true
			}
			return 0
		}
		result, _ := c.release(t.Context(), t, shopFile, &memoryStore{})
		if result.Ending != pipeline.FailedRolledBack {
			t.Fatalf("got %+v, want rolled back", result)
		}
		c.isOld(t)
		for _, line := range c.log {
			if line == "weight 50" {
				t.Error("the weight was raised without metrics")
			}
		}
	})
}

func TestReleaseThatIsLiveChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		c.tracks[stages.Stable].image = "shop/user@sha256:new"
		result, _ := c.release(t.Context(), t, cutFlag(shopFile), &memoryStore{})
		if result.Ending != pipeline.Delivered || len(c.log) != 0 {
			t.Fatalf("got %+v and changes %q, want delivered without any", result, c.log)
		}
	})
}

// cutFlag leaves out the last stage.
func cutFlag(file string) string { return file[:strings.Index(file, "  - name: profile")] }

func TestFirstDeploymentIsJudgedAndTakenAwayOnFailure(t *testing.T) {
	file := strings.Replace(shopFile, "      traffic:", "      manifests: [deploy/]\n      traffic:", 1)
	t.Run("well", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCity()
			delete(c.tracks, stages.Stable)
			result, _ := c.release(t.Context(), t, cutFlag(file), &memoryStore{})
			if result.Ending != pipeline.Delivered || c.tracks[stages.Stable] == nil {
				t.Fatalf("got %+v, want delivered", result)
			}
		})
	})
	t.Run("bad", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCity()
			delete(c.tracks, stages.Stable)
			c.errors = func(string, string, float64) float64 { return 1 }
			result, _ := c.release(t.Context(), t, cutFlag(file), &memoryStore{})
			if result.Ending != pipeline.FailedRolledBack || len(c.tracks) != 0 {
				t.Fatalf("got %+v and tracks %v, want it taken away", result, c.tracks)
			}
		})
	})
}

func TestCancelledCanaryIsOffTrafficAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(7 * time.Minute); cancel(pipeline.ErrCancelled) }()
		store := &memoryStore{}
		began := time.Now()
		result, _ := c.release(ctx, t, shopFile, store)
		if result.Ending != pipeline.CancelledInt {
			t.Fatalf("got %+v, want cancelled", result)
		}
		if took := time.Since(began) - 7*time.Minute; took > 6*time.Second {
			t.Errorf("took %s to be safe", took)
		}
		if c.weight != 0 || c.tracks[stages.Canary] == nil {
			t.Errorf("weight %g, canary %v; want traffic back and the pods left to recovery", c.weight, c.tracks[stages.Canary])
		}
		result, _ = c.release(t.Context(), t, shopFile, store)
		if result.Ending != pipeline.Delivered {
			t.Errorf("run again: got %+v, want delivered", result)
		}
		c.isWell(t)
	})
}

func TestFlagThatFailsPutsBackEverythingOrItselfAlone(t *testing.T) {
	bad := func(c *city) {
		c.errors = func(string, string, float64) float64 {
			if c.flag.Percentage > 50 {
				return 0.5
			}
			return 0
		}
	}
	t.Run("everything", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCity()
			bad(c)
			result, _ := c.release(t.Context(), t, shopFile, &memoryStore{})
			if result.Ending != pipeline.FailedRolledBack || result.Stage != "profile" {
				t.Fatalf("got %+v, want rolled back in profile", result)
			}
			c.isOld(t)
		})
	})
	t.Run("itself alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newCity()
			bad(c)
			file := strings.Replace(shopFile, "gate: slo}", "gate: slo, rollback: stage}", 1)
			result, _ := c.release(t.Context(), t, file, &memoryStore{})
			if result.Ending != pipeline.FailedRolledBack || c.flag.Percentage != 5 {
				t.Fatalf("got %+v and flag %g, want the flag put back", result, c.flag.Percentage)
			}
			if c.tracks[stages.Stable].image != "shop/user@sha256:new" || c.tracks[stages.Canary] != nil {
				t.Errorf("the deployment was not delivered: %+v", c.tracks[stages.Stable])
			}
			c.isWell(t)
		})
	})
}

func TestDriftOfTheRouteStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		go func() {
			time.Sleep(3 * time.Minute)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.weight = 11 // somebody else's
		}()
		result, _ := c.release(t.Context(), t, shopFile, &memoryStore{})
		var drift *stages.DriftError
		if result.Ending != pipeline.FailedRolledBack || !errors.As(result.Err, &drift) || drift.By != "kubectl" {
			t.Fatalf("got %+v, want drift by kubectl", result)
		}
	})
}
