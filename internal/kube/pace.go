package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// surgeAnnotation is on a Deployment that may start all pods of a release at
// once, and holds, in JSON, the maxSurge that its user gave it.
const surgeAnnotation = "headgate.dev/max-surge"

// fullSurge lets a rolling update start all new pods at once. How many of the
// old ones may be missing meanwhile stays the user's own to say: others than
// the route may send them requests.
const fullSurge = "100%"

func surgePath() []string { return []string{"spec", "strategy", "rollingUpdate", "maxSurge"} }

// hastened reports whether the Deployment may start all pods of a release at
// once now, since a former attempt has said so.
func hastened(u *unstructured.Unstructured) bool {
	_, ok := u.GetAnnotations()[surgeAnnotation]
	return ok
}

// hasten lets a Deployment start all new pods at once.
func hasten(u *unstructured.Unstructured) error {
	if hastened(u) {
		return nil
	}
	own, ok, err := unstructured.NestedFieldCopy(u.Object, surgePath()...)
	if err != nil {
		return fmt.Errorf("read maxSurge of deployment %s: %w", u.GetName(), err)
	}
	if !ok {
		own = "25%" // The API's default.
	}
	b, err := json.Marshal(own)
	if err != nil {
		return fmt.Errorf("write maxSurge of deployment %s: %w", u.GetName(), err)
	}
	annotate(u, surgeAnnotation, string(b))
	set(u.Object, string(appsv1.RollingUpdateDeploymentStrategyType), "spec", "strategy", "type")
	set(u.Object, fullSurge, surgePath()...)
	return nil
}

// ownPace gives a Deployment the maxSurge back that its user gave it. One that
// somebody else has set since stays.
func ownPace(u *unstructured.Unstructured) error {
	said, ok := u.GetAnnotations()[surgeAnnotation]
	if !ok {
		return nil
	}
	var own any
	if err := json.Unmarshal([]byte(said), &own); err != nil {
		return fmt.Errorf("read annotation %s of deployment %s: %w", surgeAnnotation, u.GetName(), err)
	}
	if n, ok := own.(float64); ok { // Objects of the cluster hold whole numbers.
		own = int64(n)
	}
	annotate(u, surgeAnnotation, "")
	if now, _, _ := unstructured.NestedFieldNoCopy(u.Object, surgePath()...); now == fullSurge {
		set(u.Object, own, surgePath()...)
	}
	return nil
}

// OwnPace gives a Deployment its own rolling update back; see [stages.Pacer].
func (p *Platform) OwnPace(ctx context.Context, t stages.Track) error {
	what := "give " + t.String() + " its own rolling update back"
	for try := 1; ; try++ {
		u, err := p.c.Get(ctx, deployments(), p.c.ns(t.Workload), trackName(t))
		if IsNotFound(err) || err == nil && !hastened(u) {
			return nil
		}
		if err != nil {
			return wrap(what, err)
		}
		next := u.DeepCopy()
		if err := ownPace(next); err != nil {
			return wrap(what, err)
		}
		_, err = p.c.Update(ctx, deployments(), next, Write{})
		if err == nil || !IsConflict(err) || try == conflictTries {
			return wrap(what, err)
		}
		if err := pause(ctx, conflictPause); err != nil {
			return err
		}
	}
}

// fast reports whether a live Deployment shall take its release by all pods at
// once, with the strategy that the release gives it.
func (p *Platform) fast(ctx context.Context, live *unstructured.Unstructured, objs objects, how taking) (bool, error) {
	if hastened(live) {
		return true, nil // What an earlier process has begun.
	}
	next, err := how.on(live, objs)
	if err != nil {
		return false, err
	}
	return p.mayHasten(ctx, next)
}

// mayHasten reports whether a Deployment that its canary stands in for may
// start all pods of a release at once: where its own rolling update brings
// pods beside the old ones, where nobody but its user has a say about its
// strategy, and where the room for it is sure to be there. What is not known is
// a no.
func (p *Platform) mayHasten(ctx context.Context, u *unstructured.Unstructured) (bool, error) {
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return false, err
	}
	n := wantedReplicas(d)
	surge, _ := strategyOf(d, n)
	switch {
	case d.Spec.Paused, d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		return false, nil
	case surge == 0, surge >= n: // No pod more than wanted, or all at once anyway.
		return false, nil
	case d.Spec.Template.Spec.PriorityClassName != "": // They could push others out.
		return false, nil
	case applied(u, "f:strategy"):
		return false, nil
	}
	return p.hasRoom(ctx, d, n)
}

// hasRoom reports whether no quota stands in the way of so many more pods.
func (p *Platform) hasRoom(ctx context.Context, d *appsv1.Deployment, n int) (bool, error) {
	qs, err := listAs[corev1.ResourceQuota](ctx, p.c, quotas(), d.Namespace, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	if err != nil || len(qs) == 0 {
		return err == nil, err
	}
	ranges, err := listAs[corev1.LimitRange](ctx, p.c, limitRanges(), d.Namespace, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	pod := needsOf(d.Spec.Template.Spec, ranges)
	return !slices.ContainsFunc(qs, func(q corev1.ResourceQuota) bool {
		scoped := len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil
		return scoped || len(tooMuch(q, peak{pods: int64(n)}, pod)) > 0
	}), nil
}

// applied reports whether a part of the specification was set by server-side
// apply. Its owner would lose it to who writes it by another way.
func applied(u *unstructured.Unstructured, part string) bool {
	return slices.ContainsFunc(u.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		if m.Operation != metav1.ManagedFieldsOperationApply || m.FieldsV1 == nil {
			return false
		}
		var owned struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if err := json.Unmarshal(m.FieldsV1.GetRawBytes(), &owned); err != nil {
			return true // Whoever wrote that has a say.
		}
		_, ok := owned.Spec[part]
		return ok
	})
}
