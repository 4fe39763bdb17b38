package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headgate-dev/headgate/stages"
)

// rollouts are those of Argo Rollouts.
func rollouts() schema.GroupVersionResource { return gvr("argoproj.io/v1alpha1 rollouts") }

// templateTries is how often a template is written again that others, such as
// an autoscaler, were faster to write beside.
const templateTries = 5

// Rollouts is access to the Rollouts of Argo Rollouts, by the dynamic client:
// only what is read of them is known here, so that other versions of Argo's do
// no harm.
type Rollouts struct{ p *Platform }

var (
	_ stages.ArgoPlatform  = (*Platform)(nil)
	_ stages.ArgoRollouts  = (*Rollouts)(nil)
	_ stages.ArgoAccess    = (*Rollouts)(nil)
	_ stages.ArgoDiagnoser = (*Rollouts)(nil)
)

// Rollouts returns the Rollouts of the cluster.
func (p *Platform) Rollouts() stages.ArgoRollouts { return &Rollouts{p} }

// Read reads one Rollout with its ReplicaSets.
func (a *Rollouts) Read(ctx context.Context, w stages.Workload) (stages.ArgoRollout, error) {
	w.Namespace = a.p.c.ns(w)
	u, err := a.p.c.Get(ctx, rollouts(), w.Namespace, w.Name)
	if IsNotFound(err) {
		return stages.ArgoRollout{Workload: w}, nil
	}
	if err != nil {
		return stages.ArgoRollout{}, err
	}
	selector, err := rolloutSelector(u)
	if err != nil {
		return stages.ArgoRollout{}, err
	}
	sets, err := listAs[appsv1.ReplicaSet](ctx, a.p.c, replicaSets(), w.Namespace, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return stages.ArgoRollout{}, err
	}
	return a.p.readRollout(u, sets)
}

// rolloutSelector returns the selector of a Rollout's pods, which a Rollout
// with a workloadRef has not.
func rolloutSelector(u *unstructured.Unstructured) (string, error) {
	spec, _, err := unstructured.NestedMap(u.Object, "spec", "selector")
	if err != nil || len(spec) == 0 {
		return "rollouts-pod-template-hash", nil //nolint:nilerr // The controller says what is wrong with it.
	}
	var s metav1.LabelSelector
	if err := reencode(spec, &s); err != nil {
		return "", fmt.Errorf("read selector of rollout %s: %w", u.GetName(), err)
	}
	return metav1.FormatLabelSelector(&s), nil
}

