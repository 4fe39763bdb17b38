package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// setStable makes the user's own Deployment take the release.
func (p *Platform) setStable(ctx context.Context, t stages.Track, r stages.Release, replicas int) error {
	ns := p.c.ns(t.Workload)
	objs, err := readManifests(r, ns, t.Workload.Name)
	if err != nil {
		return fmt.Errorf("set %s: %w", t, err)
	}
	live, err := p.c.Get(ctx, deployments(), ns, t.Workload.Name)
	switch {
	case IsNotFound(err):
		err = p.first(ctx, objs, t, r, replicas)
	case err != nil:
	case firstOf(live, r):
		err = p.first(ctx, objs, t, r, replicas)
	default:
		err = p.promote(ctx, live, objs, t, promotion{r, replicas})
	}
	return wrap("set "+t.String(), err)
}

// firstOf reports whether live was made by the same run, which then goes on
// with what may be half done.
func firstOf(live *unstructured.Unstructured, r stages.Release) bool {
	_, made := live.GetAnnotations()[inventoryAnnotation]
	return made && live.GetAnnotations()[RunAnnotation] == r.Run.ID
}

// first makes a workload that was not there: all that the manifests hold.
func (p *Platform) first(ctx context.Context, objs objects, t stages.Track, r stages.Release, replicas int) error {
	if objs.workload == nil {
		return errNothingLive
	}
	u, err := released(nil, objs, r)
	if err != nil {
		return err
	}
	sign(u, r.Run)
	drain(u, r.Drain)
	if replicas >= 0 {
		set(u.Object, int64(replicas), "spec", "replicas")
	}
	// Even an empty inventory says that this run has made the Deployment.
	if err := (inventory{Objects: []object{}}).writeTo(u); err != nil {
		return err
	}
	missing, err := p.missing(ctx, objs.others, p.c.ns(t.Workload))
	if err != nil {
		return err
	}
	// What others live in must be there before the Deployment itself.
	var housing, rest []*unstructured.Unstructured
	for _, m := range missing {
		if kept(m.GetKind()) {
			housing = append(housing, m)
		} else {
			rest = append(rest, m)
		}
	}
	if err := p.createAll(ctx, housing, r.Run); err != nil {
		return err
	}
	return refusedSleep(p.make(ctx, u, rest, r.Run), r)
}

// promotion is what a live Deployment shall take.
type promotion struct {
	release  stages.Release
	replicas int
}

// promote writes the release into the live Deployment, and before it the other
// objects of its manifests.
func (p *Platform) promote(ctx context.Context, live *unstructured.Unstructured, objs objects, t stages.Track, pr promotion) error {
	canary, err := p.c.Get(ctx, deployments(), live.GetNamespace(), trackName(stages.Track{Workload: t.Workload, Name: stages.Canary}))
	if err != nil && !IsNotFound(err) {
		return err
	}
	if canary != nil && (!ours(canary) || canary.GetDeletionTimestamp() != nil) {
		canary = nil // It has no say, or none any more.
	}
	basis := ""
	if canary != nil {
		basis = canary.GetAnnotations()[basisAnnotation]
	}
	if err := p.applyOthers(ctx, objs.others, t.Workload, pr.release.Run); err != nil {
		return err
	}
	if canary != nil {
		if err := p.adopt(ctx, canary); err != nil {
			return err
		}
	}
	how := taking{promotion: pr, basis: basis}
	if canary != nil && !pr.release.Shared {
		if how.fast, err = p.fast(ctx, live, objs, how); err != nil {
			return err
		}
	}
	return p.take(ctx, live, objs, how)
}

// taking is how a live Deployment takes a release.
type taking struct {
	promotion
	// basis is the version that it must still have, or be the release; "" where
	// any will do.
	basis string
	// fast starts all of the release's pods at once, where the strategy is the
	// user's own; see [hasten].
	fast bool
}

