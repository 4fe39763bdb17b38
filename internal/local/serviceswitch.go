package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// serviceSwitch switches all traffic of a Service between the pods of two
// Deployments, by its selector.
type serviceSwitch struct {
	w     *World
	key   objectKey
	split stages.Split
}

var (
	_ stages.Router        = (*serviceSwitch)(nil)
	_ stages.Checker       = (*serviceSwitch)(nil)
	_ stages.WeightPlanner = (*serviceSwitch)(nil)
)

// Name returns "service namespace/name".
func (r *serviceSwitch) Name() string { return serviceRoute(r.key) }

// labels are those of a track's pods, nil where it is not there; w.mu is held.
func (r *serviceSwitch) labels(t stages.Track) map[string]string {
	return r.w.state.Deployments[trackKey(t)].Object.Spec.Template.Labels
}

// read returns the Service and the weight of the new track; w.mu is held.
func (r *serviceSwitch) read(ctx context.Context) (corev1.Service, float64, error) {
	if err := context.Cause(ctx); err != nil {
		return corev1.Service{}, 0, err
	}
	svc, ok := read[corev1.Service](r.w.state.Objects, r.key)
	if !ok {
		return svc, 0, &noServiceError{r.key}
	}
	old, next := selects(svc, r.labels(r.split.Old)), selects(svc, r.labels(r.split.New))
	switch {
	case old && next:
		return svc, 0, &unclearError{r.Name(), "the pods of both colours"}
	case !old && !next:
		return svc, 0, &unclearError{r.Name(), "no pod of either colour"}
	case next:
		return svc, 100, nil
	}
	return svc, 0, nil
}

// noServiceError reports a Service that the world does not have.
type noServiceError struct{ key objectKey }

func (e *noServiceError) Error() string { return "there is no " + e.key.String() }

// Hint says where to put it.
func (e *noServiceError) Hint() string {
	return "name the manifests that hold it, with manifests: of the stage or of local:"
}

// unclearError reports a Service of which nobody can say which colour it means.
type unclearError struct{ name, selects string }

func (e *unclearError) Error() string { return e.name + " selects " + e.selects }

// Hint says how to make it clear.
func (e *unclearError) Hint() string {
	return "give the Service a label in its selector that the pods of one colour have and the others have not"
}

// Weight reads which track the Service selects: 0 or 100.
func (r *serviceSwitch) Weight(ctx context.Context) (float64, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	_, weight, err := r.read(ctx)
	if err != nil {
		return 0, fmt.Errorf("read weight of %s: %w", r.Name(), err)
	}
	return weight, nil
}

// SetWeight switches the Service to the new track (100) or the old one (0); see
// [stages.Router].
func (r *serviceSwitch) SetWeight(ctx context.Context, from, to float64) error {
	if err := r.move(ctx, from, to); err != nil {
		return fmt.Errorf("set weight of %s to %s: %w", r.Name(), wholePercent(to), err)
	}
	return nil
}

func wholePercent(f float64) string { return fmt.Sprintf("%g%%", f) }

