package stats

import "math"

// ratio compares the tracks' rates look by look (Mantel and Haenszel's
// estimate), so that a share that grows while the base rate drifts does not
// mislead. Its interval inverts the binomial test of the split at the mean
// chance over the looks, which by Hoeffding's inequality covers at least 95 %.
func (n ratioNull) ratio(parts []Look) Ratio {
	var up, down float64
	var x, m int64
	for _, l := range parts {
		nc, ns := float64(l.Canary.Requests), float64(l.Stable.Requests)
		if nc == 0 || ns == 0 {
			continue
		}
		up += float64(l.Canary.Bad) * ns / (nc + ns)
		down += float64(l.Stable.Bad) * nc / (nc + ns)
		x, m = x+l.Canary.Bad, m+l.Canary.Bad+l.Stable.Bad
	}
	if m == 0 {
		return Ratio{Interval: Interval{Open: true}}
	}
	// mean is the canary's chance to get one of the bad requests, for u = the
	// ratio r mapped to 0..1.
	mean := func(u float64) float64 {
		sum := 0.0
		for _, l := range parts {
			nc, ns := float64(l.Canary.Requests), float64(l.Stable.Requests)
			if k := float64(l.Canary.Bad + l.Stable.Bad); k > 0 && nc > 0 && ns > 0 {
				sum += k * u * nc / (u*nc + (1-u)*ns)
			}
		}
		return sum / float64(m)
	}
	r := Ratio{Known: true}
	if x > 0 {
		r.Interval.Low = odds(solve(func(u float64) float64 { return atLeast(x, m, mean(u)) }, 0.025))
	}
	if x < m {
		r.Interval.High = odds(solve(func(u float64) float64 { return 1 - atMost(x, m, mean(u)) }, 0.975))
	} else {
		r.Interval.Open = true
	}
	if down > 0 {
		r.Value = up / down
	} else {
		r.Known = false // infinite: only the lower end says something
	}
	return r
}

// ratio is that of the rate to the limit, with the limits of Clopper and
// Pearson.
func (n shareNull) ratio(parts []Look) Ratio {
	var sum Arm
	for _, l := range parts {
		sum = sum.plus(l.Canary)
	}
	if n.p <= 0 || sum.Requests == 0 {
		return Ratio{Interval: Interval{Open: true}}
	}
	return Ratio{Known: true, Value: sum.Rate() / n.p, Interval: Interval{
		Low:  ClopperPearsonLower(sum, 0.975) / n.p,
		High: ClopperPearsonUpper(sum, 0.975) / n.p,
	}}
}

// odds is u/(1-u), finite.
func odds(u float64) float64 { return math.Min(u/(1-u), 1e12) }
