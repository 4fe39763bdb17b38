package counts_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/headgate-dev/headgate/gates/counts"
)

// FuzzLooks reads any samples at all: no number is negative or larger than the
// requests, nothing counted at once is lost when counted in parts, and pairs
// never hold more than the tracks.
func FuzzLooks(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, uint8(3))
	f.Add([]byte{0, 0, 200, 0, 0, 8, 50, 0, 0, 16, 1, 0, 0, 24, 255, 255, 1, 20, 9, 9}, uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		s := settings()
		s.OneOfTwins, s.Approximate = how&1 != 0, how&2 != 0
		if how&4 != 0 {
			s.Started = s.Begin
		}
		if how&8 != 0 {
			s.Bounds = []float64{0.5, 1}
		}
		all := fuzzed(data)
		once := counts.New(s).Add(all, 10)
		parts := bitByBit(s, all, 10)
		if len(once) != 10 || len(parts) != 10 {
			t.Fatalf("got %d and %d looks", len(once), len(parts))
		}
		for _, looks := range [][]counts.Look{once, parts} {
			for _, l := range looks {
				for _, tally := range []counts.Tally{l.Canary.Tally, l.Stable.Tally, l.Pair.Canary, l.Pair.Stable} {
					for _, bad := range tally.Bad {
						if bad < 0 || bad > tally.Requests {
							t.Fatalf("%d of %d requests are bad", bad, tally.Requests)
						}
					}
				}
			}
			for _, tr := range []counts.Track{counts.Canary, counts.Stable} {
				n, bad, pn, pbad := sum(looks, tr)
				if pn > n || pbad > bad {
					t.Fatalf("pairs hold %d/%d, looks %d/%d", pbad, pn, bad, n)
				}
			}
		}
	})
}

// fuzzed makes series of bytes: of each four, one says which series, one how
// long after the sample before, and two the value.
func fuzzed(data []byte) []counts.Series {
	labels := []string{
		"pod=c1,status=200,instance=a,job=x,le=0.5", "pod=c1,status=500,instance=a,job=x,le=1", "pod=c1,status=200,instance=a,job=y,le=0.5",
		"pod=c2,status=200,instance=b,job=x,le=+Inf", "pod=s1,status=200,instance=c,job=x,le=0.5", "pod=s1,status=500,instance=c,job=x,le=+Inf",
		"pod=s1,status=200,instance=c,job=x,le=0.5,replica=2", "pod=x,status=200,le=NaN",
	}
	out := make([]counts.Series, len(labels))
	at := make([]float64, len(labels))
	for i, l := range labels {
		out[i] = counter(l)
		at[i] = -40
	}
	for ; len(data) >= 4; data = data[4:] {
		i := int(data[0]) % len(labels)
		at[i] += 0.5 + float64(data[1])/8
		v := float64(binary.LittleEndian.Uint16(data[2:]))
		switch data[0] / 8 {
		case 7:
			v = math.NaN()
		case 8:
			v = math.Inf(1)
		case 9:
			v = -v
		case 10:
			v *= 1e15
		case 11:
			v /= 7
		}
		out[i].Points = append(out[i].Points, counts.Point{Time: after(at[i]), Value: v})
	}
	return out
}

func ExampleLooks() {
	series := []counts.Series{
		counter("pod=canary,status=200", -5, 100, 10, 130, 25, 160),
		counter("pod=canary,status=500", 25, 2),
		counter("pod=stable,status=200", -5, 9000, 10, 9270, 25, 9540),
	}
	for _, l := range counts.Looks(settings(), series, after(60)) {
		c, s := l.Pair.Canary, l.Pair.Stable
		fmt.Printf("look %d: canary %d of %d, stable %d of %d\n", l.K, c.Bad[0], c.Requests, s.Bad[0], s.Requests)
	}
	// Output:
	// look 1: canary 0 of 30, stable 0 of 270
	// look 2: canary 2 of 32, stable 0 of 270
}
