package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headgate-dev/headgate/stages"
)

// endSlack is how much longer than their grace period pods may take to go.
const endSlack = 60 * time.Second

// askAgain is how often it is asked whether something is gone beside watching
// for it: a watch whose connection has died without a word tells nothing.
const askAgain = 2 * time.Second

// errStillThere is why the wait for the end of pods was given up.
var errStillThere = errors.New("the pods are not gone, long after their grace period")

// RemoveTrack removes what SetTrack made; see [stages.Platform]. The Service
// goes after the pods have left it, so that no request is sent to a name that
// is gone.
func (p *Platform) RemoveTrack(ctx context.Context, t stages.Track, hurry bool) error {
	ns, name := p.c.ns(t.Workload), trackName(t)
	u, err := p.c.Get(ctx, deployments(), ns, name)
	if err != nil && !IsNotFound(err) {
		return wrap("remove "+t.String(), err)
	}
	if t.Name != stages.Canary {
		return wrap("remove "+t.String(), p.removeFirst(ctx, u, hurry))
	}
	if u != nil && !ours(u) {
		return fmt.Errorf("remove %s: %w", t, &NotOursError{Thing: describe(deployments(), ns, name)})
	}
	svc, err := p.getOurs(ctx, mapped{gvr: services()}, ns, name)
	if err != nil {
		return wrap("remove "+t.String(), err)
	}
	var inv inventory
	if u != nil {
		inv = readInventory(u)
		// The inventory is on the Deployment, so it has to go first.
		if err := p.removeAll(ctx, inv); err != nil {
			return wrap("remove "+t.String(), err)
		}
		if err := p.end(ctx, u, hurry); err != nil {
			return wrap("remove "+t.String(), err)
		}
	}
	if svc == nil {
		return nil
	}
	return wrap("remove "+t.String(), p.c.Delete(ctx, services(), svc, false))
}

// removeFirst removes a workload that a first deployment, or the first release
// to a colour, made, with all that
// was made for it, and touches no other.
func (p *Platform) removeFirst(ctx context.Context, u *unstructured.Unstructured, hurry bool) error {
	if u == nil {
		return nil
	}
	if _, made := u.GetAnnotations()[inventoryAnnotation]; !made || !ours(u) {
		return &NotOursError{Thing: describe(deployments(), u.GetNamespace(), u.GetName())}
	}
	if err := p.removeAll(ctx, readInventory(u)); err != nil {
		return err
	}
	return p.end(ctx, u, hurry)
}

// end deletes a Deployment and, without hurry, waits until nothing of it
// serves any more.
func (p *Platform) end(ctx context.Context, u *unstructured.Unstructured, hurry bool) error {
	if hurry {
		return p.c.Delete(ctx, deployments(), u, false)
	}
	return p.ending(ctx, u)
}

// ending deletes a Deployment and waits until the end of all that it owns is
// settled: each of its ReplicaSets and pods is gone or bears the mark of its
// deletion. From there Kubernetes alone goes on to the end, whoever dies, no
// ReplicaSet makes another pod, and no pod is counted as ready by a Service.
// To wait for the pods' last second as well would only hold up the run.
func (p *Platform) ending(ctx context.Context, u *unstructured.Unstructured) error {
	ns, name := u.GetNamespace(), u.GetName()
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return fmt.Errorf("read selector of deployment %s: %w", name, err)
	}
	byLabel := metav1.ListOptions{LabelSelector: selector.String()}
	ctx, cancel := context.WithTimeoutCause(ctx, grace(u)+endSlack, errStillThere)
	defer cancel()
	mirrors := p.c.Mirrors(ctx)
	defer mirrors.Close()
	self := mirrors.Add(deployments(), ns, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	sets, ps := mirrors.Add(replicaSets(), ns, byLabel), mirrors.Add(pods(), ns, byLabel)
	if err := p.c.Delete(ctx, deployments(), u, true); err != nil {
		return err
	}
	ask := time.NewTicker(askAgain)
	defer ask.Stop()
	for {
		if away(self, u.GetUID()) || settled(self, sets, ps, u.GetUID()) {
			return nil
		}
		select {
		case <-mirrors.Changed():
		case <-ask.C:
			now, err := p.c.Get(ctx, deployments(), ns, name)
			if IsNotFound(err) || err == nil && now.GetUID() != u.GetUID() {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("delete %s: %w", describe(deployments(), ns, name), context.Cause(ctx))
		}
	}
}

// away reports whether the object of a mirror is known to be gone.
func away(mi *Mirror, uid types.UID) bool {
	us, synced, err := mi.Objects()
	return synced && err == nil && (len(us) == 0 || us[0].GetUID() != uid)
}

// settled reports whether a Deployment, its ReplicaSets and their pods are all
// known to be on their way out.
func settled(self, sets, ps *Mirror, uid types.UID) bool {
	ds, synced, err := self.Objects()
	if !synced || err != nil || len(ds) != 1 || ds[0].GetDeletionTimestamp() == nil {
		return false
	}
	ours := map[types.UID]bool{uid: true}
	for _, mi := range []*Mirror{sets, ps} {
		us, synced, err := mi.Objects()
		if !synced || err != nil {
			return false
		}
		for _, o := range us {
			if !slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return ours[r.UID] }) {
				continue
			}
			if o.GetDeletionTimestamp() == nil {
				return false
			}
			ours[o.GetUID()] = true
		}
	}
	return true
}

// free deletes an object and waits until it and all that it owns are gone,
// so that its name is free. The foreground policy keeps the object until then,
// so that its absence is the proof.
func (p *Platform) free(ctx context.Context, k mapped, u *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeoutCause(ctx, grace(u)+endSlack, errStillThere)
	defer cancel()
	mirrors := p.c.Mirrors(ctx)
	defer mirrors.Close()
	mi := mirrors.Add(k.gvr, u.GetNamespace(), metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", u.GetName()).String()})
	if err := p.c.Delete(ctx, k.gvr, u, true); err != nil {
		return err
	}
	ask := time.NewTicker(askAgain)
	defer ask.Stop()
	for {
		if away(mi, u.GetUID()) {
			return nil
		}
		select {
		case <-mirrors.Changed():
		case <-ask.C:
			now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
			if IsNotFound(err) || err == nil && now.GetUID() != u.GetUID() {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("delete %s: %w", describe(k.gvr, u.GetNamespace(), u.GetName()), context.Cause(ctx))
		}
	}
}

// grace is how long the pods of a Deployment may take to end.
func grace(u *unstructured.Unstructured) time.Duration {
	s, ok, err := unstructured.NestedInt64(u.Object, "spec", "template", "spec", "terminationGracePeriodSeconds")
	if !ok || err != nil {
		s = corev1.DefaultTerminationGracePeriodSeconds
	}
	return time.Duration(s) * time.Second
}
