package local

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/headgate-dev/headgate/stages"
)

// trackLabel is the label by which a canary's pods say which track they are.
const trackLabel = "headgate.dev/track"

func labelSet(m map[string]string) labels.Set { return labels.Set(m) }

// trackName is the name of a track's Deployment.
func trackName(t stages.Track) string {
	if t.Name == stages.Canary {
		return stages.Suffixed(t.Workload.Name, "-canary")
	}
	return t.Workload.Name
}

// canaryOf makes the canary's Deployment from the one with the release: other
// pods, told apart by one label so that no Service of stable's selects them.
func canaryOf(base *appsv1.Deployment, t stages.Track, replicas int) *appsv1.Deployment {
	d := base.DeepCopy()
	d.Name = trackName(t)
	d.Spec.Replicas = new32(replicas)
	d.Spec.Paused = false
	key := markKey(base)
	d.Spec.Template.Labels = maps.Clone(d.Spec.Template.Labels)
	if d.Spec.Template.Labels == nil {
		d.Spec.Template.Labels = map[string]string{}
	}
	if key != "" {
		d.Spec.Template.Labels[key] += "-canary"
	}
	d.Spec.Template.Labels[trackLabel] = t.Name
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: d.Spec.Template.Labels}
	return d
}

// markKey is the label that names the application: one of those that people
// use for it, else the first that the selector has.
func markKey(d *appsv1.Deployment) string {
	preferred := []string{"app", "app.kubernetes.io/name", "k8s-app", "name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
	rank := func(k string) int {
		if i := slices.Index(preferred, k); i >= 0 {
			return i
		}
		return len(preferred)
	}
	keys := slices.SortedFunc(maps.Keys(d.Spec.Selector.MatchLabels), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}

func new32(n int) *int32 {
	v := int32(n) //nolint:gosec // a number of pods
	return &v
}

// released is the Deployment that a release makes of what is live, either of
// which may be missing. Selector and size stay live's.
func released(live *appsv1.Deployment, from manifestSet, t stages.Track, r stages.Release) (*appsv1.Deployment, error) {
	manifest, given := from.deployment(t.Workload.Namespace, t.Workload.Name)
	if len(r.Manifests) > 0 && !given {
		return nil, fmt.Errorf("read manifests: they hold no Deployment named %s in namespace %s", t.Workload.Name, t.Workload.Namespace)
	}
	var d *appsv1.Deployment
	switch {
	case live == nil && !given:
		return nil, errNothingLive
	case live == nil:
		d = manifest.DeepCopy()
	case !given:
		d = live.DeepCopy()
	default:
		d = manifest.DeepCopy()
		d.Spec.Replicas, d.Spec.Selector = live.Spec.Replicas, live.Spec.Selector
	}
	if err := setImage(d, r); err != nil {
		return nil, err
	}
	linger(d, r.Drain)
	return d, nil
}

// linger makes pods that have no preStop hook go on serving for so many seconds
// after they were told to end.
func linger(d *appsv1.Deployment, seconds int) {
	if seconds <= 0 {
		return
	}
	spec, added := &d.Spec.Template.Spec, false
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
			continue
		}
		l := corev1.Lifecycle{}
		if c.Lifecycle != nil {
			l = *c.Lifecycle
		}
		l.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(seconds)}}
		c.Lifecycle, added = &l, true
	}
	if added {
		grace := int64(defaultGrace)
		if g := spec.TerminationGracePeriodSeconds; g != nil {
			grace = *g
		}
		grace += int64(seconds)
		spec.TerminationGracePeriodSeconds = &grace
	}
}

// setImage gives the release's image to the container that it is for.
func setImage(d *appsv1.Deployment, r stages.Release) error {
	if r.Image == "" {
		return nil
	}
	containers := d.Spec.Template.Spec.Containers
	i, err := whichContainer(containers, r)
	if err != nil {
		return fmt.Errorf("set image of deployment %s: %w", d.Name, err)
	}
	containers[i].Image = r.Image
	return nil
}

func whichContainer(all []corev1.Container, r stages.Release) (int, error) {
	known := make([]stages.Container, len(all))
	for i, c := range all {
		known[i] = stages.Container{Name: c.Name, Image: c.Image}
	}
	return r.ContainerOf(known)
}
