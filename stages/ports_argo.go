package stages

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// The phases of a Rollout of Argo Rollouts, as its status has them.
const (
	ArgoHealthy     = "Healthy"
	ArgoDegraded    = "Degraded"
	ArgoProgressing = "Progressing"
	ArgoPaused      = "Paused"
)

// The reasons for which the controller of Argo Rollouts itself pauses.
const (
	ArgoCanaryPause    = "CanaryPauseStep"
	ArgoBlueGreenPause = "BlueGreenPause"
	ArgoInconclusive   = "InconclusiveAnalysis"
)

// ArgoStep is one step of a Rollout's canary.
type ArgoStep struct {
	// Text says what it does, in Argo's words, such as "setWeight 20".
	Text string
	// Pause is set for a pause; For is how long it lasts, 0 where it has no
	// end of its own.
	Pause bool
	For   time.Duration
}

// ArgoRollout is what a Rollout of Argo Rollouts says of itself.
type ArgoRollout struct {
	Workload Workload
	// Exists is false where there is no such Rollout.
	Exists bool
	// Version changes with every write, those of the status included.
	Version string
	// Observed is whether the controller has seen the present specification.
	// Nothing else of the status means anything while it is false.
	Observed bool
	// BlueGreen is false for a canary. Router names what splits the traffic of
	// a canary, "" where the numbers of pods do.
	BlueGreen bool
	Router    string
	Steps     []ArgoStep
	// Ref is the workload whose template the Rollout takes, "" where it has its
	// own.
	Ref string
	// Analyses are those that Argo makes by itself, by the name of their
	// templates.
	Analyses []string
	// Window is spec.rollbackWindow.revisions: so many revisions back are
	// rolled back to without steps.
	Window int
	// AutoPromote is whether a blue/green goes on by itself.
	AutoPromote bool

	// Template is spec.template, and Images those of its containers.
	Template json.RawMessage
	Images   map[string]string
	// Paused is spec.paused, which a person sets.
	Paused bool
	// Replicas is how many pods are wanted; Ready and Available are those of
	// the present template that are.
	Replicas, Ready, Available int

	Phase, Message string
	// Step is the index of the present step, len(Steps) after the last one; -1
	// where there are none.
	Step int
	// Pauses are the reasons for which the controller waits.
	Pauses []string
	// Aborted and PromoteFull are what the status asks the controller for.
	Aborted, PromoteFull bool
	// New and Stable are the hashes of the present template and of the one
	// that was last delivered.
	New, Stable string
	// Weight is the percentage of the traffic that the pods of the present
	// template get: what the router was told, else the pods' ratio.
	Weight float64
	// NewPods and StablePods are PromQL matchers of the pods of the present
	// template and of the delivered one.
	NewPods, StablePods string
	// By and StatusBy are the field managers, other than ourselves and the
	// controller, that last wrote specification and status; "" if not known.
	By, StatusBy string

	// Trouble is why the new pods do not get ready, nil where nothing is known
	// to be wrong; Fatal is whether it has lasted for longer than it may.
	Trouble *NotReadyError
	Fatal   bool
}

// ArgoChange is something that the controller is asked for through the status,
// as Argo's own command line does.
type ArgoChange int

// The changes.
const (
	// ArgoPromote ends the present pause.
	ArgoPromote ArgoChange = iota
	// ArgoPromoteFull skips all pauses, steps and analyses.
	ArgoPromoteFull
	// ArgoAbort gives all traffic back to the stable pods.
	ArgoAbort
	// ArgoReset takes back an abort, and a promotion in full that is done.
	ArgoReset
	// ArgoNudge changes nothing but the status' message, which makes the
	// controller look again: it now and then writes over its own copy of what
	// others wrote at the same moment, and would not see it for minutes.
	ArgoNudge
)

// String returns the word for it.
func (c ArgoChange) String() string {
	switch c {
	case ArgoPromote:
		return "promote"
	case ArgoPromoteFull:
		return "promote in full"
	case ArgoAbort:
		return "abort"
	case ArgoReset:
		return "reset"
	case ArgoNudge:
		return "nudge"
	}
	return "unknown change"
}

// ErrArgoMoved reports that a Rollout is not what it was when it was read.
var ErrArgoMoved = errors.New("the Rollout has changed meanwhile")

// ArgoRollouts is access to the Rollouts of Argo Rollouts.
type ArgoRollouts interface {
	// Read reads one; one that is missing has Exists false and no error.
	Read(ctx context.Context, w Workload) (ArgoRollout, error)
	// Follow calls see with the Rollout as it is, whenever it or its pods
	// change and twice a second, until see returns true or an error.
	Follow(ctx context.Context, w Workload, see func(now ArgoRollout) (done bool, err error)) error
	// SetTemplate makes the template what to says, in one write whose
	// precondition is that it is what from says. Where it is to already,
	// nothing is written; where it is neither, it is a [*DriftError].
	SetTemplate(ctx context.Context, w Workload, from, to json.RawMessage) error
	// SetStatus asks the controller for something. It is refused, with
	// [ErrArgoMoved], when the Rollout is not what now says any more.
	SetStatus(ctx context.Context, now ArgoRollout, c ArgoChange) error
	// Selector returns PromQL matchers of all pods of a Rollout.
	Selector(w Workload) string
}

// ArgoPlatform can be implemented by a [Platform] that may have Rollouts of
// Argo Rollouts.
type ArgoPlatform interface {
	Rollouts() ArgoRollouts
}

// ArgoAccess can be implemented by [ArgoRollouts] to say what its account may
// not do, and what it needs.
type ArgoAccess interface {
	// Refused names what is missing: the definition of the kind, or
	// permissions; "" and "" where nothing is.
	Refused(ctx context.Context, w Workload) (what, hint string, err error)
	Permitter
}

// ArgoDiagnoser can be implemented by [ArgoRollouts] that can tell more about
// the new pods of a Rollout in trouble.
type ArgoDiagnoser interface {
	DiagnoseRollout(ctx context.Context, w Workload) (string, error)
}
