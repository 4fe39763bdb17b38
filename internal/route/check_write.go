package route

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
)

// maxRules is how many rules a route of the Gateway API may have.
const maxRules = 16

// writes checks that the server would take what the rollout writes.
func (k *checking) writes(ctx context.Context, u *unstructured.Unstructured, n names) error {
	list, err := n.listOf(u)
	if err != nil {
		return nil //nolint:nilerr // said by route already
	}
	for i, m := range list {
		if name, _ := m["name"].(string); name == "" && n.ours(m) {
			k.fail("leave match: out; or take that rule out, which match: then makes", "rule %d of %s sends what match: asks for to Service %s already", i+1, k.r.Name(), n.new.name)
			return nil
		}
	}
	for _, m := range n.matches {
		if m.Cookie != "" {
			k.warn("", "%s finds the cookie %s by a regular expression, which not every implementation supports", k.r.Name(), m.Cookie)
		}
	}
	next := u.DeepCopy()
	if err := n.setShare(next, 0); err != nil {
		k.fail(hint(err), "%s cannot be split: %s", k.r.Name(), err)
		return nil
	}
	if len(n.matches) > 0 {
		if all, err := n.listOf(next); err == nil && k.r.kind.group == gatewayGroup && len(all) > maxRules {
			k.fail("use fewer rules, or leave match: out", "with the rules for match, %s would have %d rules; %d are allowed", k.r.Name(), len(all), maxRules)
			return nil
		}
		if _, err := k.r.dryRun(ctx, u, n, 0); err != nil && !kube.IsConflict(err) {
			k.fail("", "%s cannot get the rules for match: %s", k.r.Name(), err)
			return nil
		}
	}
	if k.r.kind.group == istioGroup {
		return k.istio(ctx, u, n)
	}
	return nil
}

// istio says what a VirtualService cannot tell by itself.
func (k *checking) istio(ctx context.Context, u *unstructured.Unstructured, n names) error {
	if _, err := k.r.dryRun(ctx, u, n, 20); err != nil && !kube.IsConflict(err) {
		k.fail("", "%s cannot be split: %s", k.r.Name(), err)
		return nil
	}
	if _, err := k.r.dryRun(ctx, u, n, 0.5); err != nil && !kube.IsConflict(err) {
		k.warn("use whole percentages, or Istio 1.15 and newer", "%s takes no parts of a percent: %s", k.r.Name(), err)
	}
	rules, err := n.rules(u)
	if err != nil {
		return nil //nolint:nilerr // said by route already
	}
	for _, r := range rules {
		if r.old < 0 {
			continue
		}
		if subset, ok, err := unstructured.NestedString(r.refs[r.old], "destination", "subset"); err == nil && ok {
			k.warn(fmt.Sprintf("give Service %s a DestinationRule of its own if it needs one", n.new.name),
				"route %d of %s names the subset %s; what its DestinationRule says does not hold for Service %s", r.index+1, k.r.Name(), subset, n.new.name)
		}
	}
	return nil
}

// grants checks that the route may point at Services of other namespaces.
func (k *checking) grants(ctx context.Context, _ *unstructured.Unstructured, n names) error {
	if k.r.kind.group != gatewayGroup {
		return nil
	}
	for _, s := range []service{n.old, n.new} {
		if s.namespace == n.routeNamespace {
			continue
		}
		l, err := k.r.c.List(ctx, referenceGrants(), s.namespace, metav1.ListOptions{})
		switch {
		case kube.IsForbidden(err):
			k.warn(k.grant(s), "the account may not list ReferenceGrants in %s, so nobody has looked whether %s may point at Service %s there", s.namespace, k.r.Name(), s.name)
			continue
		case err != nil && !kube.IsNotFound(err):
			return err
		}
		if err != nil || !k.granted(l, s) {
			k.fail(k.grant(s), "no ReferenceGrant in %s lets %s point at Service %s there", s.namespace, k.r.Name(), s.name)
		}
	}
	return nil
}

// granted reports whether one of the grants is for this route and a Service.
func (k *checking) granted(l *unstructured.UnstructuredList, s service) bool {
	has := func(u unstructured.Unstructured, field string, want map[string]string) bool {
		list, _, err := unstructured.NestedSlice(u.Object, "spec", field)
		if err != nil {
			return false
		}
		for _, v := range list {
			m, _ := v.(map[string]any)
			ok := m != nil
			for key, value := range want {
				got, _ := m[key].(string)
				ok = ok && (got == value || key == "name" && got == "")
			}
			if ok {
				return true
			}
		}
		return false
	}
	for _, u := range l.Items {
		if has(u, "from", map[string]string{"group": gatewayGroup, "kind": k.r.kind.name, "namespace": k.r.set.Namespace}) &&
			has(u, "to", map[string]string{"group": "", "kind": "Service", "name": s.name}) {
			return true
		}
	}
	return false
}

func (k *checking) grant(s service) string {
	return fmt.Sprintf("add a ReferenceGrant to %s, from {group: %s, kind: %s, namespace: %s} to {group: \"\", kind: Service}", s.namespace, gatewayGroup, k.r.kind.name, k.r.set.Namespace)
}

func referenceGrants() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: gatewayGroup, Version: "v1beta1", Resource: "referencegrants"}
}
