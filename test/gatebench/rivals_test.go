package gatebench_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/headgate-dev/headgate/test/gatebench"
)

// The rules of others must roll back as often as an independent simulation of
// them in another language did, with 3000 or 5000 runs a cell.
func TestRivalsRollBackAsOftenAsTheyDoElsewhere(t *testing.T) {
	tests := []struct {
		stable, canary, rate float64
		// want is in percent, in the order of Rivals.
		want [5]float64
	}{
		{0.01, 0.01, 1, [5]float64{9.98, 26.28, 2.28, 0.26, 0}},
		{0.01, 0.01, 100, [5]float64{0, 0, 0, 54.16, 0.1}},
		{0.05, 0.05, 10, [5]float64{80.76, 97.98, 69.12, 99.94, 0.1}},
		{0.2, 0.2, 1, [5]float64{100, 99.82, 95.16, 88.06, 0}},
		{0.001, 0.01, 100, [5]float64{0, 0, 0, 53, 70}},
		{0.01, 0.02, 10, [5]float64{0, 44, 1.5, 88, 0}},
		{0.01, 0.02, 100, [5]float64{0, 0.1, 0, 100, 63}},
		{0.05, 0.5, 1, [5]float64{100, 100, 100, 99.9, 36}},
		{0.001, 0.05, 100, [5]float64{49, 99, 75, 100, 100}},
		{0, 1, 10, [5]float64{100, 100, 100, 100, 100}},
	}
	for _, test := range tests {
		name := fmt.Sprintf("%v to %v at %v", test.stable, test.canary, test.rate)
		t.Run(name, func(t *testing.T) {
			const runs = 300
			s := gatebench.Plain(name, test.rate, test.stable, test.canary)
			s.History = 4
			var got [5]int
			for run := range runs {
				trace := s.Draw(run)
				for i, rule := range gatebench.Rivals() {
					if rule.Judge(trace).RolledBack {
						got[i]++
					}
				}
			}
			for i, rule := range gatebench.Rivals() {
				p := test.want[i] / 100
				percent := float64(got[i]) / runs * 100
				// Four standard errors; Kayenta's 98 % interval moves by as much
				// again with the accuracy of its root.
				if slack := 400*math.Sqrt(p*(1-p)/runs) + 1.5; math.Abs(percent-test.want[i]) > slack {
					t.Errorf("%s rolled back %.1f %%, want %.1f ± %.1f", rule.Name, percent, test.want[i], slack)
				}
			}
		})
	}
}

func TestKayentaDecidesAsReported(t *testing.T) {
	points := func(high int) []float64 {
		v := make([]float64, 10)
		for i := range v {
			v[i] = 1
			if i < high {
				v[i] = 100
			}
		}
		return v
	}
	flat := points(0)
	for _, test := range []struct {
		name                string
		control, experiment []float64
		want                bool
	}{
		{"7 of 10 points a hundredfold pass", flat, points(7), false},
		{"8 of 10 points a hundredfold are high", flat, points(8), true},
		{"the same values", points(3), points(3), false},
		{"no values", flat, nil, false},
		{"two constants", flat, points(10), true},
		{"lower", points(10), flat, false},
	} {
		if got := gatebench.High(test.control, test.experiment); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestNumbersHaveTheirMeanAndVariance(t *testing.T) {
	const n = 40000
	for _, test := range []struct {
		name           string
		mean, variance float64
		draw           func(run int) int64
	}{
		{"Poisson 0.3", 0.3, 0.3, func(r int) int64 { return gatebench.Poisson(gatebench.Random("a", r), 0.3) }},
		{"Poisson 12", 12, 12, func(r int) int64 { return gatebench.Poisson(gatebench.Random("b", r), 12) }},
		{"Poisson 13500", 13500, 13500, func(r int) int64 { return gatebench.Poisson(gatebench.Random("c", r), 13500) }},
		{"binomial 150, 1 %", 1.5, 1.485, func(r int) int64 { return gatebench.Binomial(gatebench.Random("d", r), 150, 0.01) }},
		{"binomial 1500, 5 %", 75, 71.25, func(r int) int64 { return gatebench.Binomial(gatebench.Random("e", r), 1500, 0.05) }},
		{"binomial 1500, 95 %", 1425, 71.25, func(r int) int64 { return gatebench.Binomial(gatebench.Random("f", r), 1500, 0.95) }},
		{"binomial 15, 50 %", 7.5, 3.75, func(r int) int64 { return gatebench.Binomial(gatebench.Random("g", r), 15, 0.5) }},
	} {
		var sum, squares float64
		for run := range n {
			d := float64(test.draw(run)) - test.mean
			sum, squares = sum+d, squares+d*d
		}
		if off := sum / n; math.Abs(off) > 5*math.Sqrt(test.variance/n) {
			t.Errorf("%s: the mean is off by %.4f", test.name, off)
		}
		if ratio := squares / n / test.variance; math.Abs(ratio-1) > 0.05 {
			t.Errorf("%s: the variance is %.3f of what it should be", test.name, ratio)
		}
	}
}
