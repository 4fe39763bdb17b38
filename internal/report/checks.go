package report

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"github.com/headgate-dev/headgate/pipeline"
)

// checkColumns are the widths of a gate's checks.
type checkColumns struct{ name, spark, value, bound, samples int }

// The widths of sparklines.
const (
	minSpark = 8
	maxSpark = 60
)

// columns shares out the width: what does not fit is left out, samples first,
// the sparkline before the bound.
func (v *view) columns(g *gateAccount) checkColumns {
	var c checkColumns
	for _, k := range g.checks {
		c.name = max(c.name, ansi.StringWidth(clean(k.last.Check)))
		c.value = max(c.value, ansi.StringWidth(found(k.last)))
		c.bound = max(c.bound, ansi.StringWidth(clean(k.last.Bound)))
		c.samples = max(c.samples, ansi.StringWidth(basis(k.last)))
	}
	c.name, c.bound = min(c.name, 24), min(c.bound, 28)
	rest := func() int {
		return v.size.width - 7 - 1 - c.name - gap(c.spark) - gap(c.value) - gap(c.bound) - gap(c.samples)
	}
	c.spark = minSpark
	if rest() < 0 {
		c.samples = 0
	}
	if rest() < 0 {
		c.spark = 0
	}
	if rest() < 0 {
		c.name = max(8, c.name+rest())
	}
	if c.spark > 0 {
		c.spark = min(maxSpark, c.spark+max(0, rest()))
		if v.whole { // it grows no more
			c.spark = min(c.spark, max(minSpark, len(longest(g))))
		}
	}
	return c
}

// longest returns the points of the check that has most.
func longest(g *gateAccount) []point {
	var most []point
	for _, k := range g.checks {
		if len(k.series.points) > len(most) {
			most = k.series.points
		}
	}
	return most
}

func gap(width int) int {
	if width == 0 {
		return 0
	}
	return width + 2
}

// checks are the lines about what each check of a gate finds.
func (v *view) checks(g *gateAccount) []string {
	c := v.columns(g)
	lines := make([]string, 0, len(g.checks))
	for _, k := range g.checks {
		sign, color := v.warn, careful
		switch {
		case k.last.Outcome == pipeline.Pass:
			sign, color = v.passed, well
		case k.last.Outcome == pipeline.Fail:
			sign, color = v.failed, ill
		case k.last.Result == tooEarly:
			sign, color = v.open, faint
		}
		line := "     " + v.ink(color, sign) + " " + v.pad(clean(k.last.Check), c.name)
		if c.spark > 0 {
			line += "  " + v.spark(k, c.spark)
		}
		value := lpad(found(k.last), c.value)
		if k.last.Outcome == pipeline.Fail {
			value = v.ink(ill, value)
		}
		line += "  " + value
		if c.bound > 0 {
			line += "  " + v.ink(faint, v.pad(clean(k.last.Bound), c.bound))
		}
		if c.samples > 0 {
			line += "  " + v.ink(faint, lpad(basis(k.last), c.samples))
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// spark draws what a check found over time against its bound.
func (v *view) spark(k *checkAccount, width int) string {
	points := squeeze(k.series.points, width, k.series.down)
	levels := k.series.levels(width, len(v.painter.spark)-1, k.last)
	var b strings.Builder
	for i := 0; i < len(levels); {
		color, run := pointInk(points[i]), ""
		for ; i < len(levels) && pointInk(points[i]) == color; i++ {
			if levels[i] < 0 {
				run += v.missing
			} else {
				run += v.painter.spark[levels[i]]
			}
		}
		b.WriteString(v.ink(color, run))
	}
	return b.String() + strings.Repeat(" ", max(0, width-len(levels)))
}

func pointInk(p point) ink {
	switch {
	case p.outcome == pipeline.Fail:
		return ill
	case p.outcome == pipeline.Pass && p.known:
		return accent
	}
	return faint
}

// found is what a check found, with its unit.
func found(m pipeline.Measurement) string {
	if m.Value == nil {
		return words(clean(m.Result))
	}
	return quantity(*m.Value, clean(m.Unit))
}

// words writes a name such as noData as words.
func words(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimSpace(b.String())
}

// quantity writes a value with its unit, in as many digits as tell people
// something.
func quantity(v float64, unit string) string {
	switch unit {
	case "":
		return number(v)
	case "%":
		if a := math.Abs(v); a >= 0.01 && a < 100 {
			v = math.Round(v*100) / 100
		}
		return digits(v) + unit
	case "s":
		a := math.Abs(v)
		switch d := time.Duration(v * float64(time.Second)); {
		case !(a < 1e9), v == 0:
			return digits(v) + "s"
		case a >= 60:
			return took(d)
		case a >= 1:
			return digits(v) + "s"
		case a >= 0.001:
			return digits(v*1e3) + "ms"
		}
		return digits(v*1e6) + "µs"
	}
	return digits(v) + " " + unit
}

// digits writes a value with three digits, whole numbers with all.
func digits(v float64) string {
	a := math.Abs(v)
	if a >= 100 || !(a < math.MaxFloat64) {
		return number(math.Round(v))
	}
	if a < 1e-4 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	places := max(0, 2-int(math.Floor(math.Log10(a))))
	s := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// basis says how much a value rests on.
func basis(m pipeline.Measurement) string {
	if m.Samples == nil {
		return ""
	}
	if *m.Samples == 1 {
		return "1 sample"
	}
	return number(*m.Samples) + " samples"
}
