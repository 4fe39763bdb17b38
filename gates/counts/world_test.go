package counts_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
)

const scrape = 15 * time.Second

// start is the beginning of every watch of these tests.
var start = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func after(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }

func track(labels map[string]string) counts.Track {
	switch {
	case strings.HasPrefix(labels["pod"], "c"):
		return counts.Canary
	case strings.HasPrefix(labels["pod"], "s"):
		return counts.Stable
	}
	return counts.Other
}

func bad(labels map[string]string) bool { return strings.HasPrefix(labels["status"], "5") }

func settings() counts.Settings {
	return counts.Settings{
		Begin: start, Every: scrape, Scrape: scrape, Started: after(-90),
		Compare: true, Track: track, Bad: bad,
	}
}

// counter is one series by its samples: pairs of seconds since the beginning
// and a value.
func counter(labels string, pairs ...float64) counts.Series {
	s := counts.Series{Labels: map[string]string{}}
	for kv := range strings.SplitSeq(labels, ",") {
		k, v, _ := strings.Cut(kv, "=")
		s.Labels[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		s.Points = append(s.Points, counts.Point{Time: after(pairs[i]), Value: pairs[i+1]})
	}
	return s
}

// upTo returns the samples after one moment and up to another.
func upTo(all []counts.Series, since, at time.Time) []counts.Series {
	var out []counts.Series
	for _, s := range all {
		var points []counts.Point
		for _, p := range s.Points {
			if p.Time.After(since) && !p.Time.After(at) {
				points = append(points, p)
			}
		}
		if len(points) > 0 {
			out = append(out, counts.Series{Labels: s.Labels, Points: points})
		}
	}
	return out
}

// bitByBit takes each look by itself, from no more samples than it needs.
func bitByBit(s counts.Settings, all []counts.Series, looks int) []counts.Look {
	c := counts.New(s)
	var out []counts.Look
	for k := 1; k <= looks; k++ {
		out = append(out, c.Add(upTo(all, c.Since(), s.At(k)), k)...)
	}
	return out
}

// pod is a process that counts: a series per status, as a library makes it at
// the first request of that status.
type pod struct {
	name         string
	phase        float64
	began, ended float64
	lost         func(n int) bool
	restarts     []float64
	rate, share  float64
}

// world lets pods live and scrapes them; truth is what each really counted,
// up to its last sample, since its last sample up to the beginning.
type world struct {
	series map[string]*counts.Series
	truth  map[counts.Track]counts.Tally
	rng    *rand.Rand
}

func newWorld(seed uint64) *world {
	return &world{
		series: map[string]*counts.Series{}, rng: rand.New(rand.NewPCG(seed, 1)),
		truth: map[counts.Track]counts.Tally{counts.Canary: {Bad: []int64{0}}, counts.Stable: {Bad: []int64{0}}},
	}
}

func (w *world) run(p pod, end float64) {
	values := map[string]float64{"200": float64(w.rng.IntN(1000)), "500": 0}
	if p.began > -300 {
		values["200"] = 0
	}
	var fresh, freshBad int64 // since the last sample
	t := p.began
	n := 0
	for at := p.phase - 300; at <= min(end, p.ended); at += scrape.Seconds() {
		n++
		for _, r := range p.restarts {
			// A restart that no counter shows is none to anybody.
			if r > at-scrape.Seconds() && r <= at && values["200"] > 50+150*p.rate {
				values = map[string]float64{"200": 0, "500": 0}
				fresh, freshBad = 0, 0 // what was not scraped before a restart is lost to all
			}
		}
		for ; t <= at; t += w.rng.ExpFloat64() / p.rate {
			fresh++
			if w.rng.Float64() < p.share {
				values["500"]++
				freshBad++
			} else {
				values["200"]++
			}
		}
		if at < p.began || p.lost != nil && p.lost(n) {
			continue
		}
		for status, v := range values {
			if v > 0 {
				w.sample(p.name, status, at, v)
			}
		}
		tally := w.truth[track(map[string]string{"pod": p.name})]
		if at > 0 {
			tally.Requests += fresh
			tally.Bad[0] += freshBad
		}
		w.truth[track(map[string]string{"pod": p.name})] = tally
		fresh, freshBad = 0, 0
	}
}

func (w *world) sample(pod, status string, at, v float64) {
	key := pod + " " + status
	s := w.series[key]
	if s == nil {
		s = &counts.Series{Labels: map[string]string{"namespace": "shop", "pod": pod, "status": status, "job": "a", "instance": pod + ":80"}}
		w.series[key] = s
	}
	s.Points = append(s.Points, counts.Point{Time: after(at), Value: v})
}

func (w *world) all() []counts.Series {
	var out []counts.Series
	for _, s := range w.series {
		out = append(out, *s)
	}
	return out
}

// randomWorld has pods that come, go, restart and miss scrapes.
func randomWorld(seed uint64, end float64) *world {
	w := newWorld(seed)
	for i := range 2 + w.rng.IntN(6) {
		p := pod{
			name: fmt.Sprintf("%c%d", "cs"[i%2], i), phase: w.rng.Float64() * 15, began: -1000, ended: 1e9,
			rate: 0.05 + w.rng.ExpFloat64()*2, share: w.rng.Float64() * 0.3,
		}
		if i%2 == 0 {
			p.began = -60 + w.rng.Float64()*50
		} else if i > 2 && w.rng.IntN(3) == 0 {
			p.began = w.rng.Float64() * end
		}
		if i > 2 && w.rng.IntN(4) == 0 {
			p.ended = w.rng.Float64() * end
		}
		for range w.rng.IntN(3) {
			p.restarts = append(p.restarts, 1+w.rng.Float64()*end)
		}
		lossy := rand.New(rand.NewPCG(seed, uint64(i)))
		p.lost = func(int) bool { return lossy.IntN(10) == 0 }
		w.run(p, end)
	}
	return w
}
