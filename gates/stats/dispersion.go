package stats

import "math"

// Bin is what was counted of one track in one of many bins of equal length.
type Bin = Arm

// Dispersion is phi: how many times more the bad requests of a service vary
// from bin to bin than independent ones would. It takes the differences of
// neighbouring bins, so that a drift does not count. Bins are as long as
// looks, from before the release, and in order; those without requests are
// left out. It is 1 up to 1.3, which chance explains, and counting everything
// twice makes it 2. It is not known (ok is false, phi 1) with fewer than 30
// bad requests or two bins.
func Dispersion(bins []Bin) (phi float64, ok bool) {
	var got, want, n float64
	var requests, bad int64
	for _, b := range bins {
		b = b.mended()
		requests, bad = requests+b.Requests, bad+b.Bad
	}
	if bad < 30 || bad == requests {
		return 1, false
	}
	p := float64(bad) / float64(requests)
	var last Arm
	for _, b := range bins {
		if b = b.mended(); b.Requests == 0 {
			continue
		}
		if last.Requests > 0 {
			d := b.Rate() - last.Rate()
			got += d * d
			want += p * (1/float64(b.Requests) + 1/float64(last.Requests))
			n++
		}
		last = b
	}
	if n == 0 || want == 0 {
		return 1, false
	}
	phi = got / want
	if math.IsNaN(phi) || phi <= 1.3 {
		return 1, true
	}
	return min(phi, 1e9), true
}
