package gatebench

import (
	"context"
	"fmt"
	"time"

	"github.com/headgate-dev/headgate/gates/stats"
)

// planning is T1: what a plan says of how soon a gate will see a regression
// must be what then happens.
func planning() Line {
	title := "what a plan foretells"
	note := "The time by which half of all rollouts are rolled back, foretold and simulated; 20 looks of 15 s, strict."
	return Line{"T1", title, note, func(ctx context.Context, runs int) (Section, error) {
		s := Section{ID: "T1", Title: title, Note: note, Head: []string{"rollout", "foretold", "simulated", "looks apart"}}
		worst, at := 0, ""
		for _, p := range [][2]float64{{0.001, 0.01}, {0.01, 0.02}, {0.01, 0.012}, {0.05, 0.5}, {0.001, 0.05}} {
			for _, rate := range rates() {
				c := worse("T1", p[0], p[1], rate, Try{Setting: Strict(0.01)})
				c.Scenario.History = 4 // what stable counted before must be known
				o, err := c.Run(ctx, runs)
				if err != nil {
					return s, fmt.Errorf("run T1, %s: %w", c.Scenario.Name, err)
				}
				plan := stats.Plan{Requests: rate * 15, Share: 0.1, Alpha: 0.01, Tolerance: 1, Planned: 20}
				foretold, ok := stats.DetectionTime(plan, p[0], p[1], 0.5)
				if !ok {
					foretold = 21
				}
				median, ok := o.Ours[0].Median()
				found := int(median / (15 * time.Second))
				if !ok {
					found = 21
				}
				apart := max(found-foretold, foretold-found)
				if apart > worst || at == "" {
					worst, at = apart, c.Scenario.Name
				}
				s.Rows = append(s.Rows, []string{c.Scenario.Name, moment(foretold), moment(found), fmt.Sprint(apart)})
			}
		}
		s.Goals = []Goal{{
			Text: "foretold within two looks of what happens", Met: worst <= 2,
			Got: fmt.Sprintf("at worst %d apart, %s", worst, at),
		}}
		return s, nil
	}}
}

// moment is the time of a look out of 20.
func moment(look int) string {
	if look > 20 {
		return "later than 5m0s"
	}
	return (time.Duration(look) * 15 * time.Second).String()
}
