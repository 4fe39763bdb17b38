package counts_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate-dev/headgate/gates/counts"
)

func sum(looks []counts.Look, t counts.Track) (requests, bad, pairRequests, pairBad int64) {
	for _, l := range looks {
		arm, pair := l.Canary, l.Pair.Canary
		if t == counts.Stable {
			arm, pair = l.Stable, l.Pair.Stable
		}
		requests += arm.Requests
		if len(arm.Bad) > 0 {
			bad += arm.Bad[0]
		}
		pairRequests += pair.Requests
		if len(pair.Bad) > 0 {
			pairBad += pair.Bad[0]
		}
	}
	return
}

// TestEachEventIsCountedOnce: whatever scrapes are lost, pods restarted, born
// and gone, all that samples show is counted, and nothing twice.
func TestEachEventIsCountedOnce(t *testing.T) {
	for seed := range uint64(120) {
		const looks = 20
		w := randomWorld(seed, looks*15)
		got := counts.Looks(settings(), w.all(), after(looks*15).Add(counts.Lag(scrape)))
		if len(got) != looks {
			t.Fatalf("seed %d: got %d looks, want %d", seed, len(got), looks)
		}
		for _, tr := range []counts.Track{counts.Canary, counts.Stable} {
			requests, bad, _, _ := sum(got, tr)
			if want := w.truth[tr]; requests != want.Requests || bad != want.Bad[0] {
				t.Errorf("seed %d: %s counted %d/%d, want %d/%d", seed, tr, bad, requests, want.Bad[0], want.Requests)
			}
		}
	}
}

