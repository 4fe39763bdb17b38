package stages

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/headgate-dev/headgate/pipeline"
)

// basis is the stable track as it was when the rollout began: the live one,
// or, for a rollout that another process of the run has begun, the one in the
// journal. An autoscaler may have changed the size since, and a canary with
// traffic must not be made smaller for that.
func (c *CanaryStage) basis(s *pipeline.Scope, live Live) (basis trackState, begun bool, err error) {
	basis = trackState{Size: live.Replicas, Version: live.Version}
	was, begun := s.Was(c.trackThing())
	if begun {
		var journaled trackState
		if err := json.Unmarshal(was, &journaled); err != nil {
			return basis, begun, fmt.Errorf("read the journal's track: %w", err)
		}
		if journaled.Size > 0 {
			basis = journaled
		}
	}
	basis.Size = max(1, basis.Size)
	return basis, begun, nil
}

// unchanged fails when somebody else has changed the workload since the rollout
// began. The promotion would refuse to overwrite that, when it is too late to
// go back. A workload that is gone is no place to go back to: the canary, which
// the gate finds well, is then the only one that serves.
func (r *canaryRun) unchanged(ctx context.Context) error {
	live, err := r.parts.Platform.Live(ctx, r.workload())
	switch {
	case err != nil:
		return err
	case !live.Exists:
		r.scope.Warn("deployment %s was removed by somebody else; the canary goes on, since nothing else serves", r.workload())
		return nil
	case live.Version == r.version:
		// An autoscaler may have raised it; the canary is to follow.
		r.size = max(r.size, live.Replicas)
	default:
		return &DriftError{
			Thing: "deployment " + r.workload().String(), By: live.By,
			Found: "another specification", Want: "the one that the canary was made from",
		}
	}
	return nil
}
