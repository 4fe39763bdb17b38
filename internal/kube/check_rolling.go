package kube

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// usualDrain is what is advised where pods have no preStop hook: endpoints
// reach every proxy within a second or two on most clusters.
const usualDrain = 5

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
		k.update(d, len(svcs) > 0)
	}
	k.others(ctx)
	need, labels := peak{pods: int64(wantedReplicas(d)), deployments: 1}, podLabels{old: d.Spec.Template.Labels, new: d.Spec.Template.Labels}
	if live != nil {
		surge, _ := strategyOf(d, wantedReplicas(d))
		need, labels.old = peak{pods: int64(surge)}, templateLabels(live)
	}
	return k.around(ctx, d, surroundings{labels: labels, peak: need, old: d.Name, new: "the release"})
}

// update warns of what an update in place costs users; served is whether any
// Service sends them to the pods.
func (k *checking) update(d *appsv1.Deployment, served bool) {
	n := wantedReplicas(d)
	_, unavailable := strategyOf(d, n)
	switch {
	case n == 0:
		k.warn("scale it up first, or nothing proves the release", "Deployment %s has 0 replicas", d.Name)
		return
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		k.warn("use the strategy RollingUpdate if two versions can run side by side",
			"Deployment %s has the strategy Recreate: nobody is served from the end of its old pods until the new ones are ready", d.Name)
	case unavailable >= n:
		k.warn("lower spec.strategy.rollingUpdate.maxUnavailable",
			"the update of Deployment %s may take away all of its %d pods at once: nobody is served until new ones are ready", d.Name, n)
	}
	if !served || k.c.Release.Drain > 0 {
		return
	}
	k.drains(d, drainHint())
}

func drainHint() string {
	return fmt.Sprintf("drain: %ds lets each pod go on serving for %d s after it was told to end; the update does not take longer by that, but for so long there are more pods, which quotas count", usualDrain, usualDrain)
}

// drains warns of containers that end at once while proxies still send them
// requests.
func (k *checking) drains(d *appsv1.Deployment, hint string) {
	var without []string
	for _, c := range d.Spec.Template.Spec.Containers {
		if len(c.Ports) > 0 && (c.Lifecycle == nil || c.Lifecycle.PreStop == nil) {
			without = append(without, c.Name)
		}
	}
	if len(without) > 0 {
		k.warn(hint, "container %s of Deployment %s has no preStop hook; requests that reach its pods while they end may be lost", strings.Join(without, ", "), d.Name)
	}
}
