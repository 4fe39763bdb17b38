package route

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// ServiceSwitch switches all traffic of a Service from the pods of one track
// to those of the other, by its selector.
type ServiceSwitch struct {
	c   *kube.Cluster
	set Settings
}

var (
	_ stages.Router        = (*ServiceSwitch)(nil)
	_ stages.Checker       = (*ServiceSwitch)(nil)
	_ stages.Permitter     = (*ServiceSwitch)(nil)
	_ stages.WeightPlanner = (*ServiceSwitch)(nil)
)

// NewServiceSwitch returns the router for the Service s.Route. It makes no
// request.
func NewServiceSwitch(c *kube.Cluster, s Settings) (*ServiceSwitch, error) {
	s.Route = cmp.Or(s.Route, s.Service)
	if s.Route == "" || s.Split.Old.Workload.Name == "" {
		return nil, fmt.Errorf("make router service: the names of Service and workload must be given")
	}
	s.Split = placed(c, s.Split)
	s.Namespace = cmp.Or(s.Namespace, s.Split.Old.Workload.Namespace)
	// EndpointSlices follow within a second or two of a healthy cluster.
	s.Timeout = cmp.Or(s.Timeout, 30*time.Second)
	return &ServiceSwitch{c: c, set: s}, nil
}

// Name returns "service namespace/name".
func (r *ServiceSwitch) Name() string {
	return stages.ServiceRouter + " " + r.set.Namespace + "/" + r.set.Route
}

func serviceResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "services"}
}

func deploymentResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

// deployment reads a track's Deployment, nil where there is none.
func deployment(ctx context.Context, c *kube.Cluster, t stages.Track) (*appsv1.Deployment, error) {
	name := t.Workload.Name
	if t.Name == stages.Canary {
		name = kube.CanaryName(name)
	}
	u, err := c.Get(ctx, deploymentResource(), t.Workload.Namespace, name)
	if kube.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
		return nil, fmt.Errorf("read deployment %s: %w", name, err)
	}
	if d.Spec.Selector == nil {
		return nil, fmt.Errorf("read deployment %s: it has no selector", name)
	}
	return &d, nil
}

// switchState is a Service and which track it selects.
type switchState struct {
	object   *unstructured.Unstructured
	selector map[string]string
	// old and next are the tracks' Deployments, nil where there is none.
	old, next *appsv1.Deployment
}

func (r *ServiceSwitch) read(ctx context.Context) (*switchState, error) {
	u, err := r.c.Get(ctx, serviceResource(), r.set.Namespace, r.set.Route)
	if err != nil {
		return nil, err
	}
	s := &switchState{object: u}
	if s.selector, _, err = unstructured.NestedStringMap(u.Object, "spec", "selector"); err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Name(), err)
	}
	if s.old, err = deployment(ctx, r.c, r.set.Split.Old); err != nil {
		return nil, err
	}
	s.next, err = deployment(ctx, r.c, r.set.Split.New)
	return s, err
}

