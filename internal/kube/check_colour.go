package kube

import (
	"context"
	"errors"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// checkColours checks what makes the idle colour take a release.
func (p *Platform) checkColours(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	idle := c.Split.New
	k := &checking{p: p, c: c, ns: p.c.ns(idle.Workload)}
	if err := k.colour(ctx, idle); err != nil {
		return nil, wrap("check "+idle.String(), err)
	}
	return k.found, nil
}

func (k *checking) colour(ctx context.Context, t stages.Track) error {
	if err := k.colourAccess(ctx, t); err != nil || k.blind {
		return err
	}
	live, err := k.p.c.Get(ctx, deployments(), k.ns, t.Workload.Name)
	if err != nil && !IsNotFound(err) {
		return err
	}
	b, err := k.p.colourWorld(ctx, t)
	if err != nil {
		return err
	}
	if live == nil && b.peer == nil && len(k.c.Release.Manifests) == 0 {
		if k.c.Release.Image == "" {
			k.warn("", "neither Deployment %s nor its peer %s exists yet; a first deployment can be checked once its image is known", t.Workload, t.Peer)
		} else {
			k.fail("check names and namespaces, or give the stage manifests: for a first deployment", "there is neither a Deployment %s nor its peer %s", t.Workload, t.Peer)
		}
		return nil
	}
	if live == nil {
		if err := k.home(ctx); err != nil {
			return err
		}
	}
	objs, err := k.p.colourObjects(ctx, t, k.c.Release, live)
	if err != nil {
		k.fail(hintOf(err), "%s", err)
		return nil
	}
	k.objs = objs
	after, err := released(live, objs, k.c.Release)
	if err != nil {
		k.fail(hintOf(err), "%s", err)
		return nil
	}
	return k.colourPods(ctx, b, live, after)
}

// colourAccess checks the permissions in the namespaces of both colours.
func (k *checking) colourAccess(ctx context.Context, t stages.Track) error {
	objs, err := k.p.besides(t, k.c.Release)
	if err != nil {
		k.fail(hintOf(err), "%s", err)
	}
	want, unknown := k.p.needs(ctx, t.Workload, objs)
	for _, err := range unknown {
		k.fail("install what defines this kind, or take it out of the manifests", "%s", err)
	}
	if t.Peer.Name != "" {
		for _, x := range k.p.permissions(t.Peer) {
			if !slices.Contains(want, x) {
				want = append(want, x)
			}
		}
	}
	missing, err := k.p.c.Missing(ctx, want)
	if err != nil || len(missing) == 0 {
		return err
	}
	for _, m := range missing {
		k.blind = k.blind || m.Verb != "watch" && m.Subresource == "" && slices.Contains([]string{"get", "list"}, m.Verb)
	}
	k.fail("give the account a Role with these rules: "+Rules(missing), "the account may not %s", Together(missing))
	return nil
}

// home checks that the namespace of a colour that is to be made is there, or
// comes with the manifests. Not every account may ask.
func (k *checking) home(ctx context.Context) error {
	_, err := k.p.c.Get(ctx, gvr("v1 namespaces"), "", k.ns)
	if err == nil || apierrors.IsForbidden(err) {
		return nil
	}
	if !IsNotFound(err) {
		return err
	}
	all, _ := decodeManifests(k.c.Release) // Its error has been reported.
	if !slices.ContainsFunc(all, func(u *unstructured.Unstructured) bool { return u.GetKind() == "Namespace" && u.GetName() == k.ns }) {
		k.fail("make it, with the ConfigMaps, Secrets and service accounts that the pods need, or put it into the manifests", "there is no namespace %s", k.ns)
	}
	return nil
}

// colourPods checks what the pods of the colour meet.
func (k *checking) colourPods(ctx context.Context, b colourWorld, live, after *unstructured.Unstructured) error {
	d, err := decode[appsv1.Deployment](after)
	if err != nil {
		k.fail("", "%s", err)
		return nil
	}
	k.resumed(d)
	k.selector(live, d.Name)
	k.probes(d)
	if err := k.colourServices(ctx, b, d); err != nil {
		return err
	}
	if err := k.references(ctx, after); err != nil {
		return err
	}
	k.others(ctx)
	size := wantedReplicas(d)
	if b.peer != nil {
		size = max(size, replicasIn(b.peer.Object))
	}
	need := peak{pods: int64(size), deployments: 1}
	if live != nil {
		surge, _ := strategyOf(d, size)
		if replicasIn(live.Object) == 0 {
			surge = 0
		}
		need = peak{pods: int64(max(size+surge-replicasIn(live.Object), 0))}
	}
	if k.objs.service != nil {
		need.services = 1
	}
	labels := podLabels{old: b.peerLabels(), new: d.Spec.Template.Labels}
	if labels.old == nil {
		labels.old = labels.new
	}
	if err := k.around(ctx, d, surroundings{labels: labels, peak: need, old: b.track.Peer.Name, new: d.Name}); err != nil {
		return err
	}
	return k.peerAutoscaler(ctx, b, d.Name)
}

// peerAutoscaler checks that the autoscaler of the colour that has the traffic
// can be held, too, and that the idle one has one as well: it has the traffic
// from the switch on, and all the growth that comes.
func (k *checking) peerAutoscaler(ctx context.Context, b colourWorld, idle string) error {
	if b.peer == nil {
		return nil
	}
	peer, err := decode[appsv1.Deployment](b.peer)
	if err != nil {
		return err
	}
	own, err := k.autoscaled(ctx, idle)
	if err != nil {
		return err
	}
	there := &checking{p: k.p, c: k.c, ns: b.peerNS}
	hpas, err := maybe[autoscalingv2.HorizontalPodAutoscaler](ctx, there, autoscalers())
	if err != nil {
		return err
	}
	for _, h := range hpas {
		if err := there.autoscaler(ctx, h, peer); err != nil {
			return err
		}
		if scales(h, peer.Name) && !own {
			k.warn("make one for Deployment "+idle+", or put it into the manifests",
				"HorizontalPodAutoscaler %s scales Deployment %s, and none scales %s: it keeps the number of pods that it gets, however much traffic comes", h.Name, peer.Name, idle)
		}
	}
	for _, f := range there.found {
		if !slices.ContainsFunc(k.found, func(g pipeline.Finding) bool { return g.Message == f.Message }) {
			k.found = append(k.found, f)
		}
	}
	return nil
}

// autoscaled reports whether a colour has an autoscaler, gets one from the
// release, or may have one that the account may not see, which is said of all.
func (k *checking) autoscaled(ctx context.Context, name string) (bool, error) {
	_, err := k.p.c.List(ctx, autoscalers(), k.ns, metav1.ListOptions{Limit: 1})
	if apierrors.IsForbidden(err) || IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	live, err := k.p.autoscalerOf(ctx, stages.Workload{Namespace: k.ns, Name: name})
	return live != nil || slices.ContainsFunc(k.objs.others, func(u *unstructured.Unstructured) bool {
		target, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
		return target == name && (u.GetKind() == autoscalerKind || u.GetKind() == scaledObjectKind)
	}), err
}

// colourServices checks that users do not reach the idle colour before its
// time, and that who asks for it finds it.
func (k *checking) colourServices(ctx context.Context, b colourWorld, d *appsv1.Deployment) error {
	mine := selectingAll(b.svcs, d.Spec.Template.Labels)
	k.ports(d, mine)
	for _, s := range mine {
		if !selects(s.Spec.Selector, b.peerLabels()) {
			continue
		}
		hint := "add the label that tells the colours apart to its selector"
		if s.Name == k.c.Service {
			k.fail(hint, "Service %s selects the pods of both colours (%s), so that users would reach %s before the switch", s.Name, pairs(s.Spec.Selector), b.track.Name)
		} else {
			k.warn(hint+", unless no user comes by it", "Service %s selects the pods of both colours (%s)", s.Name, pairs(s.Spec.Selector))
		}
	}
	if k.objs.service == nil {
		return nil
	}
	_, err := k.p.getOurs(ctx, mapped{gvr: services()}, k.ns, k.objs.service.GetName())
	if _, ok := errors.AsType[*NotOursError](err); ok {
		k.fail("let its selector be "+pairs(matchLabels(d))+", or rename it", "%s exists and does not select the pods of Deployment %s alone", describe(services(), k.ns, k.objs.service.GetName()), d.Name)
		return nil
	}
	return err
}

func matchLabels(d *appsv1.Deployment) map[string]string {
	if d.Spec.Selector == nil {
		return nil
	}
	return d.Spec.Selector.MatchLabels
}

// references checks that what the pods refer to is in their namespace, or
// comes with the manifests.
func (k *checking) references(ctx context.Context, after *unstructured.Unstructured) error {
	for _, r := range references(after) {
		if r.optional {
			continue
		}
		m, err := k.p.c.mapping(ctx, schema.GroupVersionKind{Version: "v1", Kind: r.Kind})
		if err != nil {
			return err
		}
		if k.brings(r.named) {
			continue
		}
		_, err = k.p.c.Get(ctx, m.gvr, k.ns, r.Name)
		switch {
		case IsNotFound(err):
			hint := "make it there, or put it into the manifests"
			if own, ok := coloursOf(k.c.Split.New).exchange(r.Name); ok && (r.Kind == "ConfigMap" || r.Kind == "Secret") {
				hint = "make it there, or one named " + own + ", which the pods then use, or put it into the manifests"
			}
			k.fail(hint, "the pods of Deployment %s need %s %s, which namespace %s does not have", after.GetName(), r.Kind, r.Name, k.ns)
		case apierrors.IsForbidden(err):
			k.warn("allow the account to get "+m.gvr.Resource, "whether namespace %s has %s %s, which the pods need, was not checked: the account may not read it", k.ns, r.Kind, r.Name)
		case err != nil:
			return err
		}
	}
	return nil
}

// brings reports whether the release's manifests hold an object.
func (k *checking) brings(n named) bool {
	return slices.ContainsFunc(k.objs.others, func(u *unstructured.Unstructured) bool {
		return u.GetKind() == n.Kind && u.GetName() == n.Name && (u.GetNamespace() == "" || u.GetNamespace() == k.ns)
	})
}
