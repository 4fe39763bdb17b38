package main

import (
	"fmt"
	"slices"
	"time"
)

// sample holds what one thing took, time by time.
type sample []time.Duration

// median is the middle value, of an even number of them the mean of the two
// in the middle, and 0 of none.
func (s sample) median() time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	low, high := sorted[(len(sorted)-1)/2], sorted[len(sorted)/2]
	return (low + high) / 2
}

// String shows median, smallest, largest and number.
func (s sample) String() string {
	if len(s) == 0 {
		return "nothing measured"
	}
	return fmt.Sprintf("median %s, %s to %s, %d times", short(s.median()), short(slices.Min(s)), short(slices.Max(s)), len(s))
}

// short rounds to three figures or so.
func short(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// ratio is how many times as long a takes as b, by their medians.
func ratio(a, b sample) string {
	if b.median() == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.2f", float64(a.median())/float64(b.median()))
}

// atMost says whether a takes at most goal times as long as b.
func atMost(a, b sample, goal float64) string {
	if b.median() > 0 && float64(a.median()) <= goal*float64(b.median()) {
		return fmt.Sprintf("goal %.2f met", goal)
	}
	return fmt.Sprintf("GOAL %.2f MISSED", goal)
}

// against says whether a goal is met.
func against(s sample, goal time.Duration) string {
	if len(s) > 0 && s.median() <= goal {
		return "goal " + short(goal) + " met"
	}
	return "GOAL " + short(goal) + " MISSED"
}
