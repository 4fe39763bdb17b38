package main

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	cases := []struct {
		s    sample
		want time.Duration
	}{
		{nil, 0},
		{sample{3}, 3},
		{sample{9, 1, 5}, 5},
		{sample{8, 2, 4, 100}, 6},
	}
	for _, tc := range cases {
		if got := tc.s.median(); got != tc.want {
			t.Errorf("median of %v is %v, want %v", []time.Duration(tc.s), got, tc.want)
		}
	}
}

func TestRatioOfNothingIsUnknown(t *testing.T) {
	if got := atMost(sample{2}, sample{1}, 2) + atMost(sample{3}, sample{1}, 2) + atMost(sample{1}, nil, 2); got != "goal 2.00 metGOAL 2.00 MISSEDGOAL 2.00 MISSED" {
		t.Errorf("got %q", got)
	}
	if got := ratio(sample{1}, nil); got != "unknown" {
		t.Errorf("got %q", got)
	}
	if got := ratio(sample{3}, sample{2}); got != "1.50" {
		t.Errorf("got %q", got)
	}
}

func TestGoalOfNothingIsMissed(t *testing.T) {
	if got, want := against(nil, time.Second), "GOAL 1.00 s MISSED"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := against(sample{time.Second}, time.Second), "goal 1.00 s met"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
