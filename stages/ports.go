package stages

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/headgate-dev/headgate/gates"
	"github.com/headgate-dev/headgate/pipeline"
)

// The tracks of a canary rollout, and those of blue/green.
const (
	Stable = "stable"
	Canary = "canary"
	Blue   = "blue"
	Green  = "green"
)

// Workload names the Deployment that a stage changes.
type Workload struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns "namespace/name".
func (w Workload) String() string { return w.Namespace + "/" + w.Name }

// Track is one copy of a workload: the user's own (stable), or the one with
// the new release that a rollout puts beside it (canary), or one of two that
// take turns (blue and green).
type Track struct {
	// Workload is the user's Deployment, for the canary, too; of a colour, its
	// own Deployment.
	Workload Workload `json:"workload"`
	Name     string   `json:"name"`
	// Peer is the other colour's Deployment, of which a missing one is made;
	// the zero value for tracks that are no colours.
	Peer Workload `json:"peer,omitzero"`
	// Service is the Service of a colour's own, "" where the platform shall
	// find it: the one that selects the colour's pods and not its peer's.
	Service string `json:"service,omitempty"`
}

// Colour reports whether the track is blue or green.
func (t Track) Colour() bool { return t.Name == Blue || t.Name == Green }

// Split says between which tracks a router splits traffic: Old has it, and New
// gets the weight.
type Split struct {
	Old Track `json:"old"`
	New Track `json:"new"`
}

// String returns "namespace/name track".
func (t Track) String() string { return t.Workload.String() + " " + t.Name }

// Live is what a platform shows of a workload's stable track.
type Live struct {
	// Exists is false where there is no such workload yet.
	Exists bool `json:"exists"`
	// Replicas is how many pods are wanted now.
	Replicas int `json:"replicas"`
	// Images are those of its containers, by name.
	Images map[string]string `json:"images,omitempty"`
	// Version changes with every write to the workload's specification; a
	// write that expects it fails when somebody else was faster.
	Version string `json:"version,omitempty"`
	// By is the field manager that last wrote its specification, not counting
	// ourselves; "" if not known.
	By string `json:"by,omitempty"`
	// Surge is how many pods an update of the workload needs beside those it
	// has.
	Surge int `json:"surge,omitempty"`
}

// Release is what a workload shall become.
type Release struct {
	// Image is a reference by digest.
	Image string `json:"image"`
	// Container is the one that gets the image; empty means the only one, or
	// the one whose present image has the same repository.
	Container string `json:"container,omitempty"`
	// Manifests are the rendered objects of the release, the workload's own
	// among them; empty means the live workload with a new image.
	Manifests []json.RawMessage `json:"manifests,omitempty"`
	// Drain is how many seconds pods without a preStop hook shall go on serving
	// after they were told to end; 0 leaves them as they are.
	Drain int `json:"drain,omitempty"`
	// Shared says that the new track's pods are reached by the workload's own
	// Service, with stable's.
	Shared bool `json:"shared,omitempty"`
	// Run is who releases.
	Run pipeline.Info `json:"run"`
}

// Platform runs workloads. Every method that changes something sets a state
// and may be called again; none goes on after ctx has ended.
type Platform interface {
	// Live reads the stable track.
	Live(ctx context.Context, w Workload) (Live, error)
	// SetTrack makes the track run release with so many replicas, with a
	// Service of its own; it does not wait. For the stable track and a colour
	// it makes the workload itself take the release (replicas < 0 leaves their
	// number alone), creating it from the release's manifests where it is
	// missing; a missing colour, from its peer where there are no manifests.
	SetTrack(ctx context.Context, t Track, release Release, replicas int) error
	// AwaitReady waits until all wanted pods of the track are updated, ready
	// and in the endpoints of its Service. It calls report with a line
	// whenever what it waits for changes. A track that cannot get ready is an
	// error that wraps [ErrNotReady] and says why.
	AwaitReady(ctx context.Context, t Track, replicas int, report func(line string)) error
	// RemoveTrack removes what SetTrack made, the pods respecting their grace
	// period. It returns when no pod of the track counts as ready any more and
	// the end of all is certain, whatever becomes of this process; with hurry
	// it does not wait for that. A track that is not there is no error. For
	// the stable track it removes what a first deployment created.
	RemoveTrack(ctx context.Context, t Track, hurry bool) error
	// Selector returns PromQL label matchers, comma-separated and without
	// braces, that select the metrics of the track's pods and no others.
	Selector(t Track) string
}

// ErrNotReady is wrapped by errors about a track that does not get ready.
var ErrNotReady = errors.New("not ready")

