package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/stages"
)

// setColour makes a colour's own Deployment take the release, made anew where
// it is missing, with a Service of its own.
func (p *Platform) setColour(ctx context.Context, t stages.Track, r stages.Release, replicas int) error {
	ns := p.c.ns(t.Workload)
	live, err := p.c.Get(ctx, deployments(), ns, t.Workload.Name)
	if err != nil && !IsNotFound(err) {
		return err
	}
	if live != nil && replicas >= 0 && onlySize(live, r) {
		return p.resize(ctx, live, replicas)
	}
	objs, err := p.colourObjects(ctx, t, r, live)
	if err != nil {
		return err
	}
	if live == nil || firstOf(live, r) {
		if objs.service != nil {
			objs.others = append(slices.Clone(objs.others), objs.service)
		}
		return p.first(ctx, objs, t, r, replicas)
	}
	if err := p.applyOthers(ctx, objs.others, t.Workload, r.Run); err != nil {
		return err
	}
	if objs.service != nil { // First, so that a pod is in its endpoints at once.
		sign(objs.service, r.Run)
		if _, err := p.write(ctx, objs.service, Write{}); err != nil {
			return err
		}
	}
	return p.take(ctx, live, objs, taking{promotion: promotion{r, replicas}})
}

// onlySize reports whether a release leaves what the Deployment runs as it is:
// it says nothing, or this run made the Deployment with it, from another one
// that may have changed since.
func onlySize(live *unstructured.Unstructured, r stages.Release) bool {
	if r.Image == "" && len(r.Manifests) == 0 {
		return true
	}
	return firstOf(live, r) && live.GetDeletionTimestamp() == nil && hasImage(live, r) && readInventory(live).complete()
}

// objectsFor returns what a release holds for a track that is the user's own.
func (p *Platform) objectsFor(ctx context.Context, t stages.Track, r stages.Release, live *unstructured.Unstructured) (objects, error) {
	if t.Colour() {
		return p.colourObjects(ctx, t, r, live)
	}
	return readManifests(r, p.c.ns(t.Workload), t.Workload.Name)
}

// colourObjects works out what a release holds for a colour: its manifest, or
// one made from its peer's or from its live peer where it is missing, and the
// Service that it needs for itself.
func (p *Platform) colourObjects(ctx context.Context, t stages.Track, r stages.Release, live *unstructured.Unstructured) (objects, error) {
	b, err := p.colourWorld(ctx, t)
	if err != nil {
		return objects{}, err
	}
	objs, peer, err := colourManifests(r, t, b.ns, b.peerNS)
	if err != nil {
		return objects{}, err
	}
	if objs.workload == nil && (live == nil || peer != nil) {
		if err = b.fromPeer(&objs, peer, live); err != nil {
			return objects{}, err
		}
		if err := p.exchangeReferences(ctx, &objs, t); err != nil {
			return objects{}, err
		}
	}
	after, err := released(live, objs, stages.Release{})
	if err != nil {
		return objects{}, err
	}
	objs.others = b.ofColour(objs.others, after)
	if objs.service, err = b.ownService(after, objs.others); err != nil {
		return objects{}, err
	}
	return objs, objs.version(b.ns)
}

// colourManifests sorts a release's manifests for one colour. peer is the
// manifest of the other one's Deployment, nil where there is none.
func colourManifests(r stages.Release, t stages.Track, ns, peerNS string) (objs objects, peer *unstructured.Unstructured, err error) {
	all, err := decodeManifests(r)
	if err != nil {
		return objects{}, nil, err
	}
	for _, u := range all {
		at := u.GetNamespace()
		switch {
		case !isDeployment(u):
			objs.others = append(objs.others, u)
		case u.GetName() == t.Workload.Name && (at == "" || at == ns):
			if objs.workload != nil {
				return objects{}, nil, fmt.Errorf("read manifests: they hold two Deployments named %s", u.GetName())
			}
			u.SetNamespace(ns)
			objs.workload = u
		case u.GetName() == t.Peer.Name && (at == "" || at == peerNS):
			peer = u
		case u.GetName() == t.Workload.Name && at != ns:
			return objects{}, nil, fmt.Errorf("read manifests: Deployment %s is for namespace %s, and the pipeline deploys to %s", u.GetName(), at, ns)
		default:
			objs.others = append(objs.others, u)
		}
	}
	if len(all) > 0 && objs.workload == nil && peer == nil {
		return objects{}, nil, fmt.Errorf("read manifests: they hold no Deployment named %s, nor one named %s", t.Workload.Name, t.Peer.Name)
	}
	return objs, peer, nil
}

