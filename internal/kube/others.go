package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// saved is what one of a release's objects beside the workload was before the
// release changed it. It goes into the journal, so it never holds the values
// of a Secret.
type saved struct {
	object
	// Run is the one that saved it: what was not there is removed again only
	// where this run has made it.
	Run string `json:"run"`
	// Was is the object as it was, nil where it was not there and where Former
	// is said.
	Was json.RawMessage `json:"was,omitempty"`
	// Former names the copy of a Secret that is made before the Secret is
	// changed for the first time; see [Platform.keepFormer].
	Former string `json:"former,omitempty"`
}

// saveOthers returns what the other objects of a release's manifests are now,
// those that the release would leave as they are left out. It changes nothing.
// ns is the workload's namespace.
func (p *Platform) saveOthers(ctx context.Context, us []*unstructured.Unstructured, ns string, run pipeline.Info) ([]saved, error) {
	var out []saved
	for _, u := range us {
		if kept(u.GetKind()) {
			continue // Others may have come to live in it.
		}
		k, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			return nil, fmt.Errorf("save %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		u = place(u, k, ns)
		s := saved{object: objectOf(u), Run: run.ID}
		now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
		switch {
		case IsNotFound(err):
			out = append(out, s)
			continue
		case err != nil:
			return nil, err
		case now.GetAnnotations()[RunAnnotation] == run.ID && ours(now):
			out = append(out, s) // Made by an earlier process of this run.
			continue
		case !p.changes(ctx, k, now, u):
			continue
		case isSecret(u):
			s.Former = formerName(u.GetName(), run)
		default:
			if s.Was, err = json.Marshal(content(now).Object); err != nil {
				return nil, fmt.Errorf("save %s %s: %w", u.GetKind(), u.GetName(), err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// changes reports whether applying u would change now; where the server does
// not say, it may.
func (p *Platform) changes(ctx context.Context, k mapped, now, u *unstructured.Unstructured) bool {
	if leftAlone(u) {
		return false
	}
	would, err := p.c.apply(ctx, k.gvr, u, Write{DryRun: true})
	return err != nil || !sameContent(now, would)
}

// restoreOthers makes all that was saved what it was, the last first, and goes
// on after an error, so that as much as can be is put back.
func (p *Platform) restoreOthers(ctx context.Context, all []saved) error {
	var errs []error
	for _, s := range slices.Backward(all) {
		if err := p.restoreOther(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("put back %s %s: %w", strings.ToLower(s.Kind), s.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Platform) restoreOther(ctx context.Context, s saved) error {
	k, err := p.c.mapping(ctx, s.gvk())
	if err != nil {
		return err
	}
	if s.Was == nil && s.Former == "" {
		return p.unmake(ctx, k, s)
	}
	was, err := p.former(ctx, k, s)
	if err != nil || was == nil {
		return err
	}
	for try := 1; ; try++ {
		err := p.setContent(ctx, k, was)
		if err == nil {
			return p.dropFormer(ctx, k, s)
		}
		if !IsConflict(err) || try == conflictTries {
			return err
		}
		if err := pause(ctx, conflictPause); err != nil {
			return err
		}
	}
}

// dropFormer removes the copy of a Secret that has been put back, so that no
// trace of the run is left.
func (p *Platform) dropFormer(ctx context.Context, k mapped, s saved) error {
	if s.Former == "" {
		return nil
	}
	keep, err := p.getOurs(ctx, k, s.Namespace, s.Former)
	if err != nil || keep == nil {
		return err
	}
	return p.c.Delete(ctx, k.gvr, keep, false)
}

// unmake removes an object that was not there, where the run has made it.
func (p *Platform) unmake(ctx context.Context, k mapped, s saved) error {
	now, err := p.c.Get(ctx, k.gvr, s.Namespace, s.Name)
	switch {
	case IsNotFound(err):
		return nil
	case err != nil:
		return err
	case !ours(now) || now.GetAnnotations()[RunAnnotation] != s.Run:
		return nil // Somebody else's, who was faster.
	}
	return p.c.Delete(ctx, k.gvr, now, false)
}

// former returns the content that was saved, nil where there is nothing to put
// back: a Secret without a copy was never changed.
func (p *Platform) former(ctx context.Context, k mapped, s saved) (*unstructured.Unstructured, error) {
	if s.Former == "" {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(s.Was); err != nil { // It keeps whole numbers whole.
			return nil, fmt.Errorf("read what was saved: %w", err)
		}
		return u, nil
	}
	keep, err := p.getOurs(ctx, k, s.Namespace, s.Former)
	if err != nil || keep == nil {
		return nil, err
	}
	return fromCopy(keep, s.Name)
}

// setContent makes an object what was says, whether it is there or not.
func (p *Platform) setContent(ctx context.Context, k mapped, was *unstructured.Unstructured) error {
	now, err := p.c.Get(ctx, k.gvr, was.GetNamespace(), was.GetName())
	if IsNotFound(err) {
		_, err = p.c.Create(ctx, k.gvr, bare(was), Write{})
		return err
	}
	if err != nil {
		return err
	}
	next := was.DeepCopy()
	next.SetUID(now.GetUID())
	next.SetResourceVersion(now.GetResourceVersion())
	next.SetManagedFields(now.GetManagedFields())
	if status, ok := now.Object["status"]; ok {
		next.Object["status"] = status
	}
	if sameContent(now, next) {
		return nil
	}
	_, err = p.c.Update(ctx, k.gvr, next, Write{})
	return err
}

// content returns a copy of an object without what the server alone says.
func content(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	delete(out.Object, "status")
	for _, k := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(out.Object, "metadata", k)
	}
	return out
}

func sameContent(a, b *unstructured.Unstructured) bool {
	return reflect.DeepEqual(content(a).Object, content(b).Object)
}

// applyOthers makes the other objects of a release what the manifests say, and
// leaves fields that they do not name to whoever sets them. What the run makes
// is signed, so that a rollback knows it. Nothing is changed where the cluster
// would refuse one of them.
func (p *Platform) applyOthers(ctx context.Context, us []*unstructured.Unstructured, w stages.Workload, run pipeline.Info) error {
	w.Namespace = p.c.ns(w)
	if err := p.tryOthers(ctx, us, w.Namespace); err != nil {
		return err
	}
	for _, u := range us {
		k, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			return err
		}
		if err := p.applyOther(ctx, k, place(u, k, w.Namespace), made{w, run}); err != nil {
			return err
		}
	}
	return nil
}

// tryOthers looks for objects that are there and that others would have to
// give up fields of, before the first is changed.
func (p *Platform) tryOthers(ctx context.Context, us []*unstructured.Unstructured, ns string) error {
	var errs []error
	for _, u := range us {
		k, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			continue // Its definition may be among those before it.
		}
		if err := p.tryOther(ctx, k, place(u, k, ns)); err != nil && !IsNotFound(err) && !noDryRun(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// made says for which workload, and by which run, something is made.
type made struct {
	workload stages.Workload
	run      pipeline.Info
}

func (p *Platform) applyOther(ctx context.Context, k mapped, u *unstructured.Unstructured, by made) error {
	now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
	switch {
	case err != nil && !IsNotFound(err):
		return err
	case now != nil && isVersion(u):
		return checkVersion(k, now, u)
	case now != nil && leftAlone(u):
		return nil
	case now == nil || ours(now) && now.GetAnnotations()[RunAnnotation] == by.run.ID:
		sign(u, by.run)
	case isSecret(u) && p.changes(ctx, k, now, u):
		if err := p.keepFormer(ctx, k, now, by); err != nil {
			return err
		}
	}
	_, err = p.c.apply(ctx, k.gvr, u, Write{})
	return err
}

func objectOf(u *unstructured.Unstructured) object {
	return object{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
}

func isSecret(u *unstructured.Unstructured) bool {
	return u.GetKind() == "Secret" && u.GetAPIVersion() == "v1"
}

// leftAlone reports whether an object that is there already is not changed by
// a release.
func leftAlone(u *unstructured.Unstructured) bool { return routed(u.GetKind()) || isVersion(u) }

// formerName is the name of the copy of a Secret that a run makes.
func formerName(name string, run pipeline.Info) string {
	return stages.Suffixed(name, "-before-"+sum(run.ID)[:8])
}