// NotReadyError says why a track does not get ready.
type NotReadyError struct {
	Track Track
	// Code is one word for machines, such as ImagePull or CrashLoop.
	Code string
	// Cause is one sentence for people, Action what to do about it.
	Cause, Action string
}

// Error returns code and cause.
func (e *NotReadyError) Error() string {
	return e.Track.String() + " is not ready (" + e.Code + "): " + e.Cause
}

// Unwrap makes errors.Is(err, ErrNotReady) true.
func (e *NotReadyError) Unwrap() error { return ErrNotReady }

// Hint returns the action.
func (e *NotReadyError) Hint() string { return e.Action }

// Diagnoser can be implemented by a [Platform] that can tell more about a
// track in trouble: pods, events, exit codes, last log lines. It is asked
// before a rollback destroys the evidence.
type Diagnoser interface {
	Diagnose(ctx context.Context, t Track) (string, error)
}

// Guard can be implemented by a [Platform] that sees when a track which has
// traffic loses its pods. Metrics do not show that: a pod that is gone answers
// no scrape, and requests that find no pod are counted by nobody.
type Guard interface {
	// Guard watches the track until ctx ends and then returns nil. It returns
	// an error that wraps [ErrNotReady] when no pod of the track is ready for
	// longer than a moment.
	Guard(ctx context.Context, t Track) error
}

// RolloutCheck is what a preflight asks a platform and a router about.
type RolloutCheck struct {
	// Kind is that of the stage: canary, rolling or blueGreen.
	Kind string
	// Split holds the tracks. Both are stable where a rolling update needs
	// but one; New is the idle colour of blue/green.
	Split Split
	// Traffic says what splits the traffic; nil for a rolling update, which
	// nothing does.
	Traffic  *Traffic
	Workload Workload
	Release  Release
	// MaxReplicas is the largest size the new track will have, as a multiple
	// of stable's (1 = as many).
	MaxReplicas float64
	// Service is the one that users reach stable by, "" where the platform
	// shall find it.
	Service string
}

// Checker can be implemented by a [Platform] or a [Router] that can find out
// beforehand whether a rollout would work. It changes nothing.
type Checker interface {
	Check(ctx context.Context, c RolloutCheck) ([]pipeline.Finding, error)
}

// Planner can be implemented by a [Platform] that can say what its writes
// would be, with diffs from a dry run on the server.
type Planner interface {
	// PlanTrack plans SetTrack.
	PlanTrack(ctx context.Context, t Track, release Release, replicas int) ([]pipeline.PlannedWrite, error)
}

// WeightPlanner can be implemented by a [Router] that can say what SetWeight
// would write.
type WeightPlanner interface {
	PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error)
}

// Permitter can be implemented by a [Platform], [Router] or [Flags] to name
// the permissions that a rollout needs.
type Permitter interface {
	Permissions(w Workload) []string
}

// ReleasePermitter can be implemented by a [Platform] that can also name the
// permissions for the objects of a release's manifests.
type ReleasePermitter interface {
	ReleasePermissions(ctx context.Context, t Track, r Release) ([]string, error)
}

// Router splits traffic between the stable track and a new one. Weights are
// percentages, 0 to 100, that the new track gets.
type Router interface {
	// Weight reads what is set now; 0 where the new track has no backend.
	Weight(ctx context.Context) (float64, error)
	// SetWeight makes one write with a precondition and returns when the
	// change has been read back and accepted. It refuses, with a
	// [*DriftError], when the weight is neither from nor to.
	SetWeight(ctx context.Context, from, to float64) error
	// Snapshot returns what Restore needs to make the route what it is now.
	Snapshot(ctx context.Context) (json.RawMessage, error)
	// Restore writes what a snapshot holds, in one write, and verifies it.
	// With the snapshot of before the rollout, all traffic is on stable and
	// no trace of the new track is left.
	Restore(ctx context.Context, was json.RawMessage) error
	// Name is unique among routes, such as "httpRoute shop/user-service".
	Name() string
}

// DriftError reports that somebody else changed what a run works on.
type DriftError struct {
	// Thing is what was changed, Found and Want what is there and should be.
	Thing, Found, Want string
	// By is the field manager that wrote it last, "" if not known.
	By string
}

// Error names the thing and who changed it.
func (e *DriftError) Error() string {
	s := e.Thing + " was changed by somebody else"
	if e.By != "" {
		s = e.Thing + " was changed by " + e.By
	}
	return s + ": it is " + e.Found + ", where this run left " + e.Want
}