// exchangeReferences makes the pods of a colour that is made from its peer's
// refer to its own ConfigMaps and Secrets, where there are such: those whose
// names differ in the colour alone.
func (p *Platform) exchangeReferences(ctx context.Context, objs *objects, t stages.Track) error {
	own := map[named]string{}
	var hidden unreadableError
	for ref := range refsOf(podOf(objs.workload)) {
		name, ok := coloursOf(t).exchange(ref.Name)
		if !ok {
			continue
		}
		there, err := p.there(ctx, *objs, named{ref.Kind, name})
		if apierrors.IsForbidden(err) {
			hidden.add(ref, name, objs.workload.GetNamespace())
			continue
		}
		if err != nil {
			return err
		}
		if !there {
			objs.notes = append(objs.notes, fmt.Sprintf("its pods refer to %s %s, for there is no %s", ref.Kind, ref.Name, name))
		} else {
			own[ref] = name
			objs.notes = append(objs.notes, fmt.Sprintf("its pods refer to %s %s instead of %s", ref.Kind, name, ref.Name))
		}
	}
	if len(hidden.asked) > 0 {
		slices.Sort(hidden.asked)
		slices.SortFunc(hidden.missing, func(a, b Permission) int { return strings.Compare(a.Resource, b.Resource) })
		return &hidden
	}
	for c := range maps2(podOf(objs.workload)["containers"]) {
		for e := range maps2(c["env"]) {
			// Only the user knows what a value means; it may be a secret, too.
			if _, named := coloursOf(t).exchange(text(e["value"])); named {
				objs.notes = append(objs.notes, fmt.Sprintf("the value of %s in container %s names %s and stays", text(e["name"]), text(c["name"]), coloursOf(t).from))
			}
		}
	}
	slices.Sort(objs.notes)
	eachRef(podOf(objs.workload), func(kind string, holder map[string]any, key string) {
		if name, ok := own[named{kind, text(holder[key])}]; ok {
			holder[key] = name
		}
	})
	return nil
}

// unreadableError reports that the account may not ask for what a colour that
// is made would refer to. Which of the two it is must not be guessed: it may
// hold a database's address.
type unreadableError struct {
	asked   []string
	missing []Permission
}

func (e *unreadableError) add(ref named, own, ns string) {
	e.asked = append(e.asked, fmt.Sprintf("%s %s, which they would use instead of %s", ref.Kind, own, ref.Name))
	x := Permission{Verb: "get", Resource: strings.ToLower(ref.Kind) + "s", Namespace: ns}
	if !slices.Contains(e.missing, x) {
		e.missing = append(e.missing, x)
	}
}

// Error names what the pods would refer to, and what the account may not do.
func (e *unreadableError) Error() string {
	return fmt.Sprintf("make pods like the other colour's: it is not known whether there is %s, for the account may not %s",
		strings.Join(e.asked, ", or "), Together(e.missing))
}

// Hint says what to do about it.
func (e *unreadableError) Hint() string {
	return "give the account a Role with these rules, for these names at least: " + Rules(e.missing) + "; or put the Deployment of this colour into the manifests, or into the cluster"
}

// there reports whether the colour's namespace has an object, or will have it
// from the release's manifests.
func (p *Platform) there(ctx context.Context, objs objects, n named) (bool, error) {
	ns := objs.workload.GetNamespace()
	for _, u := range objs.others {
		if u.GetKind() == n.Kind && u.GetName() == n.Name && (u.GetNamespace() == "" || u.GetNamespace() == ns) {
			return true, nil
		}
	}
	k, err := p.c.mapping(ctx, schema.GroupVersionKind{Version: "v1", Kind: n.Kind})
	if err != nil {
		return false, err
	}
	_, err = p.c.Get(ctx, k.gvr, ns, n.Name)
	if IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
