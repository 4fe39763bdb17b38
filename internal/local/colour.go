package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/headgate-dev/headgate/stages"
)

// colour is the Deployment that a release makes of a colour: by its own
// manifest, by that of its peer, from what is live of it, or from its live
// peer. config are the ConfigMaps and Secrets that its former release, or its
// peer's, had for it alone.
func (s *state) colour(t stages.Track, from manifestSet, r stages.Release) (next *appsv1.Deployment, config objectSet, err error) {
	now, there := s.Deployments[t.Workload.String()]
	peer, peered := s.Deployments[t.Peer.String()]
	_, given := from.deployment(t.Workload.Namespace, t.Workload.Name)
	manifest, peerGiven := from.deployment(t.Peer.Namespace, t.Peer.Name)
	switch {
	case given, there && len(r.Manifests) == 0:
		var live *appsv1.Deployment
		if there {
			live = &now.Object
		}
		next, err = released(live, from, t, r)
		return next, now.Config, err
	case peerGiven:
		next = manifest.DeepCopy()
	case len(r.Manifests) > 0 && len(from.deployments) > 0:
		return nil, nil, fmt.Errorf("read manifests: of the Deployments in them, none is %s or %s", t.Workload, t.Peer)
	case there:
		next = now.Object.DeepCopy()
	case peered:
		next, config = peer.Object.DeepCopy(), peer.Config.moved(t.Workload.Namespace)
	default:
		return nil, nil, errNothingLive
	}
	if next.Name != t.Workload.Name || next.Namespace != t.Workload.Namespace {
		s.recolour(next, t)
	}
	if there {
		config = now.Config
		next.Spec.Replicas, next.Spec.Selector = now.Object.Spec.Replicas, now.Object.Spec.Selector
		template := &next.Spec.Template
		template.Labels = maps.Clone(template.Labels)
		maps.Copy(template.Labels, now.Object.Spec.Selector.MatchLabels)
	}
	if err := setImage(next, r); err != nil {
		return nil, nil, err
	}
	linger(next, r.Drain)
	return next, config, nil
}

// moved are the same objects in another namespace.
func (s objectSet) moved(namespace string) objectSet {
	out := objectSet{}
	for k, raw := range s {
		k.Namespace = namespace
		out[k] = raw
	}
	return out
}

// recolour makes a Deployment of its peer's: another name, and other labels
// where the pods of both would be taken for each other.
func (s *state) recolour(d *appsv1.Deployment, t stages.Track) {
	before := d.Spec.Template.Labels
	from, to := stages.Blue, t.Name
	if t.Name == stages.Blue {
		from = stages.Green
	}
	marks := map[string]string{} // from label to its new value
	for k, v := range d.Spec.Selector.MatchLabels {
		if rest, ok := strings.CutSuffix(v, from); ok && (rest == "" || strings.HasSuffix(rest, "-")) {
			marks[k] = rest + to
		}
	}
	if d.Namespace == t.Workload.Namespace && (len(marks) == 0 || s.selectsBoth(d.Namespace, before, overlaid(before, marks))) {
		if k := markKey(d); k != "" && marks[k] == "" {
			marks[k] = stages.Suffixed(d.Spec.Selector.MatchLabels[k], "-"+to)
		}
	}
	d.Name, d.Namespace = t.Workload.Name, t.Workload.Namespace
	d.Spec.Paused = false
	d.Spec.Template.Labels = overlaid(before, marks)
	d.Spec.Selector = d.Spec.Selector.DeepCopy()
	d.Spec.Selector.MatchLabels = overlaid(d.Spec.Selector.MatchLabels, marks)
	eachConfigRef(d.Spec.Template.Spec, func(kind string, name *string) {
		for _, sep := range []string{"-", "."} {
			words := strings.Split(*name, sep)
			if i := slices.Index(words, from); i >= 0 {
				words[i] = to
				if other := strings.Join(words, sep); s.has(objectKey{kind, d.Namespace, other}) {
					*name = other
					return
				}
			}
		}
	})
}

func (s *state) has(k objectKey) bool { _, ok := s.Objects[k]; return ok }

// overlaid returns labels with some values changed.
func overlaid(of, by map[string]string) map[string]string {
	out := maps.Clone(of)
	for k, v := range by {
		if _, ok := out[k]; ok {
			out[k] = v
		}
	}
	return out
}

// selectsBoth reports whether a Service selects pods of both labels.
func (s *state) selectsBoth(namespace string, a, b map[string]string) bool {
	return slices.ContainsFunc(s.Objects.services(namespace), func(svc corev1.Service) bool {
		return selects(svc, a) && selects(svc, b)
	})
}

func selects(svc corev1.Service, of map[string]string) bool {
	return len(svc.Spec.Selector) > 0 && labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(of))
}

// ofColour reports whether an object of a release is the colour's to change
// while its peer has the traffic.
func (s *state) ofColour(k objectKey, have bool, t stages.Track, from manifestSet, d *deployment) bool {
	if k.Namespace != t.Workload.Namespace && k.Namespace == t.Peer.Namespace {
		return false
	}
	if !have {
		return true
	}
	svc, ok := read[corev1.Service](from.objects, k)
	return k.Kind == "Service" && ok && s.ownService(svc, t, d.Object.Spec.Template.Labels)
}

// ownService reports whether a Service selects a colour's pods and not those
// of its peer.
func (s *state) ownService(svc corev1.Service, t stages.Track, of map[string]string) bool {
	peer, ok := s.Deployments[t.Peer.String()]
	both := ok && t.Peer.Namespace == t.Workload.Namespace && selects(svc, peer.Object.Spec.Template.Labels)
	return selects(svc, of) && !both
}

// besides makes what a colour needs and nobody has given it: a Service of its
// own, and the ConfigMaps and Secrets that its peer has in another namespace.
// It returns what was made.
func (s *state) besides(t stages.Track, d *appsv1.Deployment) (made []objectKey) {
	if t.Peer.Namespace != t.Workload.Namespace {
		for _, k := range configRefs(d.Spec.Template.Spec, d.Namespace) {
			theirs := objectKey{k.Kind, t.Peer.Namespace, k.Name}
			if !s.has(k) && s.has(theirs) {
				s.Objects[k] = s.Objects[theirs]
				made = append(made, k)
			}
		}
	}
	of := d.Spec.Template.Labels
	if slices.ContainsFunc(s.Objects.services(d.Namespace), func(svc corev1.Service) bool { return s.ownService(svc, t, of) }) {
		return made
	}
	peer, ok := s.Deployments[t.Peer.String()]
	if !ok {
		return made
	}
	svc, ok := selecting(s.Objects.services(t.Peer.Namespace), peer.Object.Spec.Template.Labels, t.Peer.Name)
	k := objectKey{"Service", d.Namespace, d.Name}
	if t.Service != "" {
		k.Name = t.Service
	}
	if !ok || s.has(k) {
		return made
	}
	svc.Name, svc.Namespace, svc.Labels, svc.Annotations = k.Name, k.Namespace, nil, nil
	svc.Spec.Selector = d.Spec.Selector.MatchLabels
	raw, err := json.Marshal(svc)
	if err != nil {
		panic("local: Service of " + d.Name + ": " + err.Error()) // it came from JSON
	}
	s.Objects[k] = raw
	return append(made, k)
}
