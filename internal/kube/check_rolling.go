package kube

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// rolling checks a workload that is updated in place, pod by pod.
func (k *checking) rolling(ctx context.Context) error {
	w := k.c.Workload
	live, err := k.p.c.Get(ctx, deployments(), k.ns, w.Name)
	if err != nil && !IsNotFound(err) {
		return err
	}
	if live == nil && k.objs.workload == nil {
		if k.c.Release.Image == "" {
			k.warn("", "Deployment %s does not exist yet; its first deployment can be checked once its image is known", w)
		} else {
			k.fail("check name and namespace, or give the stage manifests: for a first deployment", "there is no Deployment %s in namespace %s", w.Name, k.ns)
		}
		return nil
	}
	base, err := released(live, k.objs, k.c.Release)
	if err != nil {
		k.fail(hintOf(err), "%s", err)
		return nil
	}
	d, err := decode[appsv1.Deployment](base)
	if err != nil {
		k.fail("", "%s", err)
		return nil
	}
	k.resumed(d)
	k.selector(live, d.Name)
	k.probes(d)
	raw, err := k.p.theirServices(ctx, k.ns)
	if err != nil {
		return err
	}
	svcs, err := decodeAll[corev1.Service](raw)
	if err != nil {
		return err
	}
	svcs = selectingAll(svcs, d.Spec.Template.Labels)
	k.ports(d, svcs)
	if live != nil {
		k.update(d)
	}
	k.others(ctx)
	need, labels := peak{pods: int64(wantedReplicas(d)), deployments: 1}, podLabels{old: d.Spec.Template.Labels, new: d.Spec.Template.Labels}
	if live != nil {
		surge, _ := strategyOf(d, wantedReplicas(d))
		need, labels.old = peak{pods: int64(surge)}, templateLabels(live)
	}
	return k.around(ctx, d, surroundings{labels: labels, peak: need, old: d.Name, new: "the release"})
}

// update warns of what an update in place costs users. That pods end at once
// is not among it: the stage asks for that; see [Platform.Drains].
func (k *checking) update(d *appsv1.Deployment) {
	n := wantedReplicas(d)
	_, unavailable := strategyOf(d, n)
	switch {
	case n == 0:
		k.warn("scale it up first, or nothing proves the release", "Deployment %s has 0 replicas", d.Name)
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		k.warn("use the strategy RollingUpdate if two versions can run side by side",
			"Deployment %s has the strategy Recreate: nobody is served from the end of its old pods until the new ones are ready", d.Name)
	case unavailable >= n:
		k.warn("lower spec.strategy.rollingUpdate.maxUnavailable",
			"the update of Deployment %s may take away all of its %d pods at once: nobody is served until new ones are ready", d.Name, n)
	}
}
