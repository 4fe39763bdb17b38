package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

var _ stages.Platform = (*World)(nil)

// errNothingLive reports a workload that is not there and has no manifests.
var errNothingLive = errors.New("there is no such Deployment yet, and the release has no manifests to make it from")

// placed gives a workload its namespace.
func (w *World) placed(wl stages.Workload) stages.Workload {
	if wl.Namespace == "" {
		wl.Namespace = w.opts.Namespace
	}
	return wl
}

func (w *World) placedTrack(t stages.Track) stages.Track {
	t.Workload = w.placed(t.Workload)
	if t.Peer.Name != "" {
		t.Peer = w.placed(t.Peer)
	}
	return t
}

func trackKey(t stages.Track) string { return t.Workload.Namespace + "/" + trackName(t) }

// Live reads the stable track.
func (w *World) Live(ctx context.Context, wl stages.Workload) (stages.Live, error) {
	if err := context.Cause(ctx); err != nil {
		return stages.Live{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.state.Deployments[w.placed(wl).String()]
	if !ok {
		return stages.Live{}, nil
	}
	live := stages.Live{
		Exists: true, Replicas: d.replicas(), Version: d.version(), Images: map[string]string{},
		Surge: limitsOf(&d.Object, d.replicas()).surge,
	}
	for _, c := range d.Object.Spec.Template.Spec.Containers {
		live.Images[c.Name] = c.Image
	}
	return live, nil
}

// version changes with what a Deployment says, apart from its size.
func (d deployment) version() string {
	spec := d.Object.Spec
	spec.Replicas = nil
	b, err := json.Marshal(spec)
	if err != nil {
		panic("local: specification of " + d.key() + ": " + err.Error()) // it came from JSON
	}
	sum := sha256.Sum256(append([]byte(d.UID+"\n"), b...))
	return hex.EncodeToString(sum[:8])
}

// SetTrack makes a track run a release; see [stages.Platform].
func (w *World) SetTrack(ctx context.Context, t stages.Track, r stages.Release, replicas int) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("set %s: %w", t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t = w.placedTrack(t)
	err := w.change(func(s *state) error {
		if t.Name == stages.Canary {
			return w.setCanary(s, t, r, replicas)
		}
		return w.setOwn(s, t, r, replicas)
	})
	if err == nil {
		err = w.followRoutes()
	}
	if err != nil {
		return fmt.Errorf("set %s: %w", t, err)
	}
	return nil
}

// followRoutes makes the proxy have the routes of the state, those of Services,
// and no others; w.mu is held.
func (w *World) followRoutes() error {
	for name, r := range w.state.Routes {
		if _, ok := w.proxy.Route(name); ok {
			continue
		}
		if err := w.proxy.SetRoute(r.Route); err != nil {
			return err
		}
	}
	w.connect()
	return nil
}

func (w *World) setCanary(s *state, t stages.Track, r stages.Release, replicas int) error {
	if replicas < 0 {
		return fmt.Errorf("%d replicas make no sense", replicas)
	}
	now, there := s.Deployments[trackKey(t)]
	if there && now.Run == r.Run.ID && r.Run.ID != "" && hasImage(&now.Object, r) {
		// What the pods are was settled when this run made them.
		now.Object = *now.Object.DeepCopy()
		now.Object.Spec.Replicas = new32(replicas)
		s.Deployments[trackKey(t)] = now
		return nil
	}
	from, err := readObjects(r.Manifests, t.Workload.Namespace)
	if err != nil {
		return err
	}
	stable, live := s.Deployments[t.Workload.String()], (*appsv1.Deployment)(nil)
	if stable.UID != "" {
		live = &stable.Object
	}
	base, err := released(live, from, t, r)
	if err != nil {
		return err
	}
	if err := w.pin(s, base); err != nil {
		return err
	}
	d := deployment{UID: now.UID, Object: *canaryOf(base, t, replicas), Run: r.Run.ID, Made: now.Made}
	d.configure(from, r, stable.Config)
	d.Object.Labels = map[string]string{trackLabel: t.Name}
	if !there {
		d.UID = randomSuffix(10)
	}
	for _, k := range from.order {
		if k.Kind != "ConfigMap" && k.Kind != "Secret" {
			continue // what others reach the workload by is stable's
		}
		if _, ok := s.Objects[k]; !ok {
			s.Objects[k] = from.objects[k]
			d.Made = append(slices.Clone(d.Made), k)
		}
	}
	s.Deployments[trackKey(t)] = d
	return nil
}

// hasImage reports whether a Deployment runs the release's image.
func hasImage(d *appsv1.Deployment, r stages.Release) bool {
	i, err := whichContainer(d.Spec.Template.Spec.Containers, r)
	return err == nil && d.Spec.Template.Spec.Containers[i].Image == r.Image
}

// pin replaces tags by digests, so that a later build does not change what
// runs. What nothing is known of stays; its pods will say so.
func (w *World) pin(s *state, d *appsv1.Deployment) error {
	spec := &d.Spec.Template.Spec
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			name, tag, digest := splitImage(c.Image)
			if digest != "" {
				continue
			}
			if tag == "" {
				tag = "latest"
			}
			if ref, ok := s.Tags[name+":"+tag]; ok {
				c.Image = ref
				continue
			}
			p, err := w.images.program(name, tag)
			if err != nil || p.Skip {
				continue
			}
			made, err := w.images.make(name, tag)
			if err != nil {
				return err
			}
			s.Images[made.ref()] = made
			c.Image = made.ref()
		}
	}
	return nil
}

