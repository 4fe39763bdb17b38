package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ConflictError reports fields that a manifest sets and somebody else owns with
// another value. Nothing of the object has been changed.
type ConflictError struct {
	// Thing is the object, such as "services shop in shop".
	Thing string
	// Fields are those in conflict, in the order of the cluster's answer.
	Fields []ConflictField
}

// ConflictField is a field of an object and the field manager that owns it.
type ConflictField struct{ Field, Manager string }

// Error names object, fields and owners.
func (e *ConflictError) Error() string {
	var parts []string
	for _, m := range e.managers() {
		var fields []string
		for _, f := range e.Fields {
			if f.Manager == m {
				fields = append(fields, f.Field)
			}
		}
		parts = append(parts, fmt.Sprintf("%s owns %s", m, strings.Join(fields, ", ")))
	}
	return fmt.Sprintf("apply %s: %s", e.Thing, strings.Join(parts, "; "))
}

// Hint says how the owners agree.
func (e *ConflictError) Hint() string {
	what := "these fields"
	if len(e.Fields) == 1 {
		what = "this field"
	}
	return fmt.Sprintf("take %s out of the manifest to leave it to %s, or take it over for good: kubectl apply --server-side --field-manager=%s --force-conflicts -f MANIFEST",
		what, strings.Join(e.managers(), " and "), Manager)
}

// managers are the owners, each once.
func (e *ConflictError) managers() []string {
	var out []string
	for _, f := range e.Fields {
		if !slices.Contains(out, f.Manager) {
			out = append(out, f.Manager)
		}
	}
	return out
}

// conflictOwner finds the manager in a cause such as
// `conflict with "kubectl" using v1` or `conflict with "kubectl" with subresource "scale" using v1`.
var conflictOwner = pattern(`conflict with "((?:[^"\\]|\\.)*)"`)

// maxConflicts bounds how many fields an error names.
const maxConflicts = 10

// conflictOf reads the conflicts from the cluster's refusal of an apply, nil
// where it is about something else. Fields that are Headgate's own by another
// way of writing are none.
func conflictOf(thing string, err error) (foreign *ConflictError, own bool) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsConflict(err) || status.Status().Details == nil {
		return nil, false
	}
	e := &ConflictError{Thing: thing}
	for _, c := range status.Status().Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		owner := "somebody"
		if m := conflictOwner().FindStringSubmatch(c.Message); m != nil {
			owner = m[1]
		}
		if owner == Manager {
			own = true
			continue
		}
		if len(e.Fields) < maxConflicts {
			e.Fields = append(e.Fields, ConflictField{Field: strings.TrimPrefix(c.Field, "."), Manager: owner})
		}
	}
	if len(e.Fields) == 0 {
		return nil, own
	}
	return e, own
}

// apply makes the fields that u names what u says, and takes none from others:
// a [*ConflictError] says whose they are. What Headgate owns by another way of
// writing, such as that of putting back, it takes over.
func (c *Cluster) apply(ctx context.Context, gvr schema.GroupVersionResource, u *unstructured.Unstructured, w Write) (*unstructured.Unstructured, error) {
	bound, cancel := within(ctx)
	defer cancel()
	thing := describe(gvr, u.GetNamespace(), u.GetName())
	got, err := c.at(gvr, u.GetNamespace()).Apply(bound, u.GetName(), u, metav1.ApplyOptions{FieldManager: Manager, DryRun: w.dryRun()})
	if err == nil {
		return got, nil
	}
	foreign, own := conflictOf(thing, err)
	switch {
	case foreign != nil:
		return nil, foreign
	case own:
		return c.Apply(ctx, gvr, u, w)
	}
	return nil, fmt.Errorf("apply %s: %w", thing, cause(bound, err))
}

// others has the cluster make all of a release's other objects but for the
// write, so that conflicts with other field managers, quotas and admission are
// known before anything is changed.
func (k *checking) others(ctx context.Context) {
	for _, u := range k.objs.others {
		m, err := k.p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			continue // It has been found by the check of permissions.
		}
		u = place(u, m, k.ns)
		if k.comes(u.GetNamespace()) {
			continue // Nothing can be tried in a namespace that is not there yet.
		}
		err = k.p.tryOther(ctx, m, u)
		switch conflict, ok := errors.AsType[*ConflictError](err); {
		case err == nil || apierrors.IsForbidden(err) && !refused(err):
		case ok:
			k.fail(conflict.Hint(), "%s", conflict)
		case noDryRun(err):
			k.warn("", "%s %s cannot be tried: %s", u.GetKind(), u.GetName(), err)
		default:
			k.fail(hintOf(err), "the cluster refuses %s %s of the manifests: %s", u.GetKind(), u.GetName(), err)
		}
	}
}

// comes reports whether a namespace is among the manifests.
func (k *checking) comes(namespace string) bool {
	return namespace != "" && slices.ContainsFunc(k.objs.others, func(u *unstructured.Unstructured) bool {
		return u.GetKind() == "Namespace" && u.GetName() == namespace
	})
}

// tryOther makes an object of the manifests but for the write.
func (p *Platform) tryOther(ctx context.Context, k mapped, u *unstructured.Unstructured) error {
	now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
	switch {
	case IsNotFound(err):
		_, err = p.c.Create(ctx, k.gvr, u, Write{DryRun: true})
		return err
	case err != nil:
		return err
	case isVersion(u):
		return checkVersion(k, now, u)
	case leftAlone(u):
		return nil
	}
	_, err = p.c.apply(ctx, k.gvr, u, Write{DryRun: true})
	return err
}

// refused reports whether a "forbidden" is about the object itself, as quotas
// and admission say it, and not about the account's permissions.
func refused(err error) bool {
	s := err.Error()
	return strings.Contains(s, "exceeded quota") || strings.Contains(s, "admission") || strings.Contains(s, "violates PodSecurity") ||
		strings.Contains(s, "maximum ") || strings.Contains(s, "minimum ")
}

// noDryRun reports whether an admission webhook does not know of dry runs.
func noDryRun(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run")
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
