package route

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Replicas splits the traffic of one Service by the numbers of both tracks'
// pods behind it. It changes the number of the old track's pods alone; whoever
// rolls out gives the new track as many as [Replicas.Pods] says before.
type Replicas struct {
	c   *kube.Cluster
	set Settings
}

var (
	_ stages.Router        = (*Replicas)(nil)
	_ stages.Sizer         = (*Replicas)(nil)
	_ stages.Checker       = (*Replicas)(nil)
	_ stages.Permitter     = (*Replicas)(nil)
	_ stages.WeightPlanner = (*Replicas)(nil)
)

// splitAnnotation, on the new track's Deployment, says which weight its
// number of pods stands for, and of how many that is: "20 of 10".
const splitAnnotation = "headgate.dev/weight"

// NewReplicas returns the router for the pods of both tracks behind the
// Service s.Service, "" for the only one that selects the old track's. It
// makes no request.
func NewReplicas(c *kube.Cluster, s Settings) (*Replicas, error) {
	if s.Split.Old.Workload.Name == "" {
		return nil, fmt.Errorf("make router replicas: the name of the workload must be given")
	}
	s.Split = placed(c, s.Split)
	s.Namespace = s.Split.Old.Workload.Namespace
	s.Service = cmp.Or(s.Service, s.Route)
	// Pods have to start where the old track grows again.
	s.Timeout = cmp.Or(s.Timeout, 5*time.Minute)
	return &Replicas{c: c, set: s}, nil
}

// Name returns "replicas namespace/workload".
func (r *Replicas) Name() string {
	return stages.ReplicasRouter + " " + r.set.Split.Old.Workload.String()
}

// Pods returns how many pods the tracks have at a weight: the larger one has
// size, and the other as many as come nearest, one at least.
func (r *Replicas) Pods(weight float64, size int) (old, new int) {
	near := func(share float64) int {
		return min(max(int(math.Round(float64(size)*share/(100-share))), 1), size)
	}
	switch {
	case weight <= 0:
		return size, 0
	case weight >= 100:
		return 0, size
	case weight <= 50:
		return size, near(weight)
	}
	return near(100 - weight), size
}

// counts are how many pods the tracks are to have.
type counts struct {
	old, next *unstructured.Unstructured
	o, n      int
	// nominal and size are what the annotation says, of before the last write.
	nominal float64
	size    int
}

func wantedPods(u *unstructured.Unstructured) int {
	if u == nil || u.GetDeletionTimestamp() != nil {
		return 0
	}
	n, ok, err := unstructured.NestedInt64(u.Object, "spec", "replicas")
	if err != nil || !ok {
		return 1
	}
	return int(n)
}

func (r *Replicas) read(ctx context.Context) (counts, error) {
	var c counts
	var err error
	w := r.set.Split.Old.Workload
	if c.old, err = r.c.Get(ctx, deploymentResource(), w.Namespace, w.Name); err != nil {
		return counts{}, err
	}
	c.next, err = r.c.Get(ctx, deploymentResource(), w.Namespace, kube.CanaryName(w.Name))
	if kube.IsNotFound(err) {
		c.next, err = nil, nil
	}
	if err != nil {
		return counts{}, err
	}
	c.o, c.n = wantedPods(c.old), wantedPods(c.next)
	c.size = max(c.o, c.n)
	if c.next != nil {
		weight, size, _ := strings.Cut(c.next.GetAnnotations()[splitAnnotation], " of ")
		f, err1 := strconv.ParseFloat(weight, 64)
		n, err2 := strconv.Atoi(size)
		if err1 == nil && err2 == nil && f >= 0 && f <= 100 && n > 0 {
			c.nominal, c.size = f, n
		}
	}
	return c, nil
}

// weight is what the numbers stand for: what the annotation says where it is so
// rounded, else what they are.
func (r *Replicas) weight(c counts) (float64, error) {
	switch {
	case c.n == 0 && c.o == 0:
		return 0, fmt.Errorf("no track is to have a pod")
	case c.n == 0:
		return 0, nil
	case c.o == 0:
		return 100, nil
	}
	if o, n := r.Pods(c.nominal, c.size); o == c.o && n == c.n {
		return c.nominal, nil
	}
	return (split{stable: int64(c.o), canary: int64(c.n)}).share()
}

