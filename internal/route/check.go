package route

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Check finds out whether the route could be split; it changes nothing.
func (r *HTTPRoute) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	k := &checking{r: r}
	missing, err := r.c.Missing(ctx, r.permissions())
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	if len(missing) > 0 {
		k.fail("give the account a Role with these rules: "+kube.Rules(missing), "the account may not %s", kube.Together(missing))
		return k.found, nil
	}
	u, err := r.get(ctx)
	if kube.IsNotFound(err) {
		if makes(c.Release, r.kind.name, r.set.Route) {
			return k.found, nil // A first deployment makes it.
		}
		k.fail("check the name, and traffic: httpRoute: namespace/name if it is in another namespace", "there is no %s %s in namespace %s", r.kind.name, r.set.Route, r.set.Namespace)
		return k.found, nil
	}
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	n, err := r.names(ctx, u)
	if err != nil {
		k.fail(hint(err), "%s", err)
		return k.found, nil
	}
	k.route(u, n)
	if err := k.service(ctx, u, n); err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	if err := k.others(ctx, n); err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	return k.found, nil
}

type checking struct {
	r     *HTTPRoute
	found []pipeline.Finding
}

func (k *checking) fail(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (k *checking) warn(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// route checks weights and status.
func (k *checking) route(u *unstructured.Unstructured, n names) {
	w, err := n.weight(u)
	switch {
	case err != nil:
		k.fail("", "%s: %s", k.r.Name(), err)
	case w != 0:
		k.fail("an earlier run is not finished: headgate recover puts it right", "%s gives %s of its traffic to Service %s already", k.r.Name(), percent(w), n.canary)
	}
	if err := k.r.refused(u); err != nil {
		k.fail(hint(err), "%s", err)
	} else if !said(u) {
		k.warn("", "the controller of %s does not say which generation of it it has accepted; every change waits %s for it", k.r.Name(), settle)
	}
}

// service checks that the ports of the route are those of the Service.
func (k *checking) service(ctx context.Context, u *unstructured.Unstructured, n names) error {
	su, err := k.r.c.Get(ctx, schema.GroupVersionResource{Version: "v1", Resource: "services"}, n.namespace, n.stable)
	if kube.IsNotFound(err) {
		k.fail("", "there is no Service %s in namespace %s", n.stable, n.namespace)
		return nil
	}
	if err != nil {
		return err
	}
	var svc corev1.Service
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(su.Object, &svc); err != nil {
		return fmt.Errorf("read service %s: %w", n.stable, err)
	}
	rules, err := n.rules(u)
	if err != nil {
		return nil // Said by route already.
	}
	for _, r := range rules {
		ref, _ := r.refs()[r.stable].(map[string]any)
		port, ok := number(ref["port"]), false
		for _, p := range svc.Spec.Ports {
			ok = ok || int64(p.Port) == port
		}
		if !ok {
			k.fail("", "rule %d of %s points at port %v of Service %s, which it does not have", r.index+1, k.r.Name(), ref["port"], n.stable)
		}
	}
	if n.namespace != n.routeNamespace {
		k.warn(fmt.Sprintf("a ReferenceGrant in %s must allow %s from %s to Services, not to %s alone", n.namespace, k.r.kind.name, n.routeNamespace, n.stable),
			"%s and its Services are in different namespaces", k.r.Name())
	}
	return nil
}

// others warns of other routes that point at the same Service: what comes by
// them is not split.
func (k *checking) others(ctx context.Context, n names) error {
	l, err := k.r.c.List(ctx, k.r.kind.gvr, k.r.set.Namespace, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range l.Items {
		if l.Items[i].GetName() == k.r.set.Route {
			continue
		}
		if rules, err := n.rules(&l.Items[i]); err == nil && len(rules) > 0 {
			k.warn("", "%s %s points at Service %s too; requests that come by it all go to stable", k.r.kind.name, l.Items[i].GetName(), n.stable)
		}
	}
	return nil
}

// makes reports whether a release's manifests hold an object.
func makes(r stages.Release, kind, name string) bool {
	for _, m := range r.Manifests {
		var u unstructured.Unstructured
		if err := u.UnmarshalJSON(m); err == nil && u.GetKind() == kind && u.GetName() == name {
			return true
		}
	}
	return false
}

func hint(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return ""
}
