package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/stages"
)

// rolloutObserved is a Rollout as what the rules for Deployments look at.
type rolloutObserved struct {
	observed
	hash string
}

// rolloutAsDeployment lets the rules of why pods do not get ready speak about
// a Rollout, whose ReplicaSets are told apart by another label.
func rolloutAsDeployment(u *unstructured.Unstructured) (*rolloutObserved, error) {
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(),
		Annotations: map[string]string{revisionAnnotation: "new"},
	}}
	b, err := json.Marshal(map[string]any{"template": spec["template"], "replicas": spec["replicas"]})
	if err == nil {
		err = json.Unmarshal(b, &d.Spec)
	}
	if err != nil {
		return nil, fmt.Errorf("read rollout %s: %w", u.GetName(), err)
	}
	hash, _, _ := unstructured.NestedString(u.Object, "status", "currentPodHash")
	return &rolloutObserved{observed: observed{deployment: d}, hash: hash}, nil
}

// told returns what the rules look at.
func (o *rolloutObserved) told() observed {
	out := o.observed
	out.sets = slices.Clone(o.sets)
	for i := range out.sets {
		revision := "old"
		if o.hash != "" && out.sets[i].Labels[rolloutHash] == o.hash {
			revision = "new"
		}
		out.sets[i].Annotations = map[string]string{revisionAnnotation: revision}
	}
	return out
}

// diagnose says why the new pods do not get ready, and whether that has lasted
// for too long.
func (f *follower) diagnose(ctx context.Context, now *stages.ArgoRollout, o *rolloutObserved) {
	var err error
	if o.pods, err = objectsOf[corev1.Pod](f.pods); err != nil {
		return
	}
	if time.Since(f.eventsAt) > eventsAfter {
		f.eventsAt = time.Now()
		f.events = f.a.p.eventsOf(ctx, f.w.Namespace)
	}
	o.events = f.events
	bad, fatal := f.worst(o.told().diagnose(f.a.p.set.Restarts))
	if bad.Cause == "" || !fatal && bad.Grace == Patient && time.Since(f.since[bad.Code]) < eventsAfter {
		return
	}
	e := &stages.NotReadyError{Track: stages.Track{Workload: f.w, Name: stages.Canary}, Code: bad.Code, Cause: bad.Cause, Action: bad.Action}
	if fatal && (bad.Code == CrashLoop || bad.Code == InitFailed) {
		if last := f.a.p.lastWords(ctx, f.w.Namespace, bad); last != "" {
			e.Cause += "; its last line: " + last
		}
	}
	now.Trouble, now.Fatal = e, fatal
}

// worst returns the first problem that has lasted for longer than it may,
// else the first one.
func (f *follower) worst(all []Problem) (bad Problem, fatal bool) {
	seen := map[string]bool{}
	for _, q := range all {
		seen[q.Code] = true
		if _, ok := f.since[q.Code]; !ok {
			f.since[q.Code] = time.Now()
		}
	}
	maps.DeleteFunc(f.since, func(code string, _ time.Time) bool { return !seen[code] })
	for _, q := range all {
		if q.Grace != Patient && time.Since(f.since[q.Code]) >= q.Grace {
			return q, true
		}
	}
	if len(all) > 0 {
		bad = all[0]
	}
	return bad, false
}

// DiagnoseRollout tells what there is to know about the new pods of a Rollout.
func (a *Rollouts) DiagnoseRollout(ctx context.Context, w stages.Workload) (string, error) {
	w.Namespace = a.p.c.ns(w)
	u, err := a.p.c.Get(ctx, rollouts(), w.Namespace, w.Name)
	if err != nil {
		return "", fmt.Errorf("diagnose %s: %w", w, err)
	}
	selector, err := rolloutSelector(u)
	if err != nil {
		return "", err
	}
	o, err := rolloutAsDeployment(u)
	if err != nil {
		return "", err
	}
	opts := metav1.ListOptions{LabelSelector: selector}
	if o.sets, err = listAs[appsv1.ReplicaSet](ctx, a.p.c, replicaSets(), w.Namespace, opts); err != nil {
		return "", err
	}
	if o.pods, err = listAs[corev1.Pod](ctx, a.p.c, pods(), w.Namespace, opts); err != nil {
		return "", err
	}
	o.events = a.p.eventsOf(ctx, w.Namespace)
	now, err := a.p.readRollout(u, o.sets)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rollout %s: %s, step %d of %d, %d wanted, %d new pods ready, %d available\n", w.Name, cmp.Or(now.Phase, "no phase"),
		now.Step, len(now.Steps), now.Replicas, now.Ready, now.Available)
	if now.Message != "" {
		fmt.Fprintf(&b, "its controller says: %s\n", sentence(now.Message))
	}
	told := o.told()
	for _, q := range told.diagnose(a.p.set.Restarts) {
		fmt.Fprintf(&b, "%s: %s\n", q.Code, q.Cause)
	}
	fresh, _ := told.newPods()
	slices.SortStableFunc(fresh, func(x, y corev1.Pod) int { return cmp.Compare(milestone(x), milestone(y)) })
	for i, pod := range fresh {
		if i == evidencePods {
			fmt.Fprintf(&b, "and %d more pods\n", len(fresh)-i)
			break
		}
		a.p.tell(ctx, &b, told, pod)
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

// permissions are what steering a Rollout needs.
func (a *Rollouts) permissions(w stages.Workload) []Permission {
	var out []Permission
	add := func(group, res, sub string, verbs ...string) {
		for _, v := range verbs {
			out = append(out, Permission{Verb: v, Group: group, Resource: res, Subresource: sub, Namespace: a.p.c.ns(w)})
		}
	}
	add("argoproj.io", "rollouts", "", "get", "list", "watch", "patch")
	add("argoproj.io", "rollouts", "status", "patch")
	add("apps", "replicasets", "", "list", "watch")
	add("", "pods", "", "list", "watch")
	add("", "pods", "log", "get")
	add("", "events", "", "list")
	return out
}

// Permissions names what steering a Rollout needs.
func (a *Rollouts) Permissions(w stages.Workload) []string {
	var out []string
	for _, x := range a.permissions(w) {
		out = append(out, x.String())
	}
	return out
}

// Refused names what is missing: the definition, or permissions.
func (a *Rollouts) Refused(ctx context.Context, w stages.Workload) (what, hint string, err error) {
	missing, err := a.p.c.Missing(ctx, a.permissions(w))
	if err != nil {
		return "", "", err
	}
	if len(missing) > 0 {
		return "the account may not " + Together(missing), "give the account a Role with these rules: " + Rules(missing), nil
	}
	if a.p.c.raw == nil {
		return "", "", nil
	}
	_, err = a.p.c.mapping(ctx, schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"})
	if err != nil {
		return "the cluster does not know Rollouts: " + err.Error(), "install Argo Rollouts, or roll out a Deployment with canary, blueGreen or rolling", nil //nolint:nilerr // It is the answer.
	}
	return "", "", nil
}