// Hint says how the two changes are brought together again.
func (e *DriftError) Hint() string {
	return "undo that change if it was a mistake, and run headgate recover; else leave it, and start a new run once this one has ended"
}

// Flag is a feature flag's record, as far as a ramp needs it.
type Flag struct {
	Name       string          `json:"name"`
	Exists     bool            `json:"exists"`
	Enabled    bool            `json:"enabled"`
	Percentage float64         `json:"percentage"`
	Version    int64           `json:"version"`
	Raw        json.RawMessage `json:"raw,omitempty"`
}

// FlagWrite is one change of a flag.
type FlagWrite struct {
	Name       string
	Percentage float64
	// Enabled is set to true by a ramp and left as it is by others.
	Enabled bool
	// Expect is the version that the write is based on.
	Expect int64
	// Reason and Run go into the audit trail.
	Reason string
	Run    pipeline.Info
}

// Flags is a store of feature flags.
type Flags interface {
	// Get reads a flag; a missing one has Exists false and no error.
	Get(ctx context.Context, name string) (Flag, error)
	// Set writes on the expected version, and returns what is there now. When
	// the flag already is at the wanted percentage, by this run's own earlier
	// write, it is no error. Another version is a [*DriftError].
	Set(ctx context.Context, w FlagWrite) (Flag, error)
	// Restore makes the record's meaning what was holds, under a new version.
	Restore(ctx context.Context, was Flag, reason string) error
}

// Command is a program to run for the user.
type Command struct {
	// Args are the program and its arguments; nothing is interpreted.
	Args []string
	// Dir is where it runs; "" is the current folder.
	Dir string
	// Env holds NAME=value pairs to add to the environment.
	Env []string
	// Stdin is given to it, nil for none.
	Stdin io.Reader
	// Output gets both streams, line by line, without line ends.
	Output func(line string)
	// Stdout, when set, gets the standard output instead of Output.
	Stdout io.Writer
	// Grace is how long the process group may take to end after SIGTERM on
	// timeout or cancel, before it is killed; 0 means 5 s.
	Grace time.Duration
}

// Commands runs programs, each in a process group of its own that is ended
// with it.
type Commands interface {
	// Run waits for the program. A program that ran and failed is a
	// [*ExitError]; when ctx ended, the error is its cause.
	Run(ctx context.Context, c Command) error
	// Find returns the path of a program, or an error that names it.
	Find(name string) (string, error)
}

// ExitError reports a program that ended with a status other than 0.
type ExitError struct {
	Program string
	// Code is the exit status, -1 when a signal ended it.
	Code int
	// Signal names that signal, "" otherwise.
	Signal string
}

// Error names program and status.
func (e *ExitError) Error() string {
	if e.Signal != "" {
		return e.Program + " was ended by " + e.Signal
	}
	return e.Program + " ended with exit code " + strconv.Itoa(e.Code)
}

// Registry looks at images where they are kept.
type Registry interface {
	// Resolve returns the reference by digest of an image given by tag or
	// digest, and an error with the registry's own reason if it is not there.
	Resolve(ctx context.Context, image string) (string, error)
}

// ImageBuilder makes images where they are not built by docker, podman or
// buildah, as in a world of local processes.
type ImageBuilder interface {
	// CheckImage reports why an image, given without tag, cannot be made; what
	// an earlier stage may still have to make is no reason.
	CheckImage(ctx context.Context, image string) error
	// BuildImage makes an image, puts it where [Registry] finds it under tag
	// and digest, and returns the digest, sha256:….
	BuildImage(ctx context.Context, image, tag string) (digest string, err error)
}

// Parts are what stages need of the world. The command line fills it in after
// the file has been read, since addresses stand in the file; a stage that
// runs finds what its preflight asked for.
type Parts struct {
	Platform Platform
	// Router returns the router that splits traffic between two tracks.
	Router func(t Traffic, s Split) (Router, error)
	// RouterOf returns the router that made a snapshot, for putting it back.
	RouterOf func(was json.RawMessage) (Router, error)
	Flags    Flags
	Commands Commands
	Registry Registry
	// Images makes images in place of the tools of this machine; nil is for
	// those.
	Images ImageBuilder
	// Gates answers what the checks of gates ask.
	Gates gates.Providers
	// Manifests reads the objects of a release, rendered, in the order in
	// which they are to be applied. The same files give the same objects.
	Manifests func(ctx context.Context, m Manifests) ([]json.RawMessage, error)
	// Namespace is that of workloads which do not name their own.
	Namespace string
}
