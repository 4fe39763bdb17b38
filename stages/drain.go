package stages

import (
	"context"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// draining is a workload whose pods end while users reach them by its Service
// alone.
type draining struct {
	workload Workload
	live     Live
	// key is where the file says how long pods go on serving, and set whether
	// it does.
	key string
	set bool
	at  source.Pos
}

// preflightDrain warns of pods that end at once when they are told to: what
// sends them requests hears of it later than they do.
func (p *Parts) preflightDrain(ctx context.Context, d draining) []pipeline.Finding {
	drainer, ok := p.Platform.(Drainer)
	if !ok || !d.live.Exists || d.live.Replicas == 0 {
		return nil
	}
	seconds, err := drainer.Drains(ctx, d.workload)
	switch {
	case err != nil:
		return []pipeline.Finding{finding(d.at, err)}
	case seconds > 0:
		return nil
	}
	f := pipeline.Finding{
		Pos: d.at, Warning: true,
		Message: fmt.Sprintf("the pods of %s have no preStop hook: unless the app itself goes on serving for a while, requests are lost as they end; %s: 5s keeps them serving", d.workload, d.key),
		Hint: fmt.Sprintf("write %s: 5s, which gives the pods of this release such a hook, for the releases after it; it costs 5 s for the last pod to end, and the room for up to %d pods that are ending meanwhile",
			d.key, d.live.Replicas),
	}
	if d.set {
		f.Message = fmt.Sprintf("the pods of %s that run now have no preStop hook: unless the app itself goes on serving for a while, requests are lost as they end, in this release for the last time", d.workload)
		f.Hint = fmt.Sprintf("it is so for this release alone: %s gives its pods such a hook, and the next one loses nothing; to lose nothing now, use a router", d.key)
	}
	return []pipeline.Finding{f}
}
