package kube

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// Settings say how patient a [Platform] is. The zero value means the defaults
// that stand at each.
type Settings struct {
	// ReadyTimeout is how long a track may take to get ready where the context
	// has no deadline: 10 minutes.
	ReadyTimeout time.Duration
	// NoProgress is how long nothing may happen meanwhile: 2 minutes. While
	// images are pulled, and where probes are declared to take longer, the
	// Deployment's own progressDeadlineSeconds counts instead.
	NoProgress time.Duration
	// Restarts is how many times a container may end and be started again
	// before its track is given up: 2, so that one may wait for another. Less
	// than 0 means none.
	Restarts int
}

func (s Settings) withDefaults() Settings {
	s.ReadyTimeout = cmp.Or(s.ReadyTimeout, 10*time.Minute)
	s.NoProgress = cmp.Or(s.NoProgress, 2*time.Minute)
	s.Restarts = max(cmp.Or(s.Restarts, 2), 0)
	return s
}

// Platform runs workloads that are Deployments. The stable track is the user's
// own Deployment; the canary is another one beside it, with a Service of its
// own, whose pods carry one changed label value.
type Platform struct {
	c   *Cluster
	set Settings
}

var (
	_ stages.Platform  = (*Platform)(nil)
	_ stages.Diagnoser = (*Platform)(nil)
	_ stages.Checker   = (*Platform)(nil)
	_ stages.Planner   = (*Platform)(nil)
	_ stages.Permitter = (*Platform)(nil)
	_ stages.Guard     = (*Platform)(nil)
	_ stages.Restorer  = (*Platform)(nil)
	_ stages.Resizer   = (*Platform)(nil)
	_ stages.Scaler    = (*Platform)(nil)
	_ stages.Drainer   = (*Platform)(nil)
	_ stages.Pacer     = (*Platform)(nil)

	_ stages.Revisioner = (*Platform)(nil)
)

// Platform returns the workloads of the cluster.
func (c *Cluster) Platform(s Settings) *Platform { return &Platform{c: c, set: s.withDefaults()} }

// ns returns the namespace of a workload.
func (c *Cluster) ns(w stages.Workload) string { return cmp.Or(w.Namespace, c.namespace) }

// trackName returns the name of a track's Deployment.
func trackName(t stages.Track) string {
	if t.Name != stages.Canary {
		return t.Workload.Name
	}
	return CanaryName(t.Workload.Name)
}

// Live reads the stable track. The version does not change with the number of
// replicas, which is an autoscaler's to change.
func (p *Platform) Live(ctx context.Context, w stages.Workload) (stages.Live, error) {
	u, err := p.c.Get(ctx, deployments(), p.c.ns(w), w.Name)
	if IsNotFound(err) {
		return stages.Live{}, nil
	}
	if err != nil {
		return stages.Live{}, err
	}
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return stages.Live{}, err
	}
	live := stages.Live{
		Exists: true, Replicas: wantedReplicas(d), Version: version(u), By: LastManager(u),
		Surge: int(promotionNeeds(d)), Images: map[string]string{},
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		live.Images[c.Name] = c.Image
	}
	return live, nil
}

// wantedReplicas is spec.replicas, whose default is 1.
func wantedReplicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

// version is a checksum of what a Deployment is and says, apart from its size.
func version(u *unstructured.Unstructured) string {
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	delete(spec, "replicas")
	b, err := json.Marshal(spec) // Sorts keys.
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(u.GetUID()+"\n"), b...))
	return hex.EncodeToString(sum[:8])
}

// getOurs reads an object that Headgate is about to change or remove; nil when
// there is none, and an error when it is somebody else's.
func (p *Platform) getOurs(ctx context.Context, k mapped, namespace, name string) (*unstructured.Unstructured, error) {
	u, err := p.c.Get(ctx, k.gvr, namespace, name)
	switch {
	case IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case !ours(u):
		return nil, &NotOursError{Thing: describe(k.gvr, namespace, name)}
	}
	return u, nil
}

// NotOursError reports an object that has the name of one that Headgate would
// make, and was not made by it.
type NotOursError struct {
	// Thing is the object, such as "deployments shop-canary in shop".
	Thing string
}

// Error names the object.
func (e *NotOursError) Error() string {
	return fmt.Sprintf("%s exists and was not made by headgate (no annotation %s)", e.Thing, RunAnnotation)
}

// Hint says what to do about it.
func (e *NotOursError) Hint() string {
	return "rename or delete it; headgate needs this name for the canary and changes nothing that it has not made"
}