// Weight reads the share of the new track by the numbers of pods that are
// wanted: the weight last set where these are what stands for it, else the
// numbers' own ratio.
func (r *Replicas) Weight(ctx context.Context) (float64, error) {
	c, err := r.read(ctx)
	if err != nil {
		return 0, wrap("read weight", err)
	}
	w, err := r.weight(c)
	return w, wrap("read weight of "+r.Name(), err)
}

// Ratio reads what share of the Service's ready endpoints is the new track's,
// in percent.
func (r *Replicas) Ratio(ctx context.Context) (float64, error) {
	svc, err := r.service(ctx)
	if err != nil {
		return 0, wrap("read ratio", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Second, errEndpoints)
	defer cancel()
	view := watchEndpoints(ctx, r.c, r.set.Namespace, svc)
	defer view.mirrors.Close()
	for {
		m, known, err := view.read()
		if err != nil {
			return 0, wrap("read ratio of "+r.Name(), err)
		}
		if known {
			o, n := m.tracks()
			s, err := (split{stable: int64(o), canary: int64(n)}).share()
			return s, wrap("read ratio of "+r.Name(), err)
		}
		select {
		case <-view.mirrors.Changed():
		case <-ctx.Done():
			return 0, wrap("read ratio of "+r.Name(), context.Cause(ctx))
		}
	}
}

// tracks counts the ready endpoints of both tracks.
func (m members) tracks() (old, next int) {
	for _, p := range m.pods {
		switch {
		case !m.ready[p.Name]:
		case p.Labels[kube.TrackLabel] == stages.Canary:
			next++
		default:
			old++
		}
	}
	return old, next
}

// service is the name of the Service.
func (r *Replicas) service(ctx context.Context) (string, error) {
	if r.set.Service != "" {
		return r.set.Service, nil
	}
	names, err := r.c.OwnServices(ctx, r.set.Split.Old)
	switch {
	case err != nil:
		return "", err
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", fmt.Errorf("no Service selects the pods of %s", r.set.Split.Old.Workload)
	}
	for _, n := range names {
		if n == r.set.Split.Old.Workload.Name {
			return n, nil
		}
	}
	return "", fmt.Errorf("several Services select the pods of %s (%s); say which with the key service", r.set.Split.Old.Workload, strings.Join(names, ", "))
}

// SetWeight gives the old track the number of pods that a weight asks for, and
// waits until both tracks have theirs among the Service's ready endpoints; see
// [stages.Router].
func (r *Replicas) SetWeight(ctx context.Context, from, to float64) error {
	what := fmt.Sprintf("set weight of %s to %s", r.Name(), percent(to))
	if math.IsNaN(to) || to < 0 || to > 100 {
		return fmt.Errorf("%s: a weight of %v %% makes no sense", what, to)
	}
	svc, err := r.service(ctx)
	if err != nil {
		return wrap(what, err)
	}
	for try := 1; ; try++ {
		c, err := r.read(ctx)
		if err != nil {
			return wrap(what, err)
		}
		o, n := r.Pods(to, c.size)
		wasO, wasN := r.Pods(from, c.size)
		if c.o != o && c.o != wasO || c.n != n && c.n != wasN {
			return wrap(what, &stages.DriftError{
				Thing: r.Name(), Found: fmt.Sprintf("%d and %d pods", c.o, c.n), Want: fmt.Sprintf("%d and %d", wasO, wasN), By: kube.LastManager(c.old),
			})
		}
		if to > 0 && c.n != n {
			return fmt.Errorf("%s: the new track has %d pods, and must have %d before", what, c.n, n)
		}
		err = r.write(ctx, c, to, o)
		if kube.IsConflict(err) && try < conflictTries {
			continue
		}
		if err != nil {
			return wrap(what, err)
		}
		return wrap(what, r.await(ctx, svc, wait{old: o, next: n, exact: to > 0}))
	}
}

// write notes the weight on the new track's Deployment and scales the old one.
func (r *Replicas) write(ctx context.Context, c counts, to float64, old int) error {
	if c.next != nil && c.next.GetDeletionTimestamp() == nil {
		note := fmt.Sprintf("%s of %d", strconv.FormatFloat(to, 'f', -1, 64), c.size)
		if c.next.GetAnnotations()[splitAnnotation] != note {
			if err := r.c.Annotate(ctx, kube.Annotated{Resource: deploymentResource(), Namespace: c.next.GetNamespace(), Name: c.next.GetName()}, splitAnnotation, note); err != nil {
				return err
			}
		}
	}
	return r.scale(ctx, c, old)
}

func (r *Replicas) scale(ctx context.Context, c counts, old int) error {
	if c.o == old {
		return nil
	}
	u := c.old.DeepCopy()
	if err := unstructured.SetNestedField(u.Object, int64(old), "spec", "replicas"); err != nil {
		return fmt.Errorf("read deployment %s: %w", u.GetName(), err)
	}
	_, err := r.c.Update(ctx, deploymentResource(), u, kube.Write{})
	return err
}

// PlanWeight says what SetWeight would write.
func (r *Replicas) PlanWeight(ctx context.Context, to float64) (pipeline.PlannedWrite, error) {
	c, err := r.read(ctx)
	if err != nil {
		return pipeline.PlannedWrite{}, wrap(fmt.Sprintf("plan weight %s of %s", percent(to), r.Name()), err)
	}
	size := c.size
	if c.next == nil {
		size = c.o
	}
	o, n := r.Pods(to, size)
	real, err := (split{stable: int64(o), canary: int64(n)}).share()
	if err != nil {
		return pipeline.PlannedWrite{}, wrap("plan weight of "+r.Name(), err)
	}
	return pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "route", Name: r.Name()}, Verb: "setWeight",
		Summary: fmt.Sprintf("%d pods of the present release and %d of the new one: %s of the traffic", o, n, percent(real)),
	}, nil
}

