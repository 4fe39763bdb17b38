package stats

// Spending says how much of alpha may have been spent by a look.
type Spending struct {
	// Alpha is the chance of a false alarm over all looks, 0 to 0.5.
	Alpha float64
	// Planned is how many looks there are to be, at least 1. Max is how many
	// there may be when the watch is extended; up to Planned, there is no
	// extension.
	Planned, Max int
}

// At is the share of Alpha, times Alpha, that may have been spent by look k:
// half evenly, half with the third power of time, so that early looks see
// gross failures and late ones keep most. With an extension a fifth is kept
// for it. It grows with k, is 0 before the first look and Alpha from the last
// one on.
func (s Spending) At(k int) float64 {
	planned := max(1, s.Planned)
	switch {
	case k <= 0:
		return 0
	case s.Max > planned && k >= s.Max, s.Max <= planned && k >= planned:
		return s.Alpha
	case k > planned:
		return s.Alpha * (0.8 + 0.2*float64(k-planned)/float64(s.Max-planned))
	}
	t := float64(k) / float64(planned)
	share := 0.5*t + 0.5*t*t*t
	if s.Max > planned {
		share *= 0.8
	}
	return s.Alpha * share
}
