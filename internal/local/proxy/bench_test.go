package proxy_test

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/local/proxy"
)

// BenchmarkProxy shows what the proxy adds: the same requests with and without
// it, in turn, so that a busy machine slows both. The number to look at is
// x-direct, which should stay below 4: there are two connections in place of
// one, and HTTP is read and written twice.
func BenchmarkProxy(b *testing.B) {
	for _, h2 := range []bool{false, true} {
		name := "http1"
		if h2 {
			name = "h2c"
		}
		b.Run(name, func(b *testing.B) {
			p := startPod(b, says("x"))
			s := startServer(b)
			s.SetEndpoints(shop, "stable", addresses(p))
			s.SetEndpoints(shop, "canary", addresses(p))
			if err := s.SetRoute(proxy.Route{Name: shop, H2C: h2, Weights: map[string]float64{"stable": 80, "canary": 20}}); err != nil {
				b.Fatal(err)
			}
			c := client(b, h2)
			direct, through := "http://"+p.address, s.URL()
			var without, with []time.Duration
			for b.Loop() {
				without = append(without, timed(b, c, direct))
				with = append(with, timed(b, c, through))
			}
			d, t := median(without), median(with)
			b.ReportMetric(float64(d.Microseconds()), "µs-direct")
			b.ReportMetric(float64((t - d).Microseconds()), "µs-added")
			b.ReportMetric(float64(t)/float64(d), "x-direct")
		})
	}
}

// BenchmarkProxyThroughput is the same for many clients at once; x-direct is
// how many times as long as many requests take.
func BenchmarkProxyThroughput(b *testing.B) {
	p := startPod(b, says("x"))
	s := start(b, p)
	c := client(b, false)
	const clients, each = 8, 25
	all := func(url string) time.Duration {
		var users sync.WaitGroup
		began := time.Now()
		for range clients {
			users.Go(func() {
				for range each {
					timed(b, c, url)
				}
			})
		}
		users.Wait()
		return time.Since(began)
	}
	var without, with []time.Duration
	for b.Loop() {
		without = append(without, all("http://"+p.address))
		with = append(with, all(s.URL()))
	}
	d, t := median(without), median(with)
	b.ReportMetric(clients*each/d.Seconds(), "requests/s-direct")
	b.ReportMetric(clients*each/t.Seconds(), "requests/s-proxy")
	b.ReportMetric(float64(t)/float64(d), "x-direct")
}

func timed(b *testing.B, c *http.Client, url string) time.Duration {
	b.Helper()
	began := time.Now()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Error(err)
		return 0
	}
	res, err := c.Do(req)
	if err != nil {
		b.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Error(res.Status)
	}
	return time.Since(began)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