// TestCountingBitByBitIsCountingAtOnce: a run that was killed and reads
// everything again finds the same looks.
func TestCountingBitByBitIsCountingAtOnce(t *testing.T) {
	for seed := range uint64(40) {
		const looks = 20
		w := randomWorld(seed, looks*15)
		want := counts.Looks(settings(), w.all(), after(looks*15).Add(counts.Lag(scrape)))
		if diff := cmp.Diff(want, bitByBit(settings(), w.all(), looks)); diff != "" {
			t.Fatalf("seed %d: (-at once +bit by bit):\n%s", seed, diff)
		}
		c := counts.New(settings())
		rng := rand.New(rand.NewPCG(seed, 9))
		var got []counts.Look
		for k := 1 + rng.IntN(4); c.Next() <= looks; k = min(looks, k+1+rng.IntN(4)) {
			got = append(got, c.Add(upTo(w.all(), c.Since(), settings().At(k)), k)...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: (-at once +some at a time):\n%s", seed, diff)
		}
	}
}

// TestPairsHoldWhatArmsDo: what was counted while one track was silent is in
// the pair of the next look at which both are not.
func TestPairsHoldWhatArmsDo(t *testing.T) {
	for seed := range uint64(40) {
		w := randomWorld(seed, 300)
		looks := bitByBit(settings(), w.all(), 20)
		last := -1
		for i, l := range looks {
			if l.Pair.Looks > 0 {
				last = i
			}
		}
		for _, tr := range []counts.Track{counts.Canary, counts.Stable} {
			requests, bad, _, _ := sum(looks[:last+1], tr)
			_, _, pr, pb := sum(looks, tr)
			if pr != requests || pb != bad {
				t.Errorf("seed %d: pairs of %s hold %d/%d, arms %d/%d", seed, tr, pb, pr, bad, requests)
			}
		}
	}
}

// TestWhatHappensToASeries: one canary pod, and what its counts are.
func TestWhatHappensToASeries(t *testing.T) {
	type look struct {
		outcome       counts.Outcome
		requests, bad int64
	}
	ok := func(n, bad int64) look { return look{counts.OK, n, bad} }
	cases := []struct {
		name   string
		series []counts.Series
		want   []look
	}{
		{"base is the last sample up to the beginning", []counts.Series{counter("pod=c,status=200", -20, 70, -5, 100, 10, 104, 25, 110)}, []look{ok(4, 0), ok(6, 0)}},
		{"a sample at the beginning is the base", []counts.Series{counter("pod=c,status=200", -15, 70, 0, 100, 15, 104, 30, 110)}, []look{ok(4, 0), ok(6, 0)}},
		{"a new series counts from zero", []counts.Series{
			counter("pod=c,status=200", -5, 100, 10, 104, 25, 110), counter("pod=c,status=500", 25, 3),
		}, []look{ok(4, 0), ok(9, 3)}},
		{"a new pod counts from zero", []counts.Series{counter("pod=c,status=200", 10, 7, 25, 9)}, []look{ok(7, 0), ok(2, 0)}},
		{"a restart begins again at zero", []counts.Series{counter("pod=c,status=200", -5, 100, 10, 104, 25, 3)}, []look{ok(4, 0), ok(3, 0)}},
		{"a pod replaced", []counts.Series{
			counter("pod=c1,status=200", -5, 100, 10, 104), counter("pod=c2,status=200", 12, 1, 27, 6),
		}, []look{ok(5, 0), ok(5, 0)}},
		{"a missed scrape", []counts.Series{counter("pod=c,status=200", -5, 100, 10, 104, 40, 120)}, []look{ok(4, 0), {counts.Missed, 0, 0}, ok(16, 0)}},
		{"a series that vanishes", []counts.Series{counter("pod=c,status=200", -5, 100, 10, 104)}, []look{ok(4, 0), {counts.Missed, 0, 0}, {counts.Stale, 0, 0}}},
		{"no request", []counts.Series{counter("pod=c,status=200", -5, 100, 10, 100)}, []look{{counts.NoTraffic, 0, 0}}},
		{"nothing", nil, []look{{counts.NoSeries, 0, 0}}},
		{"of nobody", []counts.Series{counter("pod=x,status=200", -5, 100, 10, 100)}, []look{{counts.NoSeries, 0, 0}}},
		{"not a number", []counts.Series{counter("pod=c,status=200", -5, 100, 10, math.NaN(), 25, 104)}, []look{{counts.NonFinite, 0, 0}, ok(4, 0)}},
		{"infinite", []counts.Series{counter("pod=c,status=200", -5, 100, 10, math.Inf(1), 25, 104)}, []look{{counts.NonFinite, 0, 0}, ok(4, 0)}},
		{"rare errors of new pods", []counts.Series{
			counter("pod=c,status=200", -5, 1, 10, 1, 25, 1), counter("pod=c,status=500", 10, 1, 25, 1),
		}, []look{ok(1, 1), {counts.NoTraffic, 0, 0}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := settings()
			s.Compare = false
			var got []look
			for _, l := range bitByBit(s, c.series, len(c.want)) {
				got = append(got, look{l.Canary.Outcome, l.Canary.Requests, l.Canary.Bad[0]})
				if l.Outcome != l.Canary.Outcome {
					t.Errorf("look %d is %s, its canary %s", l.K, l.Outcome, l.Canary.Outcome)
				}
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(look{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnOldSeriesIsNoNewborn: a pod of stable that is found late has counted
// for long, and its first sample says nothing about now.
func TestAnOldSeriesIsNoNewborn(t *testing.T) {
	all := []counts.Series{
		counter("pod=c,status=200", -5, 10, 10, 20, 25, 30),
		counter("pod=s,status=200", 8, 1e6, 23, 1e6+90),
	}
	looks := bitByBit(settings(), all, 2)
	if n, _, _, _ := sum(looks, counts.Stable); n != 90 {
		t.Errorf("stable counted %d, want 90", n)
	}
}

// TestAMissedScrapeOfATrackHoldsBoth: the comparison waits, and then has the
// same time of both.
func TestAMissedScrapeOfATrackHoldsBoth(t *testing.T) {
	all := []counts.Series{
		counter("pod=c,status=200", -5, 10, 10, 20, 40, 50),
		counter("pod=s,status=200", -7, 100, 8, 200, 23, 300, 38, 400),
	}
	looks := bitByBit(settings(), all, 3)
	want := []counts.Pair{
		{Canary: tally(10), Stable: tally(100), Looks: 1},
		{},
		{Canary: tally(30), Stable: tally(200), Looks: 2},
	}
	var got []counts.Pair
	for _, l := range looks {
		got = append(got, l.Pair)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if looks[1].Outcome != counts.Missed || looks[1].Stable.Outcome != counts.OK || looks[1].Stable.Requests != 100 {
		t.Errorf("got %+v, want a missed canary beside a stable that counted 100", looks[1])
	}
}

func tally(n int64) counts.Tally { return counts.Tally{Requests: n, Bad: []int64{0}} }

// TestLateSamples: what arrives after its look was taken falls into the next
// one, even before a restart that hid it.
func TestLateSamples(t *testing.T) {
	s := settings()
	s.Compare = false
	c := counts.New(s)
	early := counter("pod=c,status=200", -5, 10, 10, 20, 40, 3)
	late := counter("pod=c,status=200", -5, 10, 10, 20, 25, 27, 40, 3, 55, 4)
	var n int64
	for _, l := range c.Add(upTo([]counts.Series{early}, c.Since(), s.At(3)), 3) {
		n += l.Canary.Requests
	}
	if n != 13 {
		t.Fatalf("counted %d, want 13", n)
	}
	looks := c.Add(upTo([]counts.Series{late}, c.Since(), s.At(4)), 4)
	if got := looks[0].Canary.Requests; got != 8 {
		t.Errorf("counted %d, want 1 new and 7 late", got)
	}
}

// TestALookWithoutAnswerIsTakenLater: an outage of the provider loses nothing.
func TestALookWithoutAnswerIsTakenLater(t *testing.T) {
	w := randomWorld(4, 300)
	s := settings()
	c := counts.New(s)
	got := c.Add(upTo(w.all(), c.Since(), s.At(5)), 5)
	if m := c.Miss(counts.QueryError, true, "no answer"); m.K != 6 || m.Outcome != counts.QueryError || !m.Retryable || m.Canary.Outcome != counts.QueryError {
		t.Errorf("got %+v", m)
	}
	got = append(got, c.Add(upTo(w.all(), c.Since(), s.At(20)), 20)...)
	if diff := cmp.Diff(bitByBit(s, w.all(), 20), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if looks := c.Add(w.all(), 20); len(looks) != 0 {
		t.Errorf("a look was taken twice: %+v", looks)
	}
}

func TestDue(t *testing.T) {
	s := settings()
	for _, c := range []struct {
		at   float64
		want int
	}{{-100, 0}, {0, 0}, {37, 0}, {37.5, 1}, {52.4, 1}, {52.5, 2}} {
		if got := s.Due(after(c.at)); got != c.want {
			t.Errorf("at %v s %d looks are due, want %d", c.at, got, c.want)
		}
	}
	for _, c := range []struct{ every, scrape, want time.Duration }{
		{0, 5 * time.Second, 15 * time.Second},
		{0, time.Minute, time.Minute},
		{5 * time.Second, time.Second, 5 * time.Second},
		{5 * time.Second, 15 * time.Second, 15 * time.Second},
	} {
		if got := counts.Interval(c.every, c.scrape); got != c.want {
			t.Errorf("Interval(%s, %s) = %s, want %s", c.every, c.scrape, got, c.want)
		}
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range counts.Outcomes() {
		if s := o.String(); seen[s] || s[len(s)-1] == ')' {
			t.Errorf("%d is called %s", int(o), s)
		}
		seen[o.String()] = true
	}
}
