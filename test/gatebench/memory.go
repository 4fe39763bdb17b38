package gatebench

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/headgate-dev/headgate/gates/stats"
)

// memory is M1: pods that need more memory. Pods differ among each other, and
// samples of one pod hang together.
func memory() Line {
	title := "pods that use more"
	note := "Memory of 3 canary and 9 stable pods, with a spread of 10 % from pod to pod and samples of one pod that follow each other. One look."
	return Line{"M1", title, note, func(ctx context.Context, runs int) (Section, error) {
		s := Section{ID: "M1", Title: title, Note: note, Head: []string{"rollout", "**default**", "Kayenta, mean of pods"}}
		var all judgements
		for _, c := range []struct {
			name string
			more float64
			want Want
		}{{"like stable", 1, AtMost(0.01)}, {"half as much again", 1.5, AtLeast(0.95)}} {
			var ours, kayenta Tally
			for run := range runs {
				if err := context.Cause(ctx); err != nil {
					return s, err
				}
				r := Random("memory, "+c.name, run)
				canary, stable := usage(r, 3, c.more), usage(r, 9, 1)
				j := stats.JudgeGauges(medians(canary), medians(stable), stats.GaugeRule{Alpha: 0.01})
				look := Ruling{j.Worse, 15 * time.Second}
				ours.add(Verdict{Ruling: look})
				kayenta.add(Verdict{Ruling: Ruling{High(means(stable), means(canary)), 5 * time.Minute}})
			}
			s.Rows = append(s.Rows, []string{c.name, percent(ours.Share()), percent(kayenta.Share())})
			all.want(c.name, c.name, c.want, ours)
		}
		s.Goals = all.goals()
		return s, nil
	}}
}

// usage is what pods use, 20 samples each.
func usage(r *rand.Rand, pods int, times float64) [][]float64 {
	const samples, spread, noise, memory = 20, 0.1, 0.02, 0.8
	out := make([][]float64, pods)
	for i := range out {
		level, drift := times*100*(1+spread*r.NormFloat64()), noise*r.NormFloat64()
		for range samples {
			drift = memory*drift + noise*math.Sqrt(1-memory*memory)*r.NormFloat64()
			out[i] = append(out[i], max(1, level*(1+drift)))
		}
	}
	return out
}

func medians(pods [][]float64) []float64 {
	out := make([]float64, len(pods))
	for i, samples := range pods {
		out[i] = stats.Median(samples)
	}
	return out
}

// means are the means of all pods at each time.
func means(pods [][]float64) []float64 {
	out := make([]float64, len(pods[0]))
	for _, samples := range pods {
		for i, v := range samples {
			out[i] += v / float64(len(pods))
		}
	}
	return out
}
