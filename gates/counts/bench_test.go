package counts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/gates/counts"
)

// BenchmarkLook is one look over 20 checks of a service with 1000 requests a
// second: 12 pods, for each check 5 codes, or 12 buckets of 2 codes. It must stay
// below 20 ms.
func BenchmarkLook(b *testing.B) {
	const before = 40
	samples := func(check, from, to int) []counts.Series {
		var out []counts.Series
		for p := range 12 {
			name := fmt.Sprintf("%c-user-service-0123456789-%05d", "cs"[min(1, p/2)], p)
			for i := range 5 + check%2*19 {
				s := counts.Series{Labels: map[string]string{
					"__name__": "http_requests_total", "namespace": "shop", "pod": name, "instance": name + ":8080", "job": "pods",
					"status": fmt.Sprint(200 + i), "method": "GET", "path": "/api/v1/users",
				}}
				for k := from; k < to; k++ {
					s.Points = append(s.Points, counts.Point{Time: after(float64(15*k) - float64(p)), Value: float64(k * 40)})
				}
				out = append(out, s)
			}
		}
		return out
	}
	var counters []*counts.Counter
	var fresh [][]counts.Series
	for check := range 20 {
		counters = append(counters, counts.New(settings()))
		counters[check].Add(samples(check, -20, before+1), before)
	}
	k := before
	for b.Loop() {
		b.StopTimer()
		k++
		fresh = fresh[:0]
		for check := range counters {
			fresh = append(fresh, samples(check, k-2, k+1))
		}
		b.StartTimer()
		began := time.Now()
		for i, c := range counters {
			if l := c.Add(fresh[i], k)[0]; l.Outcome != counts.OK {
				b.Fatalf("look %d is %s", k, l.Outcome)
			}
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/look")
	}
}
