package stages_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// What is waited for is told with its end, so that people see how long yet.
func TestWaitsTellTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rec := newCity().release(t.Context(), t, shopFile, &memoryStore{})
		seen := map[string]int{}
		for _, e := range rec.events {
			if e.Type != pipeline.Progress {
				continue
			}
			if strings.Contains(e.Message, "m0s") {
				t.Errorf("%q: nobody writes durations so", e.Message)
			}
			for text, lasts := range map[string]time.Duration{
				"pause of 5m at 20%": 5 * time.Minute, "pause of 5m at 50%": 5 * time.Minute, "pause of 1m at 50%": time.Minute,
			} {
				if e.Message == text {
					seen[text]++
					if got := e.Until.Sub(e.Time); got != lasts {
						t.Errorf("%q lasts %v, want %v", text, got, lasts)
					}
				}
			}
			if e.Message == "waiting for canary" {
				seen[e.Message]++
				if got := e.Deadline.Sub(e.Time); got != 10*time.Minute {
					t.Errorf("%q is given up after %v, want readyTimeout", e.Message, got)
				}
			}
		}
		if len(seen) != 4 {
			t.Errorf("told were only %v", seen)
		}
	})
}

func TestMeasurementsHaveTheirBoundAsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rec := newCity().release(t.Context(), t, shopFile, &memoryStore{})
		n := 0
		for _, e := range rec.events {
			if e.Type != pipeline.Judged {
				continue
			}
			for _, m := range e.Verdict.Evidence {
				n++
				if m.Max == nil || *m.Max != 0.05 || m.Min != nil || m.Unit != "" {
					t.Fatalf("got max %v, min %v, unit %q, want what the file says", m.Max, m.Min, m.Unit)
				}
			}
		}
		if n == 0 {
			t.Error("nothing was measured")
		}
	})
}
