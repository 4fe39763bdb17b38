package stages_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/pipeline"
)

// TestPlansOfRollouts keeps what plans and preflights of rollouts say where somebody
// reviews it.
func TestPlansOfRollouts(t *testing.T) {
	cases := []struct {
		name, file string
		town       func() *town
	}{
		{"rolling, pods without a hook", rollingFile, func() *town { return newTown(stableAt) }},
		{"rolling, drain for the first time", rollingFile + "      drain: 5s\n", func() *town { return newTown(stableAt) }},
		{"rolling, nothing there", rollingFile, func() *town { return newTown() }},
		{"blue/green, nothing there", baked, func() *town { return newTown() }},
		{"blue/green in steps, with a preview", stepped + "      preview: {service: preview}\n      idleReplicas: 1\n", func() *town { return newTown(blueAt) }},
		{"blue/green, traffic on both", baked, func() *town {
			w := newTown(blueAt, greenAt)
			w.routes[mainRoute] = map[string]float64{blueAt: 50, greenAt: 50}
			return w
		}},
	}
	var all strings.Builder
	for _, tc := range cases {
		synctest.Test(t, func(t *testing.T) {
			w := tc.town()
			plans, findings := w.runner(t, &outing{file: tc.file, diary: &diary{town: w}}).Plan(t.Context())
			fmt.Fprintf(&all, "%s\n", tc.name)
			for _, write := range plans[0].Plan.Writes {
				fmt.Fprintf(&all, "  %s: %s %s: %s\n", write.After, write.Verb, write.Thing, write.Summary)
			}
			for _, f := range findings {
				fmt.Fprintf(&all, "  %s: %s\n    %s\n", kindOf(f), f.Message, f.Hint)
			}
		})
	}
	golden.EqualFile(t, "testdata/rollouts.txt", []byte(all.String()))
}

func kindOf(f pipeline.Finding) string {
	if f.Warning {
		return "warning"
	}
	return "error"
}
