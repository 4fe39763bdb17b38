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
func (r *RuleRouter) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	k := &checking{r: r}
	err := k.all(ctx, c)
	return k.found, wrap("check "+r.Name(), err)
}

type checking struct {
	r *RuleRouter
	findings
}

// findings are what a check has found so far.
type findings struct{ found []pipeline.Finding }

func (k *findings) fail(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (k *findings) warn(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// lack says which permissions are missing, and returns false when some are.
func (k *findings) lack(ctx context.Context, c *kube.Cluster, want []kube.Permission) (bool, error) {
	missing, err := c.Missing(ctx, want)
	if err != nil || len(missing) == 0 {
		return err == nil, err
	}
	k.fail("give the account a Role with these rules: "+kube.Rules(missing), "the account may not %s", kube.Together(missing))
	return false, nil
}

func (k *checking) all(ctx context.Context, c stages.RolloutCheck) error {
	r := k.r
	if ok, err := k.lack(ctx, r.c, r.permissions()); !ok {
		return err
	}
	u, err := r.get(ctx)
	if kube.IsNotFound(err) {
		if !makes(c.Release, r.kind.name, r.set.Route) { // A first deployment makes it.
			k.fail(fmt.Sprintf("check the name, and traffic: %s: namespace/name if it is in another namespace", r.kind.router),
				"there is no %s %s in namespace %s", r.kind.name, r.set.Route, r.set.Namespace)
		}
		return nil
	}
	if _, ok := errors.AsType[*NotInstalledError](err); ok {
		k.fail(hint(err), "%s", err)
		return nil
	}
	if err != nil {
		return err
	}
	n, err := r.names(ctx, u)
	if err != nil {
		k.fail(hint(err), "%s", err)
		return nil
	}
	k.route(u, n)
	for _, check := range []func(context.Context, *unstructured.Unstructured, names) error{k.services, k.grants, k.writes, k.others} {
		if err := check(ctx, u, n); err != nil {
			return err
		}
	}
	return nil
}

// route checks weights and status.
func (k *checking) route(u *unstructured.Unstructured, n names) {
	w, err := n.share(u)
	switch {
	case err != nil:
		k.fail("", "%s: %s", k.r.Name(), err)
	case w != 0:
		k.fail("an earlier run is not finished: headgate recover puts it right", "%s gives %s of its traffic to Service %s already", k.r.Name(), percent(w), n.new.name)
	}
	switch err := k.r.kind.dialect.refused(k.r, u); {
	case err != nil:
		k.fail(hint(err), "%s", err)
	case k.r.kind.dialect.said(u):
	case k.r.kind.group == istioGroup:
	default:
		k.warn("", "the controller of %s does not say which generation of it it has accepted; every change waits %s for it", k.r.Name(), k.r.set.Settle)
	}
	if n.colours && k.r.set.Service != "" {
		k.fail("leave it out, and name the Service of a colour with its own key service", "traffic: service: %s names no colour's Service", k.r.set.Service)
	}
}

// services checks that the ports of the route are those of the Services.
func (k *checking) services(ctx context.Context, u *unstructured.Unstructured, n names) error {
	rules, err := n.rules(u)
	if err != nil {
		return nil //nolint:nilerr // said by route already
	}
	for _, s := range []service{n.old, n.new} {
		su, err := k.r.c.Get(ctx, schema.GroupVersionResource{Version: "v1", Resource: "services"}, s.namespace, s.name)
		switch {
		case kube.IsNotFound(err) && s == n.new:
			continue // It is made with the track.
		case kube.IsNotFound(err):
			k.fail("", "there is no Service %s in namespace %s", s.name, s.namespace)
			continue
		case err != nil:
			return err
		}
		var svc corev1.Service
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(su.Object, &svc); err != nil {
			return fmt.Errorf("read service %s: %w", s.name, err)
		}
		for _, r := range rules {
			k.port(r, n, svc)
		}
	}
	return nil
}

// port checks the port of one rule.
func (k *checking) port(r rule, n names, svc corev1.Service) {
	at := r.old
	if at < 0 {
		at = r.new
	}
	port := n.dialect.port(r.refs[at])
	if port < 0 && len(svc.Spec.Ports) == 1 {
		return // Istio needs none then.
	}
	for _, p := range svc.Spec.Ports {
		if int64(p.Port) == port {
			return
		}
	}
	k.fail("", "rule %d of %s points at port %d of Service %s, which it does not have", r.index+1, k.r.Name(), port, svc.Name)
}

// others warns of other routes that point at the same Service: what comes by
// them is not split.
func (k *checking) others(ctx context.Context, _ *unstructured.Unstructured, n names) error {
	at, err := k.r.resource(ctx)
	if err != nil {
		return err
	}
	l, err := k.r.c.List(ctx, at, k.r.set.Namespace, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range l.Items {
		if l.Items[i].GetName() == k.r.set.Route {
			continue
		}
		if rules, err := n.rules(&l.Items[i]); err == nil && len(rules) > 0 {
			k.warn("", "%s %s points at Service %s too; requests that come by it all go to %s", k.r.kind.name, l.Items[i].GetName(), n.old.name, oldName(k.r.set.Split))
		}
	}
	return nil
}

func oldName(s stages.Split) string {
	if s.Old.Name == "" {
		return stages.Stable
	}
	return s.Old.Name
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
