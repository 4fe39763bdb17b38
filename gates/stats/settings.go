package stats

import (
	"fmt"
	"math"
)

// Settings are what a test must know before its first look.
type Settings struct {
	// Alpha is the chance of a false alarm over all looks: over 0, up to 0.5.
	// In a [Family] it is the test's own share.
	Alpha float64
	// Tolerance is, for a [Comparison], psi0: the odds of a bad request on
	// the canary over those on stable that are still well, at least 1 and at
	// most 1000. A [Limit] does not use it.
	Tolerance float64
	// Share is, for a [Limit], the share of bad requests that is still well,
	// 0 up to and without 1. A [Comparison] does not use it.
	Share float64
	// Planned and Max are as in [Spending].
	Planned, Max int
	// Late also tests the last four looks by themselves, with up to 0.3 of
	// Alpha, so that what begins late is not hidden by the time before.
	Late bool
	// Guards hold back what is not worth an alarm.
	Guards Guards
}

// DefaultTolerance is the psi0 of a comparison that does not say another.
const DefaultTolerance = 1.1

func (s Settings) check() error {
	switch {
	case !(s.Alpha > 0 && s.Alpha <= 0.5):
		return fmt.Errorf("make test: alpha %v is not over 0 and at most 0.5", s.Alpha)
	case s.Planned < 1 || s.Planned > maxLooks || s.Max > maxLooks:
		return fmt.Errorf("make test: %d planned and at most %d looks, want 1 to %d", s.Planned, s.Max, maxLooks)
	case math.IsNaN(s.Guards.MinExcess) || s.Guards.MinExcess < 0 || s.Guards.MinExcess > 1:
		return fmt.Errorf("make test: least excess %v is not a share", s.Guards.MinExcess)
	case s.Guards.MinBad < 0 || s.Guards.SpreadLooks < 0:
		return fmt.Errorf("make test: a guard is negative")
	case !(s.Guards.Dispersion >= 0) || s.Guards.Dispersion > 1e9:
		return fmt.Errorf("make test: dispersion %v is not a number from 0 to 1e9", s.Guards.Dispersion)
	}
	return nil
}

// maxLooks is more looks than any watch makes: ten days at 15 s.
const maxLooks = 60000

func (s Settings) spending() Spending {
	return Spending{Alpha: s.Alpha, Planned: s.Planned, Max: s.Max}
}
