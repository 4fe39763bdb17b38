package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"golang.org/x/sync/errgroup"

	"github.com/headgate-dev/headgate/stages"
)

// Permission is what an account must be allowed to do.
type Permission struct {
	Verb, Group, Resource, Subresource, Namespace string
}

// String returns it as RBAC's rules are read, such as
// "update deployments.apps in shop".
func (p Permission) String() string {
	s := p.Verb + " " + p.Resource
	if p.Subresource != "" {
		s += "/" + p.Subresource
	}
	if p.Group != "" {
		s += "." + p.Group
	}
	if p.Namespace != "" {
		s += " in " + p.Namespace
	}
	return s
}

// permissions are those that a rollout without manifests needs.
func (p *Platform) permissions(w stages.Workload) []Permission {
	var out []Permission
	add := func(group, res string, verbs ...string) {
		res, sub, _ := strings.Cut(res, "/")
		for _, v := range verbs {
			out = append(out, Permission{Verb: v, Group: group, Resource: res, Subresource: sub, Namespace: p.c.ns(w)})
		}
	}
	add("apps", "deployments", "get", "list", "watch", "create", "update", "delete")
	add("apps", "replicasets", "list", "watch")
	add("", "pods", "list", "watch")
	add("", "pods/log", "get")
	add("", "events", "list")
	add("", "services", "get", "list", "create", "update", "delete")
	add("discovery.k8s.io", "endpointslices", "list", "watch")
	return out
}

// needs are the permissions of a rollout, those for the objects of its
// manifests included, and errors about kinds that the cluster does not have.
func (p *Platform) needs(ctx context.Context, w stages.Workload, objs objects) (want []Permission, unknown []error) {
	want = p.permissions(w)
	for _, u := range objs.others {
		m, err := p.c.mapping(ctx, u.GroupVersionKind())
		if err != nil {
			unknown = append(unknown, err)
			continue
		}
		verbs := []string{"get", "create", "patch"}
		if !kept(u.GetKind()) {
			verbs = append(verbs, "delete") // A rollback takes away what was made.
		}
		for _, verb := range verbs {
			x := Permission{Verb: verb, Group: m.gvr.Group, Resource: m.gvr.Resource, Namespace: place(u, m, p.c.ns(w)).GetNamespace()}
			if !slices.Contains(want, x) {
				want = append(want, x)
			}
		}
	}
	return want, unknown
}

// ReleasePermissions names what a rollout of a release needs, the objects of
// its manifests included.
func (p *Platform) ReleasePermissions(ctx context.Context, t stages.Track, r stages.Release) ([]string, error) {
	objs, err := p.besides(t, r)
	if err != nil {
		return nil, err
	}
	want, unknown := p.needs(ctx, t.Workload, objs)
	var out []string
	for _, x := range want {
		out = append(out, x.String())
	}
	return out, errors.Join(unknown...)
}

// besides are the objects of a release other than its workload. A colour's own
// Deployment may be missing among them, for it can be made from its peer's.
func (p *Platform) besides(t stages.Track, r stages.Release) (objects, error) {
	if !t.Colour() {
		return readManifests(r, p.c.ns(t.Workload), t.Workload.Name)
	}
	all, err := decodeManifests(r)
	return objects{others: slices.DeleteFunc(all, isDeployment)}, err
}

// Permissions names what a rollout of a workload needs; objects of manifests
// need more, which [Platform.ReleasePermissions] names.
func (p *Platform) Permissions(w stages.Workload) []string {
	var out []string
	for _, x := range p.permissions(w) {
		out = append(out, x.String())
	}
	return out
}

// Missing asks the cluster which permissions its account does not have.
func (c *Cluster) Missing(ctx context.Context, want []Permission) ([]Permission, error) {
	missing := make([]bool, len(want))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, w := range want {
		g.Go(func() error {
			ok, err := c.may(ctx, w)
			missing[i] = !ok
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("ask for permissions: %w", err)
	}
	var out []Permission
	for i, m := range missing {
		if m {
			out = append(out, want[i])
		}
	}
	return out, nil
}

// may asks about one permission; what the cluster does not say is a no.
func (c *Cluster) may(ctx context.Context, w Permission) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: w.Namespace, Verb: w.Verb, Group: w.Group, Resource: w.Resource, Subresource: w.Subresource},
	}}
	obj, err := runtime.DefaultUnstructuredConverter.ToUnstructured(review)
	if err != nil {
		return false, err
	}
	u := &unstructured.Unstructured{Object: obj}
	u.SetAPIVersion("authorization.k8s.io/v1")
	u.SetKind("SelfSubjectAccessReview")
	got, err := c.Create(ctx, accessReviews(), u, Write{})
	if err != nil {
		return false, err
	}
	allowed, _, err := unstructured.NestedBool(got.Object, "status", "allowed")
	return allowed, err
}

// Together writes permissions as one line, those for the same resource as one:
// "create, update services in shop; get pods/log in shop".
func Together(ps []Permission) string {
	verbs := map[string][]string{}
	var order []string
	for _, p := range ps {
		verb := p.Verb
		p.Verb = ""
		k := strings.TrimSpace(p.String())
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
		verbs[k] = append(verbs[k], verb)
	}
	for i, k := range order {
		order[i] = strings.Join(verbs[k], ", ") + " " + k
	}
	return strings.Join(order, "; ")
}

// Rules writes permissions as the rules of a Role.
func Rules(ps []Permission) string {
	verbs := map[string][]string{}
	var order []string
	for _, p := range ps {
		k := p.Resource
		if p.Subresource != "" {
			k += "/" + p.Subresource
		}
		k = fmt.Sprintf("{apiGroups: [%q], resources: [%q]", p.Group, k)
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
		if !slices.Contains(verbs[k], p.Verb) { // It may be missing in two namespaces.
			verbs[k] = append(verbs[k], p.Verb)
		}
	}
	for i, k := range order {
		order[i] = fmt.Sprintf("%s, verbs: [%s]}", k, strings.Join(verbs[k], ", "))
	}
	return strings.Join(order, " ")
}
