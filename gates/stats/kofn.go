package stats

import "math"

// KofN says when a plain number has been out of bounds long enough: in K of
// the last N looks that gave a number. The zero value is 3 of 4.
type KofN struct {
	K, N int
	last []bool
}

// Add counts a look. A value that is not finite was not measured and counts
// neither way; it leaves Breached as it was, which callers must not take for
// well.
func (t *KofN) Add(value float64, within bool) (breached bool) {
	_, n := t.size()
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		t.last = append(t.last, !within)
		t.last = t.last[max(0, len(t.last)-n):]
	}
	return t.Breached()
}

// Breached is whether K of the last N numbers were out of bounds.
func (t *KofN) Breached() bool {
	k, _ := t.size()
	return t.Breaches() >= k
}

// Breaches is how many of the last N were.
func (t *KofN) Breaches() int {
	sum := 0
	for _, out := range t.last {
		if out {
			sum++
		}
	}
	return sum
}

// Seen is how many numbers are remembered, at most N.
func (t *KofN) Seen() int { return len(t.last) }

func (t *KofN) size() (k, n int) {
	if t.K < 1 && t.N < 1 {
		return 3, 4
	}
	k = max(1, t.K)
	return k, max(k, t.N)
}