func (r *serviceSwitch) move(ctx context.Context, from, to float64) error {
	if math.IsNaN(to) || to != 0 && to != 100 {
		return errors.New("a Service can only give a track all traffic or none")
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	svc, now, err := r.read(ctx)
	if u, ok := errors.AsType[*unclearError](err); ok {
		return &stages.DriftError{Thing: r.Name(), Found: "selecting " + u.selects, Want: wholePercent(from)}
	}
	switch {
	case err != nil:
		return err
	case now == to:
		return nil
	case now != from:
		return &stages.DriftError{Thing: r.Name(), Found: wholePercent(now), Want: wholePercent(from)}
	}
	selector, err := r.selecting(svc, to)
	if err != nil {
		return err
	}
	return r.write(selector)
}

// selecting is the selector by which the Service selects the track that gets
// all traffic: the keys that it has, with that track's values, and one more
// where these would select both.
func (r *serviceSwitch) selecting(svc corev1.Service, to float64) (map[string]string, error) {
	want, other := r.split.New, r.split.Old
	if to == 0 {
		want, other = other, want
	}
	labels := r.labels(want)
	if labels == nil {
		return nil, fmt.Errorf("there is no deployment %s", want.Workload)
	}
	out := map[string]string{}
	for k := range svc.Spec.Selector {
		v, ok := labels[k]
		if !ok {
			return nil, fmt.Errorf("the pods of deployment %s have no label %s, by which the Service selects", want.Workload, k)
		}
		out[k] = v
	}
	svc.Spec.Selector = out
	if !selects(svc, r.labels(other)) {
		return out, nil
	}
	d := r.w.state.Deployments[trackKey(want)]
	for k, v := range d.Object.Spec.Selector.MatchLabels {
		if r.labels(other)[k] != v {
			out[k] = v
			return out, nil
		}
	}
	return nil, fmt.Errorf("no label tells the pods of deployment %s from those of %s", want.Workload, other.Workload)
}

// write gives the Service a selector. When it returns, no new request goes to
// pods that it does not select; w.mu is held.
func (r *serviceSwitch) write(selector map[string]string) error {
	err := r.w.change(func(s *state) error {
		if s.Selectors == nil {
			s.Selectors = map[string]map[string]string{}
		}
		s.Selectors[r.key.Namespace+"/"+r.key.Name] = selector
		return nil
	})
	if err != nil {
		return err
	}
	r.w.connect()
	svc, ok := read[corev1.Service](r.w.state.Objects, r.key)
	if !ok || !maps.Equal(svc.Spec.Selector, selector) {
		return fmt.Errorf("read %s again: it does not have the selector that was written", r.Name())
	}
	return nil
}

// point gives Services that were switched their selectors, whatever a manifest
// says: it knows nothing of what has been released since.
func (s *state) point() error {
	for name, selector := range s.Selectors {
		namespace, service, _ := strings.Cut(name, "/")
		k := objectKey{"Service", namespace, service}
		svc, ok := read[corev1.Service](s.Objects, k)
		if !ok || maps.Equal(svc.Spec.Selector, selector) {
			continue
		}
		svc.Spec.Selector = selector
		raw, err := json.Marshal(svc)
		if err != nil {
			return fmt.Errorf("write %s: %w", k, err)
		}
		s.Objects[k] = raw
	}
	return nil
}

// Check finds out whether the Service can be switched; it changes nothing.
func (r *serviceSwitch) Check(ctx context.Context, _ stages.RolloutCheck) ([]pipeline.Finding, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	svc, _, err := r.read(ctx)
	if err == nil && len(svc.Spec.Ports) == 0 {
		err = fmt.Errorf("%s has no port", r.Name())
	}
	if err != nil {
		return []pipeline.Finding{found(err)}, nil
	}
	return nil, nil
}

// PlanWeight says what SetWeight would write.
func (r *serviceSwitch) PlanWeight(_ context.Context, to float64) (pipeline.PlannedWrite, error) {
	want := r.split.New
	if to == 0 {
		want = r.split.Old
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("Service %s selects the pods of %s", r.key.Name, want.Workload),
	}, nil
}

// switchSnapshot is what a Service's selector was.
type switchSnapshot struct {
	Router   string            `json:"router"`
	Service  objectKey         `json:"service"`
	Split    stages.Split      `json:"split"`
	Selector map[string]string `json:"selector"`
}

const switchKind = "local service"

// Snapshot returns the Service's selector.
func (r *serviceSwitch) Snapshot(ctx context.Context) (json.RawMessage, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Name(), err)
	}
	svc, ok := read[corev1.Service](r.w.state.Objects, r.key)
	if !ok || len(svc.Spec.Selector) == 0 {
		return nil, fmt.Errorf("read %s: %w", r.Name(), &noServiceError{r.key})
	}
	return json.Marshal(switchSnapshot{switchKind, r.key, r.split, svc.Spec.Selector})
}

func readSwitch(was json.RawMessage) (switchSnapshot, error) {
	var s switchSnapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return s, fmt.Errorf("read snapshot of local Service: %w", err)
	}
	if s.Router != switchKind || s.Service.Kind != "Service" || s.Service.Name == "" || len(s.Selector) == 0 {
		return s, errors.New("read snapshot of local Service: it does not say which Service's selector it is")
	}
	return s, nil
}

// switchOf returns the router that made a snapshot, if it was one of these.
func (w *World) switchOf(was json.RawMessage) (stages.Router, bool) {
	s, err := readSwitch(was)
	if err != nil {
		return nil, false
	}
	return &serviceSwitch{w: w, key: s.Service, split: s.Split}, true
}

// Restore gives the Service the very selector of a snapshot; see
// [stages.Router].
func (r *serviceSwitch) Restore(ctx context.Context, was json.RawMessage) error {
	s, err := readSwitch(was)
	if err == nil && s.Service != r.key {
		err = fmt.Errorf("the snapshot is of %s", s.Service)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", r.Name(), err)
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if err := r.write(s.Selector); err != nil {
		return fmt.Errorf("restore %s: %w", r.Name(), err)
	}
	return nil
}
