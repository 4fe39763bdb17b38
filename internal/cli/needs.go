package cli

import (
	"fmt"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
	"github.com/headgate-dev/headgate/stages"
)

// needs reports stages and checks that ask what the file gives no address of.
// The packages that declare them do not know each other's sections.
func needs(p *pipeline.Pipeline) source.Problems {
	var all source.Problems
	report := func(at source.Pos, message, hint string) {
		all = append(all, source.Problem{Message: message, Hint: hint}.In(p.File, at))
	}
	if _, ok := pipeline.SectionOf[*redisSection](p, redisKey); !ok {
		for _, st := range p.Stages {
			if _, asks := st.Task.(*stages.FlagStage); asks {
				report(st.Pos, fmt.Sprintf("stage %q changes a flag, and the file does not say which Redis holds it", st.Name),
					"add redis: {url: ...} at the top of the file")
			}
		}
	}
	declared, _ := pipeline.SectionOf[*gates.Section](p, gates.Key)
	if declared == nil || namesMetrics(p) {
		return all
	}
	for name, g := range declared.All() {
		for _, c := range g.Checks {
			if c.Metrics() {
				report(c.Pos, fmt.Sprintf("gate %q asks for metrics, and the file does not say which Prometheus has them", name),
					"add prometheus: {url: ...} at the top of the file")
				break
			}
		}
	}
	return all
}
