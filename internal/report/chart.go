package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The size of a chart, in characters, and how many of them there are at most.
const (
	chartWidth  = 60
	chartHeight = 4
	maxCharts   = 5
)

// eighths are the parts of a character's height.
var eighths = []rune(" ▁▂▃▄▅▆▇█")

// charts draws the weights of each track of each route over time. It is text,
// so that it can be read wherever the page is.
func (a *account) charts() []string {
	type line struct{ route, track string }
	var order []line
	shifts := map[line][]trafficAccount{}
	for _, s := range a.traffic {
		k := line{s.route, s.track}
		if shifts[k] == nil {
			order = append(order, k)
		}
		shifts[k] = append(shifts[k], s)
	}
	var all []string
	for _, k := range order {
		if len(all) == maxCharts {
			break
		}
		title := clean(k.track) + prefix(" by ", clean(k.route))
		all = append(all, title+"\n"+chart(shifts[k], a.ended.Sub(a.started)))
	}
	return all
}

// chart draws one line of weights, from the run's beginning to its end.
func chart(shifts []trafficAccount, whole time.Duration) string {
	weights := sample(shifts, whole)
	var b strings.Builder
	for row := chartHeight - 1; row >= 0; row-- {
		var cells strings.Builder
		for _, w := range weights {
			cells.WriteRune(cell(w, row))
		}
		text := fmt.Sprintf("%3d%% │%s", (row+1)*100/chartHeight, cells.String())
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	end := offset(whole)
	b.WriteString("  0% └" + strings.Repeat("─", chartWidth) + "\n")
	b.WriteString("      0:00" + strings.Repeat(" ", max(1, chartWidth-len("0:00")-len(end))) + end + "\n")
	return b.String()
}

// sample returns the highest weight within each column's time, NaN where it
// is not known.
func sample(shifts []trafficAccount, whole time.Duration) []float64 {
	weights := make([]float64, chartWidth)
	now, next := 0.0, 0
	for i := range weights {
		until := whole * time.Duration(i+1) / chartWidth
		most := now
		for next < len(shifts) && (shifts[next].at < until || i == chartWidth-1) {
			now = math.NaN()
			if w := shifts[next].weight; w != nil {
				now = min(max(*w, 0), 100)
			}
			if most = max(most, now); math.IsNaN(most) {
				most = now
			}
			next++
		}
		weights[i] = most
	}
	return weights
}

// cell is what stands in one row of a column, the lowest row being 0.
func cell(weight float64, row int) rune {
	if math.IsNaN(weight) {
		if row == 0 {
			return '?'
		}
		return ' '
	}
	const step = 100.0 / chartHeight
	filled := (weight - float64(row)*step) / step * float64(len(eighths)-1)
	n := int(math.Round(min(max(filled, 0), float64(len(eighths)-1))))
	if n == 0 && filled > 0 {
		n = 1 // a small weight is seen
	}
	return eighths[n]
}