// on returns the live Deployment with the release, at the pace that it shall
// take it.
func (how taking) on(live *unstructured.Unstructured, objs objects) (*unstructured.Unstructured, error) {
	next, err := how.promotion.on(live, objs)
	if err != nil {
		return nil, err
	}
	if objs.workload != nil { // Its strategy is that of the manifest.
		annotate(next, surgeAnnotation, "")
	}
	if how.fast {
		return next, hasten(next)
	}
	return next, ownPace(next)
}

// take writes a release into a live Deployment.
func (p *Platform) take(ctx context.Context, live *unstructured.Unstructured, objs objects, how taking) error {
	for try := 1; ; try++ {
		next, err := how.on(live, objs)
		if err != nil {
			return err
		}
		if how.basis != "" && version(live) != how.basis {
			if err := p.checkDrift(ctx, live, next); err != nil {
				return err
			}
		}
		_, err = p.c.Update(ctx, deployments(), next, Write{})
		if how.fast && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err)) {
			how.fast = false // A policy may not want so many pods at once.
			continue
		}
		if err == nil || !IsConflict(err) || try == conflictTries {
			return refusedSleep(err, how.release)
		}
		if err := pause(ctx, conflictPause); err != nil {
			return err
		}
		was := version(live)
		if live, err = p.c.Get(ctx, deployments(), live.GetNamespace(), live.GetName()); err != nil {
			return err
		}
		if version(live) != was {
			return drift(live, "another specification", "the one read just before")
		}
	}
}

// on returns the live Deployment with the release.
func (pr promotion) on(live *unstructured.Unstructured, objs objects) (*unstructured.Unstructured, error) {
	next, err := released(live, objs, pr.release)
	if err != nil {
		return nil, err
	}
	drain(next, pr.release.Drain)
	if pr.replicas >= 0 {
		set(next.Object, int64(pr.replicas), "spec", "replicas")
	}
	// From now on it is the user's, whoever made it first.
	for _, a := range []string{inventoryAnnotation, RunAnnotation, PipelineAnnotation} {
		annotate(next, a, "")
	}
	return next, nil
}

// checkDrift returns an error when live, which is not what it was when the
// canary was made, is not the release either.
func (p *Platform) checkDrift(ctx context.Context, live, next *unstructured.Unstructured) error {
	next = next.DeepCopy()
	next.SetResourceVersion("") // Status may change meanwhile; nothing is written.
	would, err := p.c.Update(ctx, deployments(), next, Write{DryRun: true})
	if err != nil {
		return err
	}
	if version(would) == version(live) {
		return nil
	}
	return drift(live, "another specification", "the one that the canary was made from")
}

func drift(u *unstructured.Unstructured, found, want string) error {
	return &stages.DriftError{
		Thing: "deployment " + u.GetNamespace() + "/" + u.GetName(),
		Found: found, Want: want, By: LastManager(u),
	}
}

// routeKinds are kinds that split traffic. Once one is there it is left alone,
// since a manifest knows nothing of the weights of a running rollout.
func routed(kind string) bool {
	switch kind {
	case "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "Ingress", "VirtualService", "TraefikService", "IngressRoute":
		return true
	}
	return false
}

// adopt takes from the canary the objects that were made for it, since stable
// needs them from now on, all but its own autoscaler.
func (p *Platform) adopt(ctx context.Context, canary *unstructured.Unstructured) error {
	for try := 1; ; try++ {
		var own inventory
		for _, o := range readInventory(canary).Objects {
			if o.Kind == autoscalerKind && o.Name == canary.GetName() {
				own.Objects = append(own.Objects, o)
			}
		}
		if len(readInventory(canary).Objects) == len(own.Objects) {
			return nil
		}
		next := canary.DeepCopy()
		annotate(next, inventoryAnnotation, "")
		if len(own.Objects) > 0 {
			if err := own.writeTo(next); err != nil {
				return err
			}
		}
		_, err := p.c.Update(ctx, deployments(), next, Write{})
		if err == nil || !IsConflict(err) || try == conflictTries {
			return err
		}
		if canary, err = p.c.Get(ctx, deployments(), canary.GetNamespace(), canary.GetName()); err != nil {
			return err
		}
	}
}
