package route

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Check finds out whether the upstream could be split, and whether every nginx
// would load it; it changes nothing but the files that nginx itself makes when
// it tests a configuration.
func (r *Nginx) Check(ctx context.Context, _ stages.RolloutCheck) ([]pipeline.Finding, error) {
	k := &findings{}
	if ok, err := k.lack(ctx, r.c, r.permissions()); err != nil || !ok {
		return k.found, wrap("check "+r.Name(), err)
	}
	u, err := r.get(ctx)
	if kube.IsNotFound(err) {
		k.fail("check the name, and traffic: nginx: namespace/name if it is in another namespace", "there is no ConfigMap %s in namespace %s", r.set.Route, r.set.Namespace)
		return k.found, nil
	}
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	n, err := r.readFrom(ctx, u)
	if err != nil {
		k.fail(hint(err), "%s", err)
		return k.found, nil
	}
	if immutable, _, _ := unstructured.NestedBool(u.Object, "immutable"); immutable {
		err := &immutableError{r.Name()}
		k.fail(err.Hint(), "%s", err)
	}
	k.upstream(r, n)
	if err := k.headless(ctx, r.c, n.next, serviceOfServer(n.block.old, r.set.Namespace)); err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	return k.found, k.fleet(ctx, r, n)
}

// upstream checks what the block says.
func (k *findings) upstream(r *Nginx, n *nginxConfig) {
	w, err := n.block.weight()
	switch {
	case err != nil:
		k.fail("give the server that shall have the traffic a weight, and mark the other down", "%s: %s", r.Name(), err)
	case w != 0:
		k.fail("an earlier run is not finished: headgate recover puts it right", "%s gives %s of its traffic to Service %s already", r.Name(), percent(w), n.next)
	}
	for _, s := range []*nginxServer{n.block.old, n.block.new} {
		if s != nil && s.weight == 0 {
			k.fail("mark it down in place of weight=0", "upstream %s of %s has a server with weight=0, which nginx refuses", n.block.name, r.Name())
		}
	}
	for _, d := range n.block.block.children {
		if slices.Contains([]string{"ip_hash", "hash", "sticky"}, d.name()) {
			k.warn("weights hold for many users together", "upstream %s of %s keeps each user on one server (%s)", n.block.name, r.Name(), d.name())
		}
	}
}

// serviceOfServer is the Service that a server's host names.
func serviceOfServer(s *nginxServer, local string) service {
	if s == nil {
		return service{}
	}
	name, ns := hostParts(s.d.words[1].text, local)
	return service{ns, name}
}

// headless finds Services that have no address of their own: nginx resolves
// names once, when it starts, and would keep addresses of pods.
func (k *findings) headless(ctx context.Context, c *kube.Cluster, all ...service) error {
	for _, s := range all {
		if s.name == "" {
			continue
		}
		u, err := c.Get(ctx, schema.GroupVersionResource{Version: "v1", Resource: "services"}, s.namespace, s.name)
		if kube.IsNotFound(err) {
			continue // It will be made.
		}
		if err != nil {
			return err
		}
		var svc corev1.Service
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &svc); err != nil {
			return fmt.Errorf("read service %s: %w", s, err)
		}
		if svc.Spec.ClusterIP == corev1.ClusterIPNone {
			k.fail("let nginx's upstream name a Service with a cluster address", "Service %s is headless; nginx would go on sending to the pods that it had when nginx read its name", s)
		}
	}
	return nil
}

// fleet checks the pods: one of them tests what it has now.
func (k *findings) fleet(ctx context.Context, r *Nginx, n *nginxConfig) error {
	ctx, cancel := r.within(ctx)
	defer cancel()
	f := &nginxFleet{r: r, key: n.key}
	if _, err := f.list(ctx); err != nil {
		if hint(err) == "" {
			return wrap("check "+r.Name(), err)
		}
		k.fail(hint(err), "%s", err)
		return nil
	}
	if len(f.now) == 0 {
		err := &noNginxError{r.Name()}
		k.fail(err.Hint(), "%s", err)
		return nil
	}
	for i, p := range f.now {
		s, err := p.look(ctx)
		switch {
		case err != nil && hint(err) == "":
			return wrap("check "+r.Name(), err)
		case err != nil:
			k.fail(hint(err), "%s", err)
			return nil
		case s.file != n.text():
			k.warn("it is loaded with the first change of weight", "pod %s does not have the present configuration yet", p.name)
		}
		if i > 0 {
			continue
		}
		if err := p.testCandidate(ctx, n.text(), resolveTimeout); err != nil {
			k.fail(hint(err), "%s", err)
		}
	}
	return nil
}
