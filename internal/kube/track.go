package kube

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// conflictTries is how often a write is made anew on what was read anew, and
// conflictPause what lies between: controllers write a status many times while
// a rollout goes on.
const (
	conflictTries = 10
	conflictPause = 20 * time.Millisecond
)

// SetTrack makes a track run a release with so many replicas; see
// [stages.Platform].
func (p *Platform) SetTrack(ctx context.Context, t stages.Track, r stages.Release, replicas int) error {
	if t.Name == stages.Stable {
		return p.setStable(ctx, t, r, replicas)
	}
	if t.Colour() {
		return wrap("set "+t.String(), p.setColour(ctx, t, r, replicas))
	}
	if replicas < 0 {
		return fmt.Errorf("set %s: %d replicas make no sense", t, replicas)
	}
	want, err := p.canary(ctx, t, r, replicas)
	if err != nil {
		return fmt.Errorf("set %s: %w", t, err)
	}
	if err := want.check(ctx, p); err != nil {
		return fmt.Errorf("set %s: %w", t, err)
	}
	if want.scaleOnly {
		return wrap("set "+t.String(), p.scale(ctx, want))
	}
	if want.service != nil { // First, so that a pod is in its endpoints at once.
		if _, err := p.write(ctx, want.service, Write{}); err != nil {
			return fmt.Errorf("set %s: %w", t, err)
		}
	}
	if err := p.make(ctx, want.deployment, want.missing, r.Run); err != nil || want.autoscaler == nil {
		return wrap("set "+t.String(), err)
	}
	_, err = p.write(ctx, want.autoscaler, Write{})
	return wrap("set "+t.String(), err)
}

// scale changes the size of the run's canary, and the minimum of its
// autoscaler with it. The Deployment comes first: its inventory lists the
// autoscaler, which may still have to be made.
func (p *Platform) scale(ctx context.Context, w wanted) error {
	_, err := p.write(ctx, w.deployment, Write{})
	if err != nil || w.autoscaler == nil {
		return err
	}
	_, err = p.write(ctx, w.autoscaler, Write{})
	return err
}

// wanted is what a canary track shall be.
type wanted struct {
	deployment *unstructured.Unstructured
	// service is nil where no Service selects stable's pods.
	service *unstructured.Unstructured
	// missing are objects of the manifests that the cluster does not have.
	missing []*unstructured.Unstructured
	// autoscaler is nil where stable has none.
	autoscaler *unstructured.Unstructured
	// scaleOnly says that the run's canary is there and only its size changes.
	scaleOnly bool
	mark      mark
}

// canary works out what the canary track shall be.
func (p *Platform) canary(ctx context.Context, t stages.Track, r stages.Release, replicas int) (wanted, error) {
	ns := p.c.ns(t.Workload)
	now, err := p.getOurs(ctx, mapped{gvr: deployments()}, ns, trackName(t))
	if err != nil {
		return wanted{}, err
	}
	if now != nil && now.GetAnnotations()[RunAnnotation] == r.Run.ID &&
		now.GetDeletionTimestamp() == nil && hasImage(now, r) && readInventory(now).complete() {
		// What the pods are was settled when this run made them; making it
		// anew from a stable that was changed since would replace them.
		now = now.DeepCopy()
		was := replicasIn(now.Object)
		set(now.Object, int64(replicas), "spec", "replicas")
		w := wanted{deployment: now, scaleOnly: true}
		if err := p.autoscale(ctx, &w, t.Workload, r); err != nil {
			return wanted{}, err
		}
		if w.autoscaler != nil && was > replicas { // Found necessary by its autoscaler.
			set(now.Object, int64(was), "spec", "replicas")
		}
		return w, nil
	}
	live, err := p.c.Get(ctx, deployments(), ns, t.Workload.Name)
	if err != nil && !IsNotFound(err) {
		return wanted{}, err
	}
	objs, err := readManifests(r, ns, t.Workload.Name)
	if err != nil {
		return wanted{}, err
	}
	base, err := released(live, objs, r)
	if err != nil {
		return wanted{}, err
	}
	drain(base, r.Drain)
	svcs, err := p.theirServices(ctx, ns)
	if err != nil {
		return wanted{}, err
	}
	w, err := builder(r)(base, svcs, t, replicas)
	if err != nil {
		return wanted{}, err
	}
	for _, u := range []*unstructured.Unstructured{w.deployment, w.service} {
		if u != nil {
			u.SetNamespace(ns)
			sign(u, r.Run)
		}
	}
	if live != nil {
		annotate(w.deployment, basisAnnotation, version(live))
	}
	if err := p.autoscale(ctx, &w, t.Workload, r); err != nil {
		return wanted{}, err
	}
	w.missing, err = p.missing(ctx, forPods(objs.others), ns)
	return w, err
}

