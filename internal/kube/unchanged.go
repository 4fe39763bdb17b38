package kube

import (
	"context"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

var _ stages.Comparer = (*Platform)(nil)

// Unchanged reports whether a track runs a release already, all that its
// manifests hold with it, so that [Platform.SetTrack] would change nothing; see
// [stages.Comparer]. The server is asked by dry runs what it would make of each
// object, so that what it defaults is no difference. Where it does not say,
// there is one.
func (p *Platform) Unchanged(ctx context.Context, t stages.Track, r stages.Release) (bool, error) {
	ns := p.c.ns(t.Workload)
	live, err := p.c.Get(ctx, deployments(), ns, t.Workload.Name)
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, wrap("compare "+t.String()+" with the release", err)
	}
	objs, err := p.objectsFor(ctx, t, r, live)
	if err != nil {
		return false, wrap("compare "+t.String()+" with the release", err)
	}
	if objs.service != nil {
		return false, nil
	}
	next, err := promotion{r, -1}.on(live, objs)
	if err != nil {
		return false, wrap("compare "+t.String()+" with the release", err)
	}
	next.SetResourceVersion("") // Its status may change meanwhile.
	would, err := p.c.Update(ctx, deployments(), next, Write{DryRun: true})
	if err != nil || !sameContent(unsigned(live), unsigned(would)) {
		return false, nil //nolint:nilerr // what is refused is no release that is live
	}
	return p.unchangedOthers(ctx, objs, t), nil
}

// unchangedOthers compares the objects beside the workload.
func (p *Platform) unchangedOthers(ctx context.Context, objs objects, t stages.Track) bool {
	for _, u := range objs.others {
		k, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			return false
		}
		u = place(u, k, p.c.ns(t.Workload))
		now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
		if err != nil || p.changes(ctx, k, now, u) {
			return false
		}
	}
	return true
}

// unsigned is an object without what says who made it, and without what its
// controller counts.
func unsigned(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	a := u.GetAnnotations()
	maps.DeleteFunc(a, func(k, _ string) bool {
		return strings.HasPrefix(k, "headgate.dev/") || strings.HasPrefix(k, "deployment.kubernetes.io/")
	})
	if len(a) == 0 {
		a = nil // An empty mapping would be a difference from none.
	}
	u.SetAnnotations(a)
	return u
}
