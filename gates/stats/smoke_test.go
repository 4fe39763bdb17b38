package stats_test

import (
	"testing"

	"github.com/headgate-dev/headgate/gates/stats"
)

func TestAComparisonFindsTenTimesTheErrors(t *testing.T) {
	c, err := stats.NewComparison(stats.Settings{Alpha: 0.01, Tolerance: 1, Planned: 20})
	if err != nil {
		t.Fatal(err)
	}
	if j := c.Add(1, stats.Look{Canary: stats.Arm{Requests: 150, Bad: 1}, Stable: stats.Arm{Requests: 1350, Bad: 1}}); j.Crossed || j.Boundary != -1 {
		t.Errorf("after one error each: %+v", j)
	}
	if j := c.Add(2, stats.Look{Canary: stats.Arm{Requests: 150, Bad: 4}, Stable: stats.Arm{Requests: 1350, Bad: 2}}); !j.Crossed || j.Boundary != 5 {
		t.Errorf("after five of eight: %+v", j)
	}
}
