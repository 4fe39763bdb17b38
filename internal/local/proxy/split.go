package proxy

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// hand is how many requests are dealt at once.
const hand = 20

// split deals requests to tracks by weight. A smooth weighted round robin
// decides how many of the next ones each track gets, so that no share is ever
// off by more than a request; their order within a hand is left to chance, so
// that a client's own rhythm meets no rhythm of ours.
type split struct {
	tracks []string
	weight []int64
	credit []int64
	dealt  []int // indexes into tracks, still to be used
}

func newSplit(weights map[string]float64) *split {
	s := &split{}
	for _, t := range slices.Sorted(maps.Keys(weights)) {
		if w := inParts(weights[t]); w > 0 {
			s.tracks, s.weight = append(s.tracks, t), append(s.weight, w)
		}
	}
	s.credit = make([]int64, len(s.tracks))
	return s
}

// next returns whose turn it is; "" where no track has a weight.
func (s *split) next() string {
	switch len(s.tracks) {
	case 0:
		return ""
	case 1:
		return s.tracks[0]
	}
	if len(s.dealt) == 0 {
		s.deal()
	}
	last := len(s.dealt) - 1
	i := s.dealt[last]
	s.dealt = s.dealt[:last]
	return s.tracks[i]
}

func (s *split) deal() {
	for range hand {
		best := 0
		for i, w := range s.weight {
			s.credit[i] += w
			if s.credit[i] > s.credit[best] {
				best = i
			}
		}
		for _, w := range s.weight {
			s.credit[best] -= w
		}
		s.dealt = append(s.dealt, best)
	}
	rand.Shuffle(len(s.dealt), func(i, j int) { s.dealt[i], s.dealt[j] = s.dealt[j], s.dealt[i] })
}
