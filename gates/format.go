package gates

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// number writes a value with as many digits as people can use.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	if a := math.Abs(v); a >= 1e-4 && a < 1e6 {
		s := strconv.FormatFloat(v, 'f', max(0, 3-int(math.Floor(math.Log10(a)))), 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// percent writes a share as a percentage with at most two decimals, more for
// small ones.
func percent(share float64) string {
	p := share * 100
	if math.Abs(p) >= 0.1 {
		p = math.Round(p*100) / 100
	}
	return number(p) + "%"
}

// seconds writes a time in seconds as a duration.
func seconds(s float64) string {
	if math.IsInf(s, 0) || math.IsNaN(s) || math.Abs(s) > 1e9 {
		return number(s) + "s"
	}
	switch {
	case s >= 1 || s == 0:
		return number(math.Round(s*100)/100) + "s"
	case s >= 0.001:
		return number(math.Round(s*1e5)/100) + "ms"
	}
	return number(math.Round(s*1e8)/100) + "µs"
}

// span writes a duration without empty units: 2m, not 2m0s.
func span(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return source.FormatDuration(d)
}

// promDuration writes a duration as PromQL does, rounded up to whole seconds,
// or to milliseconds below ten seconds.
func promDuration(d time.Duration) string {
	if d < 10*time.Second && d%time.Second != 0 {
		return strconv.FormatInt(max(1, int64((d+time.Millisecond-1)/time.Millisecond)), 10) + "ms"
	}
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10) + "s"
}

// plural puts a number before a noun.
func plural(n float64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}
