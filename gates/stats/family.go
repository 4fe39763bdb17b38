package stats

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Check is one test of a [Family].
type Check struct {
	// Settings of the test. Alpha, Planned and Max are the family's.
	Settings Settings
	// Weight is its part of alpha against the others', over 0.
	Weight float64
	// Limit is whether it is a [Limit] on the canary's counts, not a
	// [Comparison].
	Limit bool
}

// Family shares one alpha among the checks of a gate: the chance that any of
// them ever raises a false alarm is at most alpha.
//
// Each check has its part. A check with few bad requests can spend next to
// nothing, as its counts are whole numbers; what all of them have not spent is
// lent to those with few bad requests, fewest first, as long as half of every
// part stays with its owner. Which check borrows follows from what the tests
// take as given, never from how the bad requests are split, so the spent tails
// of all checks still add up to no more than alpha (the thought is Tarone's,
// of 1990). That is exact for two versions that are the same in all respects;
// for a canary at the edge of what is tolerated, it takes what one check is
// given to say nothing of another's split.
//
// A Family is a pure function of its looks. Not safe for concurrent use.
type Family struct {
	spending Spending
	tests    []test
	parts    []float64 // of alpha, summing to 1
}

// kept is what part of its share a check never lends.
const kept = 0.5

// sparse is up to how many bad requests a check borrows: with more, its steps
// are fine enough to spend what is its own.
const sparse = 200

// NewFamily returns a family without looks. It refuses settings that make no
// sense, and no checks.
func NewFamily(s Spending, checks []Check) (*Family, error) {
	f := &Family{spending: s}
	sum := 0.0
	for _, c := range checks {
		if !(c.Weight > 0 && c.Weight <= 1e9) {
			return nil, fmt.Errorf("make family: weight %v is not over 0", c.Weight)
		}
		sum += c.Weight
	}
	if len(checks) == 0 {
		return nil, errors.New("make family: it has no checks")
	}
	for i, c := range checks {
		own := c.Settings
		own.Alpha, own.Planned, own.Max = s.Alpha*c.Weight/sum, s.Planned, s.Max
		t, err := newCheck(own, c.Limit)
		if err != nil {
			return nil, fmt.Errorf("make check %d of family: %w", i+1, err)
		}
		f.tests = append(f.tests, t)
		f.parts = append(f.parts, c.Weight/sum)
	}
	return f, nil
}

func newCheck(s Settings, limit bool) (test, error) {
	if limit {
		t, err := NewLimit(s)
		if err != nil {
			return test{}, err
		}
		return t.test, nil
	}
	c, err := NewComparison(s)
	if err != nil {
		return test{}, err
	}
	return c.test, nil
}

// Add makes look k of every check, in the order they were made; nil is a look
// that is missing. It returns one judgement for each check, a missing look's
// with Look 0 and Boundary -1.
func (f *Family) Add(k int, looks []*Look) []Judgement {
	said := make([]Judgement, len(f.tests))
	var here []int
	for i := range f.tests {
		said[i].Boundary = -1
		if i < len(looks) && looks[i] != nil {
			f.tests[i].take(k, *looks[i])
			here = append(here, i)
		}
	}
	for _, i := range here {
		t := &f.tests[i]
		may := f.available(i, k, 1)
		t.scan(may)
		t.spend(may)
	}
	slices.SortStableFunc(here, func(a, b int) int { return cmp.Compare(f.size(a), f.size(b)) })
	for _, i := range here {
		if f.size(i) <= sparse {
			f.tests[i].spend(f.available(i, k, kept))
		}
		said[i] = f.tests[i].say()
	}
	return said
}

func (f *Family) size(i int) float64 { return f.tests[i].null.size(f.tests[i].now.sum) }

// available is how much check i may have spent by look k, when all others keep
// the given part of their own.
func (f *Family) available(i, k int, keep float64) float64 {
	budget := f.spending.At(k)
	own := budget * f.parts[i]
	others := 0.0
	for j := range f.tests {
		if j != i {
			s := f.tests[j].spent
			others += max(s[0]+s[1], keep*budget*f.parts[j])
		}
	}
	if keep == 1 { // what others have borrowed is gone
		return min(own, budget-others)
	}
	return budget - others
}

// Clone returns a family that goes on from here by itself.
func (f *Family) Clone() *Family {
	c := &Family{spending: f.spending, parts: f.parts}
	for i := range f.tests {
		c.tests = append(c.tests, f.tests[i].clone())
	}
	return c
}

// Spent is how much of alpha all checks have used up.
func (f *Family) Spent() float64 {
	sum := 0.0
	for i := range f.tests {
		sum += f.tests[i].spent[0] + f.tests[i].spent[1]
	}
	return sum
}
