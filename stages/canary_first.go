package stages

import "time"

// pauses is the sum of the times that the steps ask for.
func (c *CanaryStage) pauses() time.Duration {
	var sum time.Duration
	for _, step := range c.Steps {
		if step.Pause != nil {
			sum += step.Pause.Value
		}
		sum += step.For.Value
	}
	return sum
}