func selected(selector map[string]string, d *appsv1.Deployment) bool {
	if d == nil || len(selector) == 0 {
		return false
	}
	for k, v := range selector {
		if got, ok := d.Spec.Template.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// weight is 0 or 100.
func (s *switchState) weight() (float64, error) {
	switch isOld, isNew := selected(s.selector, s.old), selected(s.selector, s.next); {
	case isOld && isNew:
		return 0, &bothSelectedError{s.object.GetName(), s.selector, s.tellingLabel()}
	case isNew:
		return 100, nil
	case isOld:
		return 0, nil
	}
	return 0, &neitherSelectedError{s.selector}
}

// tellingLabel is the label that would make the Service select the old track
// alone, "" where there is none.
func (s *switchState) tellingLabel() string {
	if k, v := difference(s.next, s.old); k != "" {
		return k + "=" + v
	}
	return ""
}

// difference is the label by which the pods of two Deployments differ for
// good, "" and "" where there is none: one of both selectors.
func difference(old, next *appsv1.Deployment) (key, value string) {
	if old == nil || next == nil {
		return "", ""
	}
	for _, k := range sortedKeys(next.Spec.Selector.MatchLabels) {
		if v := next.Spec.Selector.MatchLabels[k]; old.Spec.Template.Labels[k] != v && next.Spec.Template.Labels[k] == v {
			return k, v
		}
	}
	return "", ""
}

// selecting returns the selector by which the Service selects a track: the keys
// that it has with that track's values, and one more label where that would
// select both tracks.
func (s *switchState) selecting(want, other *appsv1.Deployment) (map[string]string, error) {
	if want == nil {
		return nil, fmt.Errorf("the track that shall get the traffic has no Deployment")
	}
	out := map[string]string{}
	for k := range s.selector {
		v, ok := want.Spec.Template.Labels[k]
		if !ok {
			return nil, fmt.Errorf("the pods of deployment %s have no label %s, by which the Service selects", want.Name, k)
		}
		out[k] = v
	}
	if selected(out, other) {
		k, v := difference(other, want)
		if k == "" {
			return nil, fmt.Errorf("no label tells the pods of deployment %s from those of %s", want.Name, other.Name)
		}
		out[k] = v
	}
	return out, nil
}

// Weight reads which track the Service selects: 0 or 100.
func (r *ServiceSwitch) Weight(ctx context.Context) (float64, error) {
	s, err := r.read(ctx)
	if err != nil {
		return 0, wrap("read weight", err)
	}
	w, err := s.weight()
	return w, wrap("read weight of "+r.Name(), err)
}

// SetWeight switches the Service to the new track (100) or to the old one (0);
// see [stages.Router].
func (r *ServiceSwitch) SetWeight(ctx context.Context, from, to float64) error {
	what := fmt.Sprintf("set weight of %s to %s", r.Name(), percent(to))
	if to != 0 && to != 100 {
		return fmt.Errorf("%s: a Service can only give a track all traffic or none", what)
	}
	return wrap(what, r.change(ctx, func(s *switchState) (map[string]string, error) {
		now, err := s.weight()
		if err != nil {
			return nil, r.drift(s, err.Error(), percent(from))
		}
		if now != from && now != to {
			return nil, r.drift(s, percent(now), percent(from))
		}
		if now == to {
			return s.selector, nil
		}
		if to == 0 {
			return s.selecting(s.old, s.next)
		}
		return s.selecting(s.next, s.old)
	}))
}

func (r *ServiceSwitch) drift(s *switchState, found, want string) error {
	return &stages.DriftError{Thing: r.Name(), Found: found, Want: want, By: kube.LastManager(s.object)}
}

// change makes one write, of the selector that next says, and verifies it.
func (r *ServiceSwitch) change(ctx context.Context, next func(*switchState) (map[string]string, error)) error {
	for try := 1; ; try++ {
		s, err := r.read(ctx)
		if err != nil {
			return err
		}
		selector, err := next(s)
		if err != nil {
			return err
		}
		if maps.Equal(selector, s.selector) {
			return r.await(ctx, s, selector)
		}
		u := s.object.DeepCopy()
		if err := unstructured.SetNestedStringMap(u.Object, selector, "spec", "selector"); err != nil {
			return fmt.Errorf("read %s: %w", r.Name(), err)
		}
		_, err = r.c.Update(ctx, serviceResource(), u, kube.Write{})
		if kube.IsConflict(err) && try < conflictTries {
			continue
		}
		if err != nil {
			return err
		}
		return r.await(ctx, s, selector)
	}
}

// PlanWeight says what SetWeight would write, by a dry run on the server.
func (r *ServiceSwitch) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	what := fmt.Sprintf("plan weight %s of %s", percent(to), r.Name())
	s, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	out := pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("Service %s selects the pods of %s", r.set.Route, r.set.Split.New.Workload),
	}
	if s.next == nil {
		return out, nil // Its labels are not known before it is made.
	}
	want, other := s.next, s.old
	if to == 0 {
		want, other = other, want
	}
	selector, err := s.selecting(want, other)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	u := s.object.DeepCopy()
	if err := unstructured.SetNestedStringMap(u.Object, selector, "spec", "selector"); err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	after, err := r.c.Update(ctx, serviceResource(), u, kube.Write{DryRun: true})
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(what, err)
	}
	out.Diff = kube.Diff(s.object, after)
	return out, nil
}

// Permissions names what the router needs.
func (r *ServiceSwitch) Permissions(stages.Workload) []string {
	var out []string
	for _, p := range r.permissions() {
		out = append(out, p.String())
	}
	return out
}

func (r *ServiceSwitch) permissions() []kube.Permission {
	at := func(verb, group, resource string) kube.Permission {
		return kube.Permission{Verb: verb, Group: group, Resource: resource, Namespace: r.set.Namespace}
	}
	return []kube.Permission{
		at("get", "", "services"), at("update", "", "services"), at("get", "apps", "deployments"),
		at("list", "", "pods"), at("watch", "", "pods"),
		at("list", "discovery.k8s.io", "endpointslices"), at("watch", "discovery.k8s.io", "endpointslices"),
	}
}

// serviceSnapshot is what a selector was.
type serviceSnapshot struct {
	Router    string            `json:"router"`
	Namespace string            `json:"namespace"`
	Route     string            `json:"route"`
	Split     stages.Split      `json:"split"`
	Selector  map[string]string `json:"selector"`
}

// Snapshot returns the Service's selector.
func (r *ServiceSwitch) Snapshot(ctx context.Context) (json.RawMessage, error) {
	s, err := r.read(ctx)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	if len(s.selector) == 0 {
		return nil, fmt.Errorf("read %s: it has no selector", r.Name())
	}
	b, err := json.Marshal(serviceSnapshot{stages.ServiceRouter, r.set.Namespace, r.set.Route, r.set.Split, s.selector})
	return b, wrap("save "+r.Name(), err)
}

func readServiceSnapshot(was json.RawMessage) (serviceSnapshot, error) {
	var s serviceSnapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return serviceSnapshot{}, fmt.Errorf("read snapshot of route: %w", err)
	}
	if s.Router != stages.ServiceRouter || s.Namespace == "" || s.Route == "" || len(s.Selector) == 0 {
		return serviceSnapshot{}, fmt.Errorf("read snapshot of route: it does not say which Service's selector it is")
	}
	return s, nil
}

// serviceFrom returns the router that made a snapshot.
func serviceFrom(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	s, err := readServiceSnapshot(was)
	if err != nil {
		return nil, err
	}
	return NewServiceSwitch(c, Settings{Namespace: s.Namespace, Route: s.Route, Split: s.Split})
}

// Restore puts the very selector back; see [stages.Router].
func (r *ServiceSwitch) Restore(ctx context.Context, was json.RawMessage) error {
	what := "restore " + r.Name()
	s, err := readServiceSnapshot(was)
	if err != nil {
		return wrap(what, err)
	}
	if s.Namespace != r.set.Namespace || s.Route != r.set.Route {
		return fmt.Errorf("%s: the snapshot is of service %s/%s", what, s.Namespace, s.Route)
	}
	return wrap(what, r.change(ctx, func(*switchState) (map[string]string, error) { return s.Selector, nil }))
}
