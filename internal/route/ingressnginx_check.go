package route

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// nginxController is what the classes of ingress-nginx name.
const nginxController = "k8s.io/ingress-nginx"

// Check finds out whether the Ingress could be split; it changes nothing.
func (r *IngressNginx) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	k := &ingressChecking{r: r}
	err := k.all(ctx, c)
	return k.found, wrap("check "+r.Name(), err)
}

type ingressChecking struct {
	r *IngressNginx
	findings
}

func (k *ingressChecking) all(ctx context.Context, c stages.RolloutCheck) error {
	if ok, err := k.lack(ctx, k.r.c, k.r.permissions()); !ok {
		return err
	}
	user, err := k.r.c.Get(ctx, ingresses(), k.r.set.Namespace, k.r.set.Route)
	if kube.IsNotFound(err) {
		if !makes(c.Release, "Ingress", k.r.set.Route) { // A first deployment makes it.
			k.fail("check the name", "there is no Ingress %s in namespace %s", k.r.set.Route, k.r.set.Namespace)
		}
		return nil
	}
	if err != nil {
		return err
	}
	p, err := k.r.read(ctx)
	if err != nil {
		k.fail(hint(err), "%s", err)
		return nil
	}
	if user.GetAnnotations()[canaryAnnotation] == "true" {
		k.fail("name the Ingress beside it", "%s is a canary itself", k.r.Name())
		return nil
	}
	switch w, err := p.share(); {
	case err != nil:
		k.fail("", "%s: %s", k.r.Name(), err)
		return nil
	case w != 0:
		k.fail("an earlier run is not finished: headgate recover puts it right", "%s gives %s of its traffic to Service %s already", k.r.Name(), percent(w), p.new.name)
	}
	if err := k.class(ctx, user); err != nil {
		return err
	}
	if err := k.rivals(ctx, p); err != nil {
		return err
	}
	return k.writes(ctx, p)
}

// class checks that ingress-nginx is what carries the Ingress out.
func (k *ingressChecking) class(ctx context.Context, user *unstructured.Unstructured) error {
	name, ok, err := unstructured.NestedString(user.Object, "spec", "ingressClassName")
	if err != nil || !ok {
		return nil //nolint:nilerr // an annotation or the default class decides
	}
	u, err := k.r.c.Get(ctx, schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"}, "", name)
	switch {
	case kube.IsForbidden(err):
		k.warn("", "the account may not read IngressClass %s, so nobody has looked whether %s is carried out by ingress-nginx", name, k.r.Name())
		return nil
	case kube.IsNotFound(err):
		k.fail("", "there is no IngressClass %s, so that nothing carries %s out", name, k.r.Name())
		return nil
	case err != nil:
		return err
	}
	if controller, _, _ := unstructured.NestedString(u.Object, "spec", "controller"); controller != nginxController {
		k.fail("use a router for that controller, such as httpRoute", "%s is carried out by %s and not by ingress-nginx, whose canary annotations it does not know", k.r.Name(), controller)
	}
	return nil
}

// rivals looks for other canary Ingresses; the controller takes one for a path.
func (k *ingressChecking) rivals(ctx context.Context, p pair) error {
	l, err := k.r.c.List(ctx, ingresses(), k.r.set.Namespace, metav1.ListOptions{})
	if err != nil {
		return err
	}
	places := func(u *unstructured.Unstructured) map[string]bool {
		out := map[string]bool{}
		backendsIn(u, func(rule, path, _ map[string]any) {
			if rule != nil {
				out[fmt.Sprint(rule["host"], " ", path["path"])] = true
			}
		})
		return out
	}
	mine := places(p.user)
	for i := range l.Items {
		u := &l.Items[i]
		if u.GetAnnotations()[canaryAnnotation] != "true" || u.GetName() == kube.CanaryName(k.r.set.Route) {
			continue
		}
		for place := range places(u) {
			if mine[place] {
				k.fail("remove it, or wait for the rollout that it belongs to", "ingress %s is a canary of the same paths already; ingress-nginx takes only one", u.GetName())
				break
			}
		}
	}
	return nil
}

// writes checks that the server takes the canary Ingress, and what it cannot
// split.
func (k *ingressChecking) writes(ctx context.Context, p pair) error {
	backendsIn(p.user, func(rule, _, svc map[string]any) {
		if rule == nil && svc["name"] == p.old.name {
			k.warn("give it rules", "%s has Service %s as its default backend, too; what comes by that is not split", k.r.Name(), p.old.name)
		}
	})
	next, err := p.at(0, k.r.set.Split.New.Name, k.r.matches)
	if err != nil {
		k.fail("", "%s cannot be split: %s", k.r.Name(), err)
		return nil
	}
	if _, err := k.r.write(ctx, next, kube.Write{DryRun: true}); err != nil && !kube.IsConflict(err) {
		k.fail("", "the canary Ingress of %s cannot be made: %s", k.r.Name(), err)
	}
	return nil
}