// wait is what the endpoints shall show: these numbers, or with exact false at
// least as many of the old track.
type wait struct {
	old, next int
	exact     bool
}

func (r *Replicas) await(ctx context.Context, svc string, w wait) error {
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, r.set.Timeout, errEndpoints)
	defer cancel()
	view := watchEndpoints(ctx, r.c, r.set.Namespace, svc)
	defer view.mirrors.Close()
	last := "its endpoints are not known"
	for {
		m, known, err := view.read()
		switch {
		case err != nil:
			last = err.Error()
		case known:
			o, n := m.tracks()
			if w.exact && o == w.old && n == w.next || !w.exact && o >= w.old {
				return nil
			}
			last = fmt.Sprintf("%d of the old track's and %d of the new one's pods get traffic, where it shall be %d and %d", o, n, w.old, w.next)
		}
		select {
		case <-view.mirrors.Changed():
		case <-ctx.Done():
			if outer.Err() != nil {
				return context.Cause(outer)
			}
			return fmt.Errorf("%w: %s", errEndpoints, last)
		}
	}
}

// Permissions names what the router needs.
func (r *Replicas) Permissions(stages.Workload) []string {
	var out []string
	for _, p := range r.permissions() {
		out = append(out, p.String())
	}
	return out
}

func (r *Replicas) permissions() []kube.Permission {
	at := func(verb, group, resource string) kube.Permission {
		return kube.Permission{Verb: verb, Group: group, Resource: resource, Namespace: r.set.Namespace}
	}
	return []kube.Permission{
		at("get", "apps", "deployments"), at("update", "apps", "deployments"), at("patch", "apps", "deployments"),
		at("get", "", "services"), at("list", "", "services"), at("list", "", "pods"), at("watch", "", "pods"),
		at("list", "autoscaling", "horizontalpodautoscalers"),
		at("list", "discovery.k8s.io", "endpointslices"), at("watch", "discovery.k8s.io", "endpointslices"),
	}
}

// stableOf decodes the old track's Deployment.
func (c counts) stableOf() (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.old.Object, &d); err != nil {
		return nil, fmt.Errorf("read deployment %s: %w", c.old.GetName(), err)
	}
	return &d, nil
}
