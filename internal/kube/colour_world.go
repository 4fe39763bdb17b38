package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// colourWorld is what surrounds a colour.
type colourWorld struct {
	track      stages.Track
	ns, peerNS string
	// peer is the other colour's Deployment, nil where it is not there.
	peer *unstructured.Unstructured
	// raw and svcs are the Services of the colour's namespace; rawPeer and
	// peerSvcs of its peer's, which may be the same.
	raw, rawPeer   []*unstructured.Unstructured
	svcs, peerSvcs []corev1.Service
}

func (p *Platform) colourWorld(ctx context.Context, t stages.Track) (colourWorld, error) {
	b := colourWorld{track: t, ns: p.c.ns(t.Workload), peerNS: p.c.ns(t.Peer)}
	var err error
	if t.Peer.Name != "" {
		if b.peer, err = p.c.Get(ctx, deployments(), b.peerNS, t.Peer.Name); err != nil && !IsNotFound(err) {
			return b, err
		}
	}
	if b.raw, err = p.theirServices(ctx, b.ns); err != nil {
		return b, err
	}
	if b.svcs, err = decodeAll[corev1.Service](b.raw); err != nil {
		return b, err
	}
	b.rawPeer, b.peerSvcs = b.raw, b.svcs
	if b.peerNS == b.ns || b.peer == nil {
		return b, nil
	}
	if b.rawPeer, err = p.theirServices(ctx, b.peerNS); err != nil {
		return b, err
	}
	b.peerSvcs, err = decodeAll[corev1.Service](b.rawPeer)
	return b, err
}

// peerLabels are those of the peer's pods, where they live in the namespace of
// the colour, so that a Service could select both.
func (b colourWorld) peerLabels() map[string]string {
	if b.peer == nil || b.peerNS != b.ns {
		return nil
	}
	return templateLabels(b.peer)
}

func templateLabels(u *unstructured.Unstructured) map[string]string {
	labels, _, _ := unstructured.NestedStringMap(u.Object, "spec", "template", "metadata", "labels")
	return labels
}

// fromPeer makes the colour's Deployment from its peer's: from the live one
// with what manifest says, each of which may be missing. Where the colour is
// live, its pods keep the labels by which its Deployment knows them.
func (b colourWorld) fromPeer(objs *objects, manifest, live *unstructured.Unstructured) error {
	base, err := released(b.peer, objects{workload: manifest}, stages.Release{})
	if err != nil {
		return err
	}
	if b.peer != nil {
		base.SetNamespace(b.peerNS)
	}
	d, err := decode[appsv1.Deployment](base)
	if err != nil {
		return err
	}
	if d.Spec.Selector == nil {
		return fmt.Errorf("deployment %s has no selector", base.GetName())
	}
	var ms marks
	var known map[string]string
	if live != nil {
		known, _, _ = unstructured.NestedStringMap(live.Object, "spec", "selector", "matchLabels")
	}
	switch {
	case live != nil: // The same as when it was made, or its pods would be spread by its peer's.
		ms = marksBetween(d.Spec.Template.Labels, known)
	case b.peerNS != b.ns: // Apart already; what says the colour follows it.
		ms = ofColours(d.Spec.Selector.MatchLabels, coloursOf(b.track))
	default:
		if ms, err = chooseMarks(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels, b.svcs, coloursOf(b.track)); err != nil {
			return err
		}
	}
	u := recoloured(base, ms, b.track, b.ns)
	if live != nil {
		labels := templateLabels(u)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, known)
		set(u.Object, anyMap(labels), "spec", "template", "metadata", "labels")
	}
	from := "the manifest of " + b.track.Peer.Name
	if manifest == nil {
		from = "deployment " + b.peerNS + "/" + b.track.Peer.Name
	}
	objs.notes = append(objs.notes, "made from "+from)
	for _, m := range ms {
		if live != nil {
			break // They have it already.
		}
		objs.notes = append(objs.notes, fmt.Sprintf("its pods have %s=%s", m.Key, m.Canary))
	}
	objs.workload = u
	return nil
}

