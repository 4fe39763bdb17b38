package stages

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/pipeline/source"
)

// lostGrace is how long new pods that have traffic may all be not ready.
const lostGrace = 2 * time.Second

// argoError is the end of a rollout that Argo itself has ended or stopped.
type argoError struct{ message, hint string }

// Error says what Argo said.
func (e *argoError) Error() string { return e.message }

// Hint says where to look.
func (e *argoError) Hint() string { return e.hint }

// wrong reports what ends the run: somebody else's change, an abort, and new
// pods that cannot serve.
func (r *argoRun) wrong(now ArgoRollout) error {
	switch {
	case !now.Exists:
		return r.drift("", "gone", "there")
	case !SameTemplate(now.Template, r.state.Ours):
		return r.drift(now.By, "at "+imagesOf(now), "at "+r.release.Image)
	case !now.Observed:
		return nil
	case now.PromoteFull && r.Promote.Value != "person":
		return r.drift(now.StatusBy, "promoted in full", "at its steps")
	case now.Aborted && now.Message != "" && strings.Contains(strings.ToLower(now.Message), "analysis"):
		return &argoError{"Argo Rollouts aborted: " + now.Message, "kubectl get analysisruns shows what its own analysis measured"}
	case now.Aborted:
		return r.drift(now.StatusBy, "aborted ("+now.Message+")", "rolling out")
	case slices.Contains(now.Pauses, ArgoInconclusive):
		return &argoError{"Argo Rollouts paused, since its own analysis was inconclusive", "kubectl get analysisruns shows what it measured; nothing is promoted that was not shown to be well"}
	case now.Trouble != nil && now.Fatal:
		return now.Trouble
	case now.Phase == ArgoDegraded:
		return &argoError{"Argo Rollouts gave up: " + now.Message, "the evidence says more about the new pods"}
	}
	return r.lostPods(now)
}

// lostPods reports new pods that have traffic and are all not ready.
func (r *argoRun) lostPods(now ArgoRollout) error {
	if r.weight <= 0 || now.Ready > 0 || now.Replicas == 0 {
		r.lost = time.Time{}
		return nil
	}
	if r.lost.IsZero() {
		r.lost = r.scope.Now()
	}
	if r.scope.Now().Sub(r.lost) < lostGrace {
		return nil
	}
	return &NotReadyError{
		Track: Track{Workload: r.workload(), Name: Canary}, Code: "Lost",
		Cause:  fmt.Sprintf("none of its pods has been ready for %s, while they have traffic", lostGrace),
		Action: "see the evidence: its pods crashed, failed their readiness probe, or were removed",
	}
}

func (r *argoRun) drift(by, found, want string) error {
	return &DriftError{Thing: "rollout " + r.workload().String(), Found: found, Want: want, By: by}
}

func imagesOf(now ArgoRollout) string {
	var all []string
	for _, image := range now.Images {
		all = append(all, image)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// still gives up when nothing has happened for too long, pauses apart.
func (r *argoRun) still(now ArgoRollout) error {
	if len(now.Pauses) > 0 && !now.Paused || now.Paused && now.Observed {
		r.moved = r.scope.Now()
		return nil
	}
	limit := r.Ready.Value
	if r.scope.Now().Sub(r.moved) < limit {
		return nil
	}
	e := &NotReadyError{
		Track: Track{Workload: r.workload(), Name: Canary}, Code: "Timeout",
		Cause:  fmt.Sprintf("nothing has happened for %s: %s", source.FormatDuration(limit), line(now)),
		Action: "look at the evidence above, or raise readyTimeout if it only needs longer",
	}
	if now.Trouble != nil {
		e.Code, e.Cause, e.Action = now.Trouble.Code, e.Cause+"; "+now.Trouble.Cause, now.Trouble.Action
	}
	return e
}

// report tells what the Rollout does: a line whenever it is another one, and
// the weight.
func (r *argoRun) report(now ArgoRollout) {
	if text := line(now); text != r.said {
		r.said, r.moved = text, r.scope.Now()
		deadline := r.moved.Add(r.Ready.Value)
		switch at := now.Step; {
		case len(now.Pauses) == 0:
			r.scope.Awaiting(deadline, "%s", text)
		case at >= 0 && at < len(now.Steps) && now.Steps[at].For > 0:
			r.scope.Waiting(now.Steps[at].For, "%s", text)
		default:
			r.scope.Progress("%s", text)
		}
	}
	if !now.Observed || now.Weight == r.weight || r.weight < 0 && now.Weight == 0 {
		return
	}
	weight := now.Weight
	r.weight = weight
	r.scope.Emit(pipeline.Event{Type: pipeline.TrafficShifted, Name: "rollout " + r.workload().String(), Track: Canary, Weight: &weight})
}

// line says where a Rollout is.
func line(now ArgoRollout) string {
	if !now.Observed {
		return fmt.Sprintf("rollout %s: waiting for its controller to see the change", now.Workload)
	}
	s := fmt.Sprintf("rollout %s: %s", now.Workload, strings.ToLower(now.Phase))
	s += stepText(now)
	s += fmt.Sprintf(", %d of %d new pods ready, %s of the traffic", now.Ready, now.Replicas, percent(math.Round(now.Weight)))
	switch {
	case now.Paused:
		s += "; somebody has paused it (spec.paused)"
	case now.Trouble != nil:
		s += "; " + now.Trouble.Cause
	case now.Message != "" && now.Phase != ArgoPaused:
		s += "; " + now.Message
	}
	return s
}

// stepText is " at step 2 of 5 (pause)".
func stepText(now ArgoRollout) string {
	if now.Step < 0 || now.Step >= len(now.Steps) {
		return ""
	}
	return fmt.Sprintf(" at step %d of %d (%s)", now.Step+1, len(now.Steps), now.Steps[now.Step].Text)
}
