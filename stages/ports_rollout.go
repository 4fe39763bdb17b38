package stages

import (
	"context"
	"encoding/json"
	"fmt"
)

// Restorer can be implemented by a [Platform] that can put a workload back to
// what it was. Stages that change a workload in place (rolling, and the idle
// colour of blue/green) need it.
type Restorer interface {
	// SaveTrack returns what RestoreTrack needs to make the track's workload,
	// and the objects that the release's manifests would change with it, what
	// they are now. It changes nothing. A workload that is missing is no
	// error: RestoreTrack then removes it again.
	SaveTrack(ctx context.Context, t Track, release Release) (json.RawMessage, error)
	// RestoreTrack sets what was saved, as often as it is called, whoever has
	// changed the workload meanwhile; its number of replicas becomes what it
	// was, but never less than it is now while it is the stable track (an
	// autoscaler may have raised it). It returns when the former pods are
	// ready and no others of the track are; with hurry once the write is
	// accepted.
	RestoreTrack(ctx context.Context, was json.RawMessage, hurry bool) error
}

// Comparer can be implemented by a [Platform] that can tell whether a release
// with manifests is live already.
type Comparer interface {
	// Unchanged reports whether the track, which is the workload's own or a
	// colour, runs the release, and all that its manifests hold is in the
	// cluster as they say, so that SetTrack would change nothing but its size.
	// Where that cannot be known it is false. It changes nothing.
	Unchanged(ctx context.Context, t Track, release Release) (bool, error)
}

// Autoscaler is what changes the number of a workload's pods.
type Autoscaler struct {
	// Kind is HorizontalPodAutoscaler or ScaledObject, "" where nothing scales
	// the workload.
	Kind string `json:"kind,omitempty"`
	// Workload is what it scales.
	Workload  Workload `json:"workload"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"`
	// Min and Max bound the number of pods.
	Min int `json:"min"`
	Max int `json:"max"`
}

// Exists reports whether there is one.
func (a Autoscaler) Exists() bool { return a.Kind != "" }

// String returns "kind namespace/name".
func (a Autoscaler) String() string { return fmt.Sprintf("%s %s/%s", a.Kind, a.Namespace, a.Name) }

// Scaler can be implemented by a [Platform] whose workloads may be autoscaled.
// While a rollout goes on, the minimum of the autoscaler is held at the size
// that the workload had; a canary gets a copy of it with SetTrack, which goes
// with RemoveTrack.
type Scaler interface {
	// Autoscaler reads what scales the workload.
	Autoscaler(ctx context.Context, w Workload) (Autoscaler, error)
	// SetMinimum changes the minimum of an autoscaler from one number to
	// another, and nothing else. It refuses, with a [*DriftError], when the
	// minimum is neither; one that is gone is a [*DriftError], too.
	SetMinimum(ctx context.Context, a Autoscaler, from, to int) error
}

// Drainer can be implemented by a [Platform] that can make a workload's pods
// go on serving for a while after they were told to end: those of apps that
// neither have a preStop hook nor end gracefully.
type Drainer interface {
	// Drains reads how long, in whole seconds, the pods of the workload's
	// present template go on serving, 0 where no preStop hook says so.
	Drains(ctx context.Context, w Workload) (seconds int, err error)
}

// Sizer can be implemented by a [Router] that splits by numbers of pods.
type Sizer interface {
	// Pods returns how many pods old and new must have for a weight, 0 to 100,
	// where size pods carry all traffic. The new track must have its number
	// before SetWeight, which itself sees to the old one's.
	Pods(weight float64, size int) (old, new int)
}

// Resizer can be implemented by a [Platform] that can change the number of a
// track's pods without touching what they run.
type Resizer interface {
	// Size reads how many pods the track is wanted to have now, 0 where it is
	// not there.
	Size(ctx context.Context, t Track) (int, error)
	// Resize sets it; it does not wait.
	Resize(ctx context.Context, t Track, replicas int) error
}

// Pacer can be implemented by a [Platform] whose SetTrack makes the stable track
// take a release faster than its own rules say while a canary stands in for it.
type Pacer interface {
	// OwnPace makes the track's rules what they were. It does not wait, a track
	// that has its own rules is left alone, and twice is no error.
	OwnPace(ctx context.Context, t Track) error
}

// Revisioner can be implemented by a [Platform] that can tell the pods of a
// track's present release from those of a former one while both run, as in a
// rolling update.
type Revisioner interface {
	// SelectorNow returns PromQL label matchers, comma-separated and without
	// braces, of the pods that the track's present template makes, and of no
	// others. It waits, within ctx, until the platform knows them.
	SelectorNow(ctx context.Context, t Track) (string, error)
}

// Tidier can be implemented by a [Platform] that leaves things of former
// releases behind, such as versions of ConfigMaps and Secrets.
type Tidier interface {
	// Tidy removes what former releases of the track have left and nothing
	// refers to any more. It is called when nothing will be put back.
	Tidy(ctx context.Context, t Track) error
}

// Settler can be implemented by a [Router] of blue/green that leaves something
// of its own, or of the old colour, in the route. Blue/green calls it at finish.
type Settler interface {
	// Settle leaves all traffic on the new track as if it had always been
	// there: no backend of the old track, no rules for matches, no objects of
	// the router's own. It refuses, with a [*DriftError], when the new track
	// does not have all traffic, and may be called again; [Router.Weight] of
	// the same split is 100 afterwards, and [Router.Restore] still works.
	Settle(ctx context.Context) error
}