// reencode reads a piece of an object into a struct.
func reencode(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// SetTemplate replaces the template; see [stages.ArgoRollouts]. The
// precondition is the template itself, since the controller writes to the
// Rollout's status all the while.
func (a *Rollouts) SetTemplate(ctx context.Context, w stages.Workload, from, to json.RawMessage) error {
	var last error
	for range templateTries {
		now, err := a.Read(ctx, w)
		switch {
		case err != nil:
			return err
		case !now.Exists:
			return &stages.DriftError{Thing: "rollout " + w.String(), Found: "gone", Want: "there"}
		case stages.SameTemplate(now.Template, to):
			return nil
		case !stages.SameTemplate(now.Template, from):
			return &stages.DriftError{Thing: "rollout " + w.String(), By: now.By, Found: "at " + imagesIn(now.Template), Want: "at " + imagesIn(from)}
		}
		patch, err := json.Marshal([]map[string]any{
			{"op": "test", "path": "/spec/template", "value": now.Template},
			{"op": "replace", "path": "/spec/template", "value": to},
		})
		if err != nil {
			return fmt.Errorf("write template: %w", err)
		}
		last = a.patch(ctx, patched{w: w, kind: types.JSONPatchType, body: patch})
		if last == nil || !apierrors.IsInvalid(last) && !IsConflict(last) {
			return last
		}
	}
	return last
}

// imagesIn names the images of a template.
func imagesIn(template json.RawMessage) string {
	var t struct {
		Spec struct{ Containers []struct{ Image string } }
	}
	if json.Unmarshal(template, &t) != nil || len(t.Spec.Containers) == 0 {
		return "another template"
	}
	all := make([]string, len(t.Spec.Containers))
	for i, c := range t.Spec.Containers {
		all[i] = c.Image
	}
	return strings.Join(all, ", ")
}

// SetStatus writes what Argo's own command line does for the same; see
// [stages.ArgoRollouts].
func (a *Rollouts) SetStatus(ctx context.Context, now stages.ArgoRollout, c stages.ArgoChange) error {
	status := map[string]any{}
	switch c {
	case stages.ArgoPromote:
		status["pauseConditions"] = nil
	case stages.ArgoPromoteFull:
		status["promoteFull"] = true
	case stages.ArgoAbort:
		status["abort"] = true
	case stages.ArgoReset:
		status["abort"], status["promoteFull"] = false, false
	case stages.ArgoNudge:
		status["message"] = "headgate waits for the controller since " + time.Now().UTC().Format(time.RFC3339Nano)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": now.Version}, "status": status})
	if err != nil {
		return fmt.Errorf("%s rollout: %w", c, err)
	}
	w := patched{w: now.Workload, kind: types.MergePatchType, body: patch, subresource: "status"}
	err = a.patch(ctx, w)
	if IsNotFound(err) { // Definitions of before Argo Rollouts 0.10 have no status of its own.
		w.subresource = ""
		err = a.patch(ctx, w)
	}
	if IsConflict(err) {
		return fmt.Errorf("%s rollout %s: %w", c, now.Workload, stages.ErrArgoMoved)
	}
	return err
}

// patched is one patch.
type patched struct {
	w           stages.Workload
	kind        types.PatchType
	body        []byte
	subresource string
}

func (a *Rollouts) patch(ctx context.Context, q patched) error {
	ctx, cancel := within(ctx)
	defer cancel()
	var sub []string
	if q.subresource != "" {
		sub = []string{q.subresource}
	}
	ns := a.p.c.ns(q.w)
	_, err := a.p.c.at(rollouts(), ns).Patch(ctx, q.w.Name, q.kind, q.body, metav1.PatchOptions{FieldManager: Manager}, sub...)
	if err != nil {
		return fmt.Errorf("patch %s: %w", describe(rollouts(), ns, q.w.Name), cause(ctx, err))
	}
	return nil
}

// Follow watches a Rollout, its ReplicaSets and its pods; see
// [stages.ArgoRollouts].
func (a *Rollouts) Follow(ctx context.Context, w stages.Workload, see func(stages.ArgoRollout) (bool, error)) error {
	f, err := a.follower(ctx, w)
	if err != nil {
		return err
	}
	defer f.mirrors.Close()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		now, known, err := f.look(ctx)
		if err != nil {
			return err
		}
		if known {
			if done, err := see(now); done || err != nil {
				return err
			}
		}
		select {
		case <-f.mirrors.Changed():
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follower is one Follow.
type follower struct {
	a       *Rollouts
	w       stages.Workload
	mirrors *Mirrors

	rollout, sets, pods *Mirror
	// since is when each problem, by code, was first seen.
	since    map[string]time.Time
	events   []corev1.Event
	eventsAt time.Time
}

func (a *Rollouts) follower(ctx context.Context, w stages.Workload) (*follower, error) {
	w.Namespace = a.p.c.ns(w)
	u, err := a.p.c.Get(ctx, rollouts(), w.Namespace, w.Name)
	selector := ""
	switch {
	case err == nil:
		if selector, err = rolloutSelector(u); err != nil {
			return nil, err
		}
	case !IsNotFound(err): // That one is gone is for the caller to see.
		return nil, err
	}
	f := &follower{a: a, w: w, mirrors: a.p.c.Mirrors(ctx), since: map[string]time.Time{}}
	f.rollout = f.mirrors.Add(rollouts(), w.Namespace, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", w.Name).String()})
	f.sets = f.mirrors.Add(replicaSets(), w.Namespace, metav1.ListOptions{LabelSelector: selector})
	f.pods = f.mirrors.Add(pods(), w.Namespace, metav1.ListOptions{LabelSelector: selector})
	return f, nil
}

// look decodes the mirrors; false while they are not complete.
func (f *follower) look(ctx context.Context) (stages.ArgoRollout, bool, error) {
	gone := stages.ArgoRollout{Workload: f.w}
	for _, m := range []*Mirror{f.rollout, f.sets, f.pods} {
		_, synced, err := m.Objects()
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return gone, false, fmt.Errorf("follow rollout %s: %w", f.w, err)
		}
		if !synced {
			return gone, false, nil
		}
	}
	us, _, _ := f.rollout.Objects()
	if len(us) == 0 {
		return gone, true, nil
	}
	o, err := rolloutAsDeployment(us[0])
	if err != nil {
		return gone, false, err
	}
	if o.sets, err = objectsOf[appsv1.ReplicaSet](f.sets); err != nil {
		return gone, false, err
	}
	now, err := f.a.p.readRollout(us[0], o.sets)
	if err != nil {
		return gone, false, err
	}
	if now.Observed && now.New != now.Stable && now.Ready < now.Replicas {
		f.diagnose(ctx, &now, o)
	}
	return now, true, nil
}
