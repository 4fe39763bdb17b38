package counts

import (
	"math"
	"slices"
	"time"
)

// batch is what one set of samples shows for the looks that come next.
type batch struct {
	// moments are those of the looks, and from that of the look before.
	moments []time.Time
	from    time.Time
	bounds  []float64
	// sums[track][look][cell] is what a cell counted up to a look, and newest
	// the moment of the newest sample up to it.
	sums   [trackCount][][]float64
	newest [trackCount][]time.Time
	// The rest is what happened since the look before.
	resets, newborn [trackCount][]int
	strange         [trackCount][]bool
}

func newBatch(s Settings, first, last, cells int) *batch {
	b := &batch{bounds: s.Bounds, from: s.At(first - 1)}
	n := last - first + 1
	for k := first; k <= last; k++ {
		b.moments = append(b.moments, s.At(k))
	}
	for t := range trackCount {
		b.sums[t] = make([][]float64, n)
		all := make([]float64, n*cells)
		for i := range n {
			b.sums[t][i] = all[i*cells : (i+1)*cells : (i+1)*cells]
		}
		b.newest[t] = make([]time.Time, n)
		b.resets[t], b.newborn[t] = make([]int, n), make([]int, n)
		b.strange[t] = make([]bool, n)
	}
	return b
}

// slot returns the first look whose moment is not before t; len(b.moments)
// when t is after all.
func (b *batch) slot(t time.Time) int {
	if len(b.moments) == 1 || !t.After(b.moments[0]) {
		if t.After(b.moments[0]) {
			return 1
		}
		return 0
	}
	i, _ := slices.BinarySearchFunc(b.moments, t, time.Time.Compare)
	return i
}

// close makes sums of all up to a look out of what fell into each.
func (b *batch) close(newest [trackCount]time.Time) {
	for t := range trackCount {
		last := newest[t]
		for i := range b.moments {
			if i > 0 {
				for j := range b.sums[t][i] {
					b.sums[t][i][j] += b.sums[t][i-1][j]
				}
			}
			if b.newest[t][i].Before(last) {
				b.newest[t][i] = last
			}
			last = b.newest[t][i]
		}
	}
}

// total is what a track counted from the beginning up to a look.
func (b *batch) total(t Track, i int) Tally {
	cells := b.sums[t][i]
	if len(b.bounds) == 0 {
		bad := integer(cells[1])
		return Tally{Requests: integer(cells[0]) + bad, Bad: []int64{bad}}
	}
	n := len(b.bounds)
	out := Tally{Requests: integer(cells[n]), Bad: make([]int64, n)}
	for j := range n {
		out.Bad[j] = max(0, out.Requests-integer(cells[j]))
	}
	return out
}

// whole is the largest number that counts exactly.
const whole = 1 << 53

// isCount reports whether v can be the value of a counter.
func isCount(v float64) bool { return v >= 0 && v <= whole }

func integer(v float64) int64 { return int64(math.Round(min(v, whole))) }