// ownService makes the Service of a colour's own that is missing; nil where
// there is one, where the release brings it, and where no Service selects the
// peer's pods, so that nobody calls them by one.
func (b colourWorld) ownService(after *unstructured.Unstructured, others []*unstructured.Unstructured) (*unstructured.Unstructured, error) {
	labels := templateLabels(after)
	if _, ok := b.own(labels); ok {
		return nil, nil //nolint:nilnil // which says that there is nothing to make
	}
	for _, u := range others {
		if b.selectsOnly(u, labels) {
			return nil, nil //nolint:nilnil // as above
		}
	}
	if b.peer == nil {
		return nil, nil //nolint:nilnil // as above
	}
	peers := selectingAll(b.peerSvcs, templateLabels(b.peer))
	front, ok := frontService(peers, b.track.Peer.Name)
	if !ok {
		return nil, nil //nolint:nilnil // as above
	}
	i := slices.IndexFunc(b.rawPeer, func(u *unstructured.Unstructured) bool { return u.GetName() == front.Name })
	svc, err := canaryService(b.rawPeer[i], peers, mark{}, b.track)
	if err != nil {
		return nil, err
	}
	svc.SetNamespace(b.ns)
	if b.track.Service != "" {
		svc.SetName(b.track.Service)
	}
	known, _, _ := unstructured.NestedStringMap(after.Object, "spec", "selector", "matchLabels")
	if len(known) == 0 {
		return nil, fmt.Errorf("make the Service of %s: the selector of deployment %s has no matchLabels", b.track, after.GetName())
	}
	set(svc.Object, anyMap(known), "spec", "selector")
	return svc, nil
}

// own finds the Service of a colour's own.
func (b colourWorld) own(labels map[string]string) (corev1.Service, bool) {
	peer := b.peerLabels()
	all := slices.DeleteFunc(selectingAll(b.svcs, labels), func(s corev1.Service) bool {
		return selects(s.Spec.Selector, peer) || b.track.Service != "" && s.Name != b.track.Service
	})
	return frontService(all, b.track.Workload.Name)
}

// selectsOnly reports whether an object is a Service that selects the colour's
// pods and not its peer's.
func (b colourWorld) selectsOnly(u *unstructured.Unstructured, labels map[string]string) bool {
	if u.GetKind() != "Service" || u.GetNamespace() != "" && u.GetNamespace() != b.ns {
		return false
	}
	selector, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector")
	return selects(selector, labels) && !selects(selector, b.peerLabels())
}

// ofColour leaves out of a release's other objects those that are not the
// colour's to change while its peer has the traffic.
func (b colourWorld) ofColour(others []*unstructured.Unstructured, after *unstructured.Unstructured) []*unstructured.Unstructured {
	labels := templateLabels(after)
	needed := references(after)
	return slices.DeleteFunc(slices.Clone(others), func(u *unstructured.Unstructured) bool {
		ns := u.GetNamespace()
		switch u.GetKind() {
		case "Namespace":
			return b.peerNS != b.ns && u.GetName() == b.peerNS
		case "Service":
			// Its selector may be what says which colour has the traffic.
			there := slices.ContainsFunc(b.svcs, func(s corev1.Service) bool { return s.Name == u.GetName() })
			if there && (ns == "" || ns == b.ns) {
				own, ok := b.own(labels)
				return !ok || own.Name != u.GetName() || !b.selectsOnly(u, labels)
			}
		case "ConfigMap", "Secret":
			// One that is not for the pods may hold the weights of a proxy.
			if ns == "" || ns == b.ns {
				return !slices.ContainsFunc(needed, func(r reference) bool { return r.Kind == u.GetKind() && r.Name == u.GetName() })
			}
		case "HorizontalPodAutoscaler":
			name, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
			return name == b.track.Peer.Name && (ns == "" && b.peerNS == b.ns || ns == b.peerNS) && name != after.GetName()
		}
		return ns != "" && ns != b.ns && ns == b.peerNS
	})
}
