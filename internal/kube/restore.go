package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// savedTrack is what a track was before a release changed it, as it goes into
// the journal. It is the whole truth for putting back: the revisions that the
// Deployment controller keeps are limited in number, and somebody else's
// rollout may have come in between.
type savedTrack struct {
	Track stages.Track `json:"track"`
	// Deployment is nil where there was none.
	Deployment *savedDeployment `json:"deployment,omitempty"`
	// Service is set where SetTrack makes a Service for a colour that has none.
	Service string `json:"service,omitempty"`
	// Others are the other objects of the release's manifests.
	Others []saved `json:"others,omitempty"`
}

// savedDeployment is a Deployment without its status and identity.
type savedDeployment struct {
	Spec map[string]any `json:"spec"`
	// Labels and Annotations are those of the Deployment itself which the
	// release may set: their values, null for those that were not there.
	Labels      map[string]*string `json:"labels,omitempty"`
	Annotations map[string]*string `json:"annotations,omitempty"`
	// Rest is all that a Deployment needs which is made anew, because somebody
	// has removed it.
	Rest map[string]any `json:"rest"`
}

// SaveTrack reads what RestoreTrack needs; see [stages.Restorer].
func (p *Platform) SaveTrack(ctx context.Context, t stages.Track, r stages.Release) (json.RawMessage, error) {
	s, err := p.save(ctx, t, r)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", t, err)
	}
	b, err := json.Marshal(s)
	return b, wrap("save "+t.String(), err)
}

func (p *Platform) save(ctx context.Context, t stages.Track, r stages.Release) (savedTrack, error) {
	s := savedTrack{Track: t}
	ns := p.c.ns(t.Workload)
	live, err := p.c.Get(ctx, deployments(), ns, trackName(t))
	if err != nil && !IsNotFound(err) {
		return s, err
	}
	objs, err := p.objectsFor(ctx, t, r, live)
	if err != nil {
		return s, err
	}
	if live == nil {
		return s, nil // What is made with it goes with it; see [inventory].
	}
	s.Deployment = savedOf(live, objs.workload)
	if objs.service != nil {
		s.Service = objs.service.GetName()
	}
	s.Others, err = p.saveOthers(ctx, objs.others, ns, r.Run)
	return s, err
}

// savedOf keeps what a Deployment is; manifest, which may be nil, is what a
// release makes of it.
func savedOf(live, manifest *unstructured.Unstructured) *savedDeployment {
	plain := bare(live)
	spec, _, _ := unstructured.NestedMap(plain.Object, "spec")
	delete(plain.Object, "spec")
	s := &savedDeployment{Spec: spec, Rest: plain.Object, Labels: map[string]*string{}, Annotations: map[string]*string{}}
	annotations := []string{inventoryAnnotation, RunAnnotation, PipelineAnnotation}
	var labels []string
	if manifest != nil {
		labels = slices.Collect(maps.Keys(manifest.GetLabels()))
		annotations = slices.AppendSeq(annotations, maps.Keys(manifest.GetAnnotations()))
	}
	for _, k := range labels {
		s.Labels[k] = valueOf(live.GetLabels(), k)
	}
	for _, k := range annotations {
		s.Annotations[k] = valueOf(live.GetAnnotations(), k)
	}
	return s
}

func valueOf(m map[string]string, k string) *string {
	if v, ok := m[k]; ok {
		return &v
	}
	return nil
}

// RestoreTrack makes a track what was saved; see [stages.Restorer]. The other
// objects come first, since pods read them when they start.
func (p *Platform) RestoreTrack(ctx context.Context, was json.RawMessage, hurry bool) error {
	s, err := readSaved(was)
	if err != nil {
		return fmt.Errorf("put back a track: %w", err)
	}
	if s.Deployment == nil {
		return p.RemoveTrack(ctx, s.Track, hurry)
	}
	return wrap("put back "+s.Track.String(), p.restore(ctx, s, hurry))
}

