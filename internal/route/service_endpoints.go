package route

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
)

// bothSelectedError reports a Service that selects the pods of both tracks.
type bothSelectedError struct {
	service  string
	selector map[string]string
	// label tells the old track's pods from the others, "" where none does.
	label string
}

func (e *bothSelectedError) Error() string {
	return fmt.Sprintf("Service %s selects the pods of both tracks (%s)", e.service, pairs(e.selector))
}

// Hint says what to add.
func (e *bothSelectedError) Hint() string {
	if e.label == "" {
		return "give the pods of each colour a label of their own, in the Deployment's matchLabels too, and select by it"
	}
	return "add " + e.label + " to its selector, by which the active colour's pods differ from the other's"
}

// neitherSelectedError reports a Service that selects the pods of no track.
type neitherSelectedError struct{ selector map[string]string }

func (e *neitherSelectedError) Error() string {
	return fmt.Sprintf("its selector %s selects neither track", pairs(e.selector))
}

// Hint says what it must select.
func (e *neitherSelectedError) Hint() string {
	return "let its selector be labels that the pods of the active colour have, or name the Service that users reach them by"
}

// pairs writes labels as "a=b,c=d", sorted.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// endpointView watches the pods of a namespace and the endpoints of one of its
// Services.
type endpointView struct {
	mirrors      *kube.Mirrors
	slices, pods *kube.Mirror
}

func watchEndpoints(ctx context.Context, c *kube.Cluster, namespace, service string) *endpointView {
	m := c.Mirrors(ctx)
	return &endpointView{
		mirrors: m,
		slices: m.Add(schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}, namespace,
			metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service}),
		pods: m.Add(podsResource(), namespace, metav1.ListOptions{}),
	}
}

// members is who is behind a Service.
type members struct {
	// ready are the names of the pods whose endpoints are ready.
	ready map[string]bool
	// pods are all pods of the namespace.
	pods []corev1.Pod
}

// read returns who is behind the Service now; false as long as it is not known.
func (v *endpointView) read() (members, bool, error) {
	us, synced, err := v.slices.Objects()
	ps, podsSynced, podsErr := v.pods.Objects()
	if err != nil || podsErr != nil || !synced || !podsSynced {
		if err == nil {
			err = podsErr
		}
		return members{}, false, err
	}
	out := members{ready: map[string]bool{}}
	for _, u := range us {
		var s discoveryv1.EndpointSlice
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &s); err != nil {
			return members{}, false, fmt.Errorf("read endpointslice %s: %w", u.GetName(), err)
		}
		for _, e := range s.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			name := "an address that is no pod's"
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				name = e.TargetRef.Name
			}
			out.ready[name] = true
		}
	}
	for _, u := range ps {
		var p corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
			return members{}, false, fmt.Errorf("read pod %s: %w", u.GetName(), err)
		}
		out.pods = append(out.pods, p)
	}
	return out, true, nil
}

// readyPods are the names of a Deployment's pods that are ready and stay.
func (m members) readyPods(d *appsv1.Deployment) map[string]bool {
	out := map[string]bool{}
	if d == nil {
		return out
	}
	sel, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return out
	}
	for _, p := range m.pods {
		if sel.Matches(labels.Set(p.Labels)) && p.DeletionTimestamp == nil && isReady(p) {
			out[p.Name] = true
		}
	}
	return out
}

func isReady(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// await waits until the Service's endpoints are all ready pods of the track
// that the selector selects and nothing else. It depends on no other track.
func (r *ServiceSwitch) await(ctx context.Context, s *switchState, selector map[string]string) error {
	want := s.old
	if selected(selector, s.next) && !selected(selector, s.old) {
		want = s.next
	}
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, r.set.Timeout, errEndpoints)
	defer cancel()
	view := watchEndpoints(ctx, r.c, r.set.Namespace, r.set.Route)
	defer view.mirrors.Close()
	tick := time.NewTicker(time.Second) // For errors of the watches alone.
	defer tick.Stop()
	last := "its endpoints are not known"
	for {
		m, known, err := view.read()
		switch {
		case err != nil:
			last = err.Error()
		case known:
			if last = m.differ(want); last == "" {
				return r.kept(ctx, selector)
			}
		}
		select {
		case <-view.mirrors.Changed():
		case <-tick.C:
		case <-ctx.Done():
			if outer.Err() != nil {
				return context.Cause(outer)
			}
			return fmt.Errorf("%w: %s", errEndpoints, last)
		}
	}
}

var errEndpoints = fmt.Errorf("its endpoints have not become those of the track in time")

// kept makes sure that nobody has changed the selector again.
func (r *ServiceSwitch) kept(ctx context.Context, want map[string]string) error {
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(s.selector, want) {
		return r.drift(s, pairs(s.selector), pairs(want))
	}
	return nil
}

// differ says how the endpoints differ from a Deployment's ready pods, "" when
// they do not.
func (m members) differ(d *appsv1.Deployment) string {
	ready := m.readyPods(d)
	for _, name := range slices.Sorted(maps.Keys(m.ready)) {
		if !ready[name] {
			return name + " still gets traffic"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ready)) {
		if !m.ready[name] {
			return "pod " + name + " is not among them yet"
		}
	}
	if len(ready) == 0 && d != nil && (d.Spec.Replicas == nil || *d.Spec.Replicas > 0) {
		return "no pod of deployment " + d.Name + " is ready"
	}
	return ""
}