// theirServices lists the Services of a namespace that are not of Headgate's
// making.
func (p *Platform) theirServices(ctx context.Context, ns string) ([]*unstructured.Unstructured, error) {
	l, err := p.c.List(ctx, services(), ns, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for i := range l.Items {
		// The Services of tracks carry a label. Those that a first deployment
		// created are the user's, although Headgate made them.
		if u := &l.Items[i]; u.GetLabels()[TrackLabel] != stages.Canary {
			u.SetAPIVersion("v1") // Items of a list may come without.
			u.SetKind("Service")
			out = append(out, u)
		}
	}
	return out, nil
}

// buildCanary makes the canary's objects from stable's: pure.
func buildCanary(base *unstructured.Unstructured, raw []*unstructured.Unstructured, t stages.Track, replicas int) (wanted, error) {
	d, err := decode[appsv1.Deployment](base)
	if err != nil {
		return wanted{}, err
	}
	svcs, err := decodeAll[corev1.Service](raw)
	if err != nil {
		return wanted{}, err
	}
	if d.Spec.Selector == nil {
		return wanted{}, fmt.Errorf("deployment %s has no selector", base.GetName())
	}
	labels := d.Spec.Template.Labels
	m, err := chooseMark(d.Spec.Selector.MatchLabels, labels, svcs)
	if err != nil {
		return wanted{}, err
	}
	w := wanted{mark: m}
	if w.deployment, err = canaryDeployment(base, m, t, replicas); err != nil {
		return wanted{}, err
	}
	stable := selectingAll(svcs, labels)
	front, ok := frontService(stable, t.Workload.Name)
	if !ok {
		return w, nil
	}
	i := slices.IndexFunc(raw, func(u *unstructured.Unstructured) bool { return u.GetName() == front.Name })
	w.service, err = canaryService(raw[i], stable, m, t)
	return w, err
}

// hasImage reports whether a Deployment runs the release's image.
func hasImage(u *unstructured.Unstructured, r stages.Release) bool {
	was := u.DeepCopy()
	if err := setImage(was, r); err != nil {
		return false
	}
	return reflect.DeepEqual(was.Object, u.Object)
}

// check makes sure, before the first write, that no object in the way is
// somebody else's.
func (w wanted) check(ctx context.Context, p *Platform) error {
	if w.autoscaler != nil {
		if _, err := p.getOurs(ctx, mapped{gvr: autoscalers()}, w.autoscaler.GetNamespace(), w.autoscaler.GetName()); err != nil {
			return err
		}
	}
	if w.service == nil {
		return nil
	}
	_, err := p.getOurs(ctx, mapped{gvr: services()}, w.service.GetNamespace(), w.service.GetName())
	return err
}

// write makes an object of ours what u says, whether it is there or not. What
// the server or other programs have added to it stays.
func (p *Platform) write(ctx context.Context, u *unstructured.Unstructured, how Write) (*unstructured.Unstructured, error) {
	k, err := p.c.mapping(ctx, u.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		got, err := p.writeOnce(ctx, k, u, how)
		if apierrors.IsInvalid(err) && k.gvr == deployments() {
			if plain := hasty(u); plain != nil {
				u = plain
				continue
			}
		}
		if err == nil || !IsConflict(err) || try == conflictTries {
			return got, err
		}
		if err := pause(ctx, conflictPause); err != nil {
			return nil, err
		}
	}
}

func (p *Platform) writeOnce(ctx context.Context, k mapped, u *unstructured.Unstructured, how Write) (*unstructured.Unstructured, error) {
	now, err := p.getOurs(ctx, k, u.GetNamespace(), u.GetName())
	if err != nil {
		return nil, err
	}
	if now == nil {
		fresh := u.DeepCopy()
		fresh.SetResourceVersion("")
		fresh.SetUID("")
		return p.c.Create(ctx, k.gvr, fresh, how)
	}
	if now.GetDeletionTimestamp() != nil || !sameSelector(now, u) {
		// A selector cannot be changed, and what is going cannot be kept.
		if how.DryRun {
			return u, nil
		}
		if err := p.free(ctx, k, now); err != nil {
			return nil, err
		}
		return p.c.Create(ctx, k.gvr, u, how)
	}
	next := now.DeepCopy()
	next.Object["spec"] = merged(now, u)
	for key, v := range u.GetLabels() {
		addLabel(next, key, v)
	}
	for key, v := range u.GetAnnotations() {
		annotate(next, key, v)
	}
	if reflect.DeepEqual(now.Object, next.Object) {
		return now, nil
	}
	return p.c.Update(ctx, k.gvr, next, how)
}

// merged returns u's specification with what only the server may choose.
func merged(now, u *unstructured.Unstructured) any {
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	if u.GetKind() == "Service" {
		for _, k := range []string{"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} {
			if v, ok, _ := unstructured.NestedFieldCopy(now.Object, "spec", k); ok {
				spec[k] = v
			}
		}
	}
	return spec
}

func sameSelector(a, b *unstructured.Unstructured) bool {
	if a.GetKind() != "Deployment" {
		return true
	}
	x, _, _ := unstructured.NestedMap(a.Object, "spec", "selector")
	y, _, _ := unstructured.NestedMap(b.Object, "spec", "selector")
	return reflect.DeepEqual(x, y)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