// readSaved decodes what SaveTrack wrote, whole numbers as whole numbers.
func readSaved(was json.RawMessage) (savedTrack, error) {
	var s savedTrack
	if err := json.Unmarshal(was, &s); err != nil {
		return s, fmt.Errorf("read what was saved: %w", err)
	}
	if s.Track.Name == "" || s.Track.Workload.Name == "" {
		return s, errors.New("read what was saved: it names no track")
	}
	if s.Deployment == nil {
		return s, nil
	}
	if len(s.Deployment.Spec) == 0 || len(s.Deployment.Rest) == 0 {
		return s, errors.New("read what was saved: the Deployment has no specification")
	}
	for _, m := range []map[string]any{s.Deployment.Spec, s.Deployment.Rest} {
		whole(m)
	}
	return s, nil
}

// whole turns the numbers of decoded JSON into those that Kubernetes' own
// decoder makes of them.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	}
	return v
}

func (p *Platform) restore(ctx context.Context, s savedTrack, hurry bool) error {
	// An error about one object must not keep the workload from being put
	// back; it is reported in the end.
	others := p.restoreOthers(ctx, s.Others)
	replicas, err := p.putBack(ctx, s)
	if err != nil {
		return err
	}
	if err := p.removeOwnService(ctx, s); err != nil {
		return err
	}
	if others != nil || hurry {
		return others
	}
	return p.await(ctx, awaited{track: s.Track, replicas: replicas, restored: true})
}

// putBack writes the saved specification, whatever is there, and returns how
// many pods the track then has.
func (p *Platform) putBack(ctx context.Context, s savedTrack) (int, error) {
	ns, name := p.c.ns(s.Track.Workload), trackName(s.Track)
	for try := 1; ; try++ {
		now, err := p.c.Get(ctx, deployments(), ns, name)
		if err != nil && !IsNotFound(err) {
			return 0, err
		}
		if now != nil && now.GetDeletionTimestamp() != nil {
			if err := p.free(ctx, mapped{gvr: deployments()}, now); err != nil {
				return 0, err
			}
			now = nil
		}
		next := s.Deployment.on(now, s.Track.Name == stages.Stable)
		switch {
		case now == nil:
			_, err = p.c.Create(ctx, deployments(), next, Write{})
		case !reflect.DeepEqual(now.Object, next.Object):
			_, err = p.c.Update(ctx, deployments(), next, Write{})
		default:
			err = nil
		}
		if err == nil {
			return replicasIn(next.Object), nil
		}
		if !IsConflict(err) || try == conflictTries {
			return 0, err
		}
		if err := pause(ctx, conflictPause); err != nil {
			return 0, err
		}
	}
}

// on returns the Deployment as it was. Where it shall not shrink, it keeps as
// many pods as it has now, which an autoscaler may have found necessary.
func (s *savedDeployment) on(now *unstructured.Unstructured, noSmaller bool) *unstructured.Unstructured {
	spec := (&unstructured.Unstructured{Object: s.Spec}).DeepCopy().Object
	if now == nil {
		u := (&unstructured.Unstructured{Object: s.Rest}).DeepCopy()
		u.Object["spec"] = spec
		return u
	}
	next := now.DeepCopy()
	next.Object["spec"] = spec
	if noSmaller {
		if n := replicasIn(now.Object); n > replicasIn(next.Object) {
			set(next.Object, int64(n), "spec", "replicas")
		}
	}
	labels := next.GetLabels()
	next.SetLabels(withValues(labels, s.Labels))
	next.SetAnnotations(withValues(next.GetAnnotations(), s.Annotations))
	return next
}

// withValues returns m with what was saved of it.
func withValues(m map[string]string, was map[string]*string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range was {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// replicasIn is spec.replicas of a Deployment, whose default is 1.
func replicasIn(obj map[string]any) int {
	v, _, _ := unstructured.NestedFieldNoCopy(obj, "spec", "replicas")
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	}
	return 1
}

// removeOwnService removes the Service that SetTrack made for a colour.
func (p *Platform) removeOwnService(ctx context.Context, s savedTrack) error {
	if s.Service == "" {
		return nil
	}
	svc, err := p.c.Get(ctx, services(), p.c.ns(s.Track.Workload), s.Service)
	if IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !ours(svc) || !strings.EqualFold(svc.GetLabels()[TrackLabel], s.Track.Name) {
		return nil // Somebody else has made one meanwhile.
	}
	return p.c.Delete(ctx, services(), svc, false)
}
