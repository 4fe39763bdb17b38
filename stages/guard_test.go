package stages_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// guardAt is a guard that reports lost pods so long after the n-th watch of a
// track began, and counts the watches.
func guardAt(n int, after time.Duration, watched *int) func(ctx context.Context, t stages.Track) error {
	return func(ctx context.Context, _ stages.Track) error {
		*watched++
		if *watched != n {
			<-ctx.Done()
			return nil
		}
		select {
		case <-time.After(after):
			return fmt.Errorf("%w: none of its pods is ready", stages.ErrNotReady)
		case <-ctx.Done():
			return nil
		}
	}
}

// TestLostPodsAreNoticedAsLongAsTheCanaryHasTheTraffic: metrics do not show
// them, in whatever stage it happens.
func TestLostPodsAreNoticedAsLongAsTheCanaryHasTheTraffic(t *testing.T) {
	settle := strings.Replace(shopFile, "  - name: profile\n", "  - name: settle\n    gate: {use: slo, for: 5m}\n  - name: profile\n", 1)
	for n, stage := range []string{"rollout", "settle", "profile"} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, watched := newCity(), 0
				c.guard = guardAt(n+1, 30*time.Second, &watched)
				result, _ := c.release(t.Context(), t, settle, &memoryStore{})
				if result.Ending != pipeline.FailedRolledBack || result.Stage != stage || !strings.Contains(result.Reason, "none of its pods") {
					t.Errorf("got %+v, want rolled back by stage %s", result, stage)
				}
				if c.routed || c.tracks[stages.Canary] != nil {
					t.Error("the canary was not put back")
				}
			})
		})
	}
}

// TestNoGuardAfterTheCommit: the canary is gone then, as it should be.
func TestNoGuardAfterTheCommit(t *testing.T) {
	file := strings.Replace(shopFile, "  - name: profile\n", "  - name: done\n    commit: {}\n  - name: settle\n    gate: {use: slo, for: 5m}\n  - name: profile\n", 1)
	synctest.Test(t, func(t *testing.T) {
		c := newCity()
		var tracks []string
		c.guard = func(ctx context.Context, tr stages.Track) error {
			tracks = append(tracks, tr.Name)
			<-ctx.Done()
			return nil
		}
		result, _ := c.release(t.Context(), t, file, &memoryStore{})
		if result.Ending != pipeline.Delivered {
			t.Errorf("got %+v, want delivered", result)
		}
		if !slices.Equal(tracks, []string{stages.Canary}) {
			t.Errorf("guarded %q, want the canary in its own stage alone", tracks)
		}
	})
}
