package local

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/headgate-dev/headgate/stages"
)

// setOwn makes a Deployment of the user's own take a release: stable, or a
// colour, either of which is made where it is missing.
func (w *World) setOwn(s *state, t stages.Track, r stages.Release, replicas int) error {
	from, err := readObjects(r.Manifests, t.Workload.Namespace)
	if err != nil {
		return err
	}
	now, there := s.Deployments[t.Workload.String()]
	first := !there || now.Run != "" && now.Run == r.Run.ID
	d := deployment{UID: now.UID}
	switch {
	case !there:
		d.UID, d.Run = randomSuffix(10), r.Run.ID
	case first:
		d.Run, d.Made = now.Run, now.Made
	} // Else it is the user's from now on, whoever made it first.
	next, config, err := s.own(t, from, r)
	if err != nil {
		return err
	}
	if replicas >= 0 {
		next.Spec.Replicas = new32(replicas)
	}
	if err := w.pin(s, next); err != nil {
		return err
	}
	d.Object = *next
	if t.Colour() {
		d.Colour = t.Name
	}
	d.configure(from, r, config)
	s.bring(&d, t, from, first)
	if !first {
		w.adopt(s, t)
	}
	s.Deployments[d.key()] = d
	return w.routeAll(s)
}

// own is the Deployment that a release makes of a track's own, with the
// ConfigMaps and Secrets that its former release had for it alone.
func (s *state) own(t stages.Track, from manifestSet, r stages.Release) (*appsv1.Deployment, objectSet, error) {
	if t.Colour() {
		return s.colour(t, from, r)
	}
	var live *appsv1.Deployment
	now, there := s.Deployments[t.Workload.String()]
	if there {
		live = &now.Object
	}
	next, err := released(live, from, t, r)
	return next, now.Config, err
}

// bring adds the objects of a release to the world, and what a colour needs
// besides.
func (s *state) bring(d *deployment, t stages.Track, from manifestSet, first bool) {
	made := func(k objectKey) { d.Made = append(slices.Clone(d.Made), k) }
	for _, k := range from.order {
		_, have := s.Objects[k]
		switch {
		case t.Colour() && !s.ofColour(k, have, t, from, d):
			continue
		case have && (first || k.Kind == "HTTPRoute"):
			continue // a manifest knows nothing of the weights of a running rollout
		}
		s.Objects[k] = from.objects[k]
		if first && !have {
			made(k)
		}
	}
	if t.Colour() {
		for _, k := range s.besides(t, &d.Object) {
			made(k)
		}
	}
}

// adopt takes from the canary what was made for it, since stable needs it from
// now on.
func (w *World) adopt(s *state, t stages.Track) {
	key := trackKey(stages.Track{Workload: t.Workload, Name: stages.Canary})
	if d, ok := s.Deployments[key]; ok {
		d.Made = nil
		s.Deployments[key] = d
	}
}
