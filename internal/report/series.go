package report

import (
	"math"

	"github.com/headgate-dev/headgate/pipeline"
)

// maxPoints bounds a series; beyond it neighbours become one point. It is even.
const maxPoints = 128

// series is what one check found over time, in bounded memory: of points that
// become one, the worst is kept, so that a spike stays seen.
type series struct {
	points []point
	// each is how many looks make a point, open how many the last one has.
	each, open int
	// seeking says which way values get worse.
	down bool
}

type point struct {
	value   float64
	known   bool
	outcome pipeline.Outcome
}

func (s *series) add(m pipeline.Measurement) {
	p := point{outcome: m.Outcome}
	if m.Value != nil && !math.IsNaN(*m.Value) && !math.IsInf(*m.Value, 0) {
		p.value, p.known = *m.Value, true
	}
	s.down = m.Max == nil && m.Min != nil
	if s.each == 0 {
		s.each = 1
	}
	if s.open > 0 && s.open < s.each {
		last := len(s.points) - 1
		s.points[last] = worse(s.points[last], p, s.down)
		s.open++
		return
	}
	if len(s.points) == maxPoints {
		s.points = squeeze(s.points, maxPoints/2, s.down)
		s.each *= 2
	}
	s.points = append(s.points, p)
	s.open = 1
}

// worse returns the point that people should see of two.
func worse(a, b point, down bool) point {
	aFails, bFails := a.outcome == pipeline.Fail, b.outcome == pipeline.Fail
	switch {
	case aFails != bFails:
		if bFails {
			return b
		}
	case a.known != b.known:
		if b.known {
			return b
		}
	case (b.value > a.value) != down:
		return b
	}
	return a
}

// squeeze makes n points of more.
func squeeze(points []point, n int, down bool) []point {
	if len(points) <= n {
		return points
	}
	out := make([]point, n)
	for i := range out {
		from, to := i*len(points)/n, (i+1)*len(points)/n
		out[i] = points[from]
		for _, p := range points[from+1 : to] {
			out[i] = worse(out[i], p, down)
		}
	}
	return out
}

// levels puts each of the last points on a scale from 0 to top: with a largest
// value allowed, top is what is over it; with a smallest one alone, 0 is what
// is under it. -1 is a point without a value.
func (s *series) levels(width, top int, m pipeline.Measurement) []int {
	points := squeeze(s.points, width, s.down)
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		if p.known {
			low, high = min(low, p.value), max(high, p.value)
		}
	}
	out := make([]int, len(points))
	for i, p := range points {
		switch {
		case !p.known:
			out[i] = -1
		case m.Max != nil && p.value > *m.Max:
			out[i] = top
		case m.Max != nil:
			bottom := min(0, low)
			if m.Min != nil {
				bottom = *m.Min
			}
			out[i] = scale(p.value, bottom, *m.Max, top-1)
		case m.Min != nil && p.value < *m.Min:
			out[i] = 0
		case m.Min != nil:
			out[i] = 1 + scale(p.value, *m.Min, high, top-1)
		default:
			out[i] = scale(p.value, min(0, low), high, top/2)
		}
	}
	return out
}

// scale puts v, which lies between low and high, on a scale from 0 to top.
func scale(v, low, high float64, top int) int {
	if high <= low {
		return 0
	}
	return int(math.Round(math.Min(1, math.Max(0, (v-low)/(high-low))) * float64(top)))
}
