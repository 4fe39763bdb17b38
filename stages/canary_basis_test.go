package stages_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// TestWorkloadChangedBySomebodyElseIsPutBackBeforeTheCommit holds the release
// to finding out as long as it can go back: the promotion would not overwrite
// the change, and the canary would stay for ever.
func TestWorkloadChangedBySomebodyElseIsPutBackBeforeTheCommit(t *testing.T) {
	for _, at := range []float64{20, 100} {
		synctest.Test(t, func(t *testing.T) {
			c := newCity()
			c.errors = func(_, _ string, weight float64) float64 {
				c.edited = c.edited || weight >= at
				return 0
			}
			result, _ := c.release(t.Context(), t, shopFile, &memoryStore{})
			if result.Ending != pipeline.FailedRolledBack || !strings.Contains(result.Reason, "was changed by kubectl-edit") {
				t.Fatalf("got %+v, want it rolled back for kubectl-edit's change", result)
			}
			c.isOld(t)
		})
	}
}

// TestCanaryGoesOnWhenStableIsRemoved: traffic must not be given back to pods
// that are not there.
func TestCanaryGoesOnWhenStableIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		c.errors = func(_, _ string, weight float64) float64 {
			if weight >= 50 {
				delete(c.tracks, stages.Stable)
			}
			return 0
		}
		result, rec := c.release(t.Context(), t, cutFlag(shopFile), &memoryStore{})
		if slices.Contains(c.log, "restore route") && c.tracks[stages.Stable] == nil {
			t.Errorf("traffic was given back to nothing: %+v\n%q", result, c.log)
		}
		if !slices.Contains(c.log, "weight 100") || !rec.has(pipeline.Warned) {
			t.Errorf("the canary did not go on: %+v\n%q", result, c.log)
		}
	})
}

// TestEachWorkloadOfARouteIsPutBack covers a route that serves two workloads:
// what one stage has saved of it says nothing about the other's rules.
func TestEachWorkloadOfARouteIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		file := strings.ReplaceAll(shopFile, "deployment: user-service", "deployment: cart")
		result, rec := c.release(t.Context(), t, file, &memoryStore{})
		if result.Ending != pipeline.Delivered {
			t.Fatalf("got %+v, want delivered", result)
		}
		var routes []string
		for _, e := range rec.events {
			if e.Type == pipeline.Changing && e.Change.Thing.Kind == "route" && len(routes) == 0 {
				routes = append(routes, e.Change.Thing.Name)
			}
		}
		if d := cmp.Diff([]string{"httpRoute shop/user-service for shop/cart"}, routes); d != "" {
			t.Errorf("route in the journal (-want +got):\n%s", d)
		}
	})
}

// TestResumedRolloutKeepsTheSizeItBeganWith covers an autoscaler that changes
// stable between two processes of a run.
func TestResumedRolloutKeepsTheSizeItBeganWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		newCity().release(t.Context(), t, shopFile, store)
		died := slices.IndexFunc(store.events, func(e pipeline.Event) bool {
			return e.Type == pipeline.StepPassed && e.Name == "raise to 50%"
		})
		store.events = store.events[:died+1]

		c := newCity()
		c.tracks[stages.Stable] = &fakeTrack{image: "shop/user@sha256:old", replicas: 2, ready: 2}
		c.tracks[stages.Canary] = &fakeTrack{image: "shop/user@sha256:new", replicas: 3, ready: 3}
		c.weight, c.routed = 50, true
		result, _ := c.release(t.Context(), t, shopFile, store)
		if result.Ending != pipeline.Delivered {
			t.Fatalf("got %+v, want delivered", result)
		}
		if d := cmp.Diff(promoted[4:], c.log); d != "" {
			t.Errorf("changes after the death (-want +got):\n%s", d)
		}
		c.isWell(t)
	})
}