// NotOursError reports a workload that no first deployment of a run has made.
type NotOursError struct{ Workload stages.Workload }

// Error names the workload.
func (e *NotOursError) Error() string {
	return "deployment " + e.Workload.String() + " is not removed: it was not made by this run, or another release has come to it since"
}

// Hint says what to do about it.
func (e *NotOursError) Hint() string { return "run with --fresh to begin with an empty world" }

// RemoveTrack removes what SetTrack made; see [stages.Platform].
func (w *World) RemoveTrack(ctx context.Context, t stages.Track, hurry bool) error {
	t = w.placedTrack(t)
	if err := w.remove(ctx, t); err != nil {
		return fmt.Errorf("remove %s: %w", t, err)
	}
	if hurry {
		return nil
	}
	return w.wait(ctx, func() bool { return w.running[trackKey(t)] == nil })
}

func (w *World) remove(ctx context.Context, t stages.Track) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.state.Deployments[trackKey(t)]
	switch {
	case !ok:
		return nil
	case t.Name != stages.Canary && d.Run == "":
		return &NotOursError{t.Workload}
	}
	err := w.change(func(s *state) error {
		s.remove(trackKey(t))
		return nil
	})
	if err != nil {
		return err
	}
	return w.followRoutes()
}

// remove takes a Deployment away, with what was made for it and the routes that
// lead nowhere then.
func (s *state) remove(key string) {
	for _, k := range s.Deployments[key].Made {
		delete(s.Objects, k)
	}
	delete(s.Deployments, key)
	maps.DeleteFunc(s.Routes, func(_ string, r routing) bool {
		if len(r.Colours) == 0 {
			return r.Workload == key
		}
		for _, b := range r.Colours {
			if _, ok := s.Deployments[b.Workload]; ok {
				return false
			}
		}
		return true
	})
}

// wait waits until done, which is asked with w.mu held.
func (w *World) wait(ctx context.Context, done func() bool) error {
	for {
		w.mu.Lock()
		ok, changed, closed := done(), w.changed, w.closed
		w.mu.Unlock()
		switch {
		case ok:
			return nil
		case closed:
			return errClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Selector returns matchers on the labels namespace and pod, as on a cluster.
func (w *World) Selector(t stages.Track) string {
	t = w.placedTrack(t)
	pattern := fmt.Sprintf("%s-[%s]{10}-[%s]{5}", regexp.QuoteMeta(trackName(t)), suffixAlphabet, suffixAlphabet)
	return fmt.Sprintf("namespace=%s,pod=~%s", strconv.Quote(t.Workload.Namespace), strconv.Quote(pattern))
}
