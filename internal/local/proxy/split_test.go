package proxy

import (
	"math"
	"testing"
)

func TestSharesAreExact(t *testing.T) {
	for _, canary := range []float64{0, 0.5, 1, 5, 20, 33.33, 50, 66.67, 99.9, 100} {
		s := newSplit(map[string]float64{"stable": 100 - canary, "canary": canary})
		got := 0
		for n := 1; n <= 10_000; n++ {
			if s.next() == "canary" {
				got++
			}
			if want := canary / 100 * float64(n); n%hand == 0 && math.Abs(float64(got)-want) > 1 {
				t.Fatalf("%v%%: %d of the first %d, want %v", canary, got, n, want)
			}
			if n%100 == 0 && canary == 20 && got != n/5 {
				t.Fatalf("20%%: %d of the first %d", got, n)
			}
		}
	}
}

// Clients that send different requests in turn must not send one kind of them
// to one track: the gates would judge a track by requests of that kind alone.
func TestOrderHasNoRhythm(t *testing.T) {
	for _, period := range []int{2, 4, 5, 10, 20} {
		s := newSplit(map[string]float64{"stable": 80, "canary": 20})
		const rounds = 4000
		kinds := make([]float64, period)
		for i := range rounds * period {
			if s.next() == "canary" {
				kinds[i%period]++
			}
		}
		for k, n := range kinds {
			// Six standard deviations of independent choice.
			if off := math.Abs(n - rounds*0.2); off > 6*math.Sqrt(rounds*0.2*0.8) {
				t.Errorf("period %d: kind %d went to the canary %v times of %d", period, k, n, rounds)
			}
		}
	}
}

func TestThreeTracks(t *testing.T) {
	s := newSplit(map[string]float64{"a": 50, "b": 30, "c": 20})
	got := map[string]int{}
	for range 1000 {
		got[s.next()]++
	}
	if got["a"] != 500 || got["b"] != 300 || got["c"] != 200 {
		t.Errorf("got %v", got)
	}
	if got := newSplit(nil).next(); got != "" {
		t.Errorf("without tracks it is the turn of %q", got)
	}
}
