package route

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
)

const (
	// podsAtOnce is how many pods are dealt with at the same time.
	podsAtOnce = 8
	// lookEvery is how long lies between two looks at the same pod.
	lookEvery = 150 * time.Millisecond
)

func podsResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "pods"}
}

// nginxFleet is every nginx that mounts a ConfigMap.
type nginxFleet struct {
	r   *Nginx
	key string
	now []nginxPod
}

// nginxPod is one nginx.
type nginxPod struct {
	c *kube.Cluster
	// id tells a container from its successor.
	id              string
	namespace, name string
	container       string
	// file is where the ConfigMap's key is in the container.
	file string
}

// fleet lists the nginx that mount a key of the ConfigMap and waits for those
// that are just starting.
func (r *Nginx) fleet(ctx context.Context, key string) (*nginxFleet, error) {
	f := &nginxFleet{r: r, key: key}
	for {
		starting, err := f.list(ctx)
		if err != nil {
			return nil, err
		}
		if starting == "" {
			return f, nil
		}
		if err := rest(ctx, lookEvery); err != nil {
			return nil, fmt.Errorf("pod %s is still starting: %w", starting, err)
		}
	}
}

// list reads which pods there are; starting names one whose container is about
// to run, and may already have been given the files of before.
func (f *nginxFleet) list(ctx context.Context) (starting string, err error) {
	pods, err := f.r.mounting(ctx, f.key)
	if err != nil {
		return "", err
	}
	f.now = f.now[:0]
	for _, p := range pods {
		switch {
		case p.subPath:
			return "", &subPathError{f.r.Name(), p.pod.Name}
		case p.pod.DeletionTimestamp != nil, p.pod.Status.Phase == corev1.PodSucceeded, p.pod.Status.Phase == corev1.PodFailed:
			continue
		}
		st, ok := containerStatus(p.pod, p.container)
		switch {
		case ok && st.State.Running != nil:
			f.now = append(f.now, nginxPod{
				c: f.r.c, id: st.ContainerID, namespace: p.pod.Namespace, name: p.pod.Name, container: p.container, file: p.file,
			})
		case p.pod.Spec.NodeName == "":
			// Nothing has been mounted yet; it will get what is there then.
		case ok && st.State.Waiting != nil && st.State.Waiting.Reason != "ContainerCreating" && st.State.Waiting.Reason != "PodInitializing":
			// It waits for its next try, for which the files will be the new ones.
		case ok && st.State.Terminated != nil:
		default:
			starting = p.pod.Name
		}
	}
	return starting, nil
}

func containerStatus(p corev1.Pod, name string) (corev1.ContainerStatus, bool) {
	i := slices.IndexFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return corev1.ContainerStatus{}, false
	}
	return p.Status.ContainerStatuses[i], true
}

// mount is a container that mounts a key of a ConfigMap.
type mount struct {
	pod       corev1.Pod
	container string
	file      string
	subPath   bool
}

// mounting lists the containers that mount a key of the ConfigMap; of several
// in one pod, the one that is called nginx or has its image.
func (r *Nginx) mounting(ctx context.Context, key string) ([]mount, error) {
	l, err := r.c.List(ctx, podsResource(), r.set.Namespace, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []mount
	for i := range l.Items {
		var p corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(l.Items[i].Object, &p); err != nil {
			return nil, fmt.Errorf("read pod %s: %w", l.Items[i].GetName(), err)
		}
		if ms := mountsIn(p, r.set.Route, key); len(ms) > 0 {
			i := slices.IndexFunc(ms, func(m mount) bool { return likeNginx(p, m.container) })
			out = append(out, ms[max(i, 0)])
		}
	}
	return out, nil
}

func likeNginx(p corev1.Pod, container string) bool {
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return strings.Contains(c.Name, "nginx") || strings.Contains(c.Image, "nginx") || strings.Contains(c.Image, "openresty")
		}
	}
	return false
}

// mountsIn finds where the key of a ConfigMap is in a pod's containers.
func mountsIn(p corev1.Pod, configMap, key string) []mount {
	files := map[string]string{} // By volume, the path of the key in it.
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap != nil && v.ConfigMap.Name == configMap {
			if at, ok := keyPath(v.ConfigMap.Items, key); ok {
				files[v.Name] = at
			}
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ConfigMap != nil && s.ConfigMap.Name == configMap {
				if at, ok := keyPath(s.ConfigMap.Items, key); ok {
					files[v.Name] = at
				}
			}
		}
	}
	var out []mount
	for _, c := range p.Spec.Containers {
		for _, m := range c.VolumeMounts {
			at, ok := files[m.Name]
			if !ok || m.SubPath != "" && m.SubPath != at && !strings.HasPrefix(at, m.SubPath+"/") {
				continue
			}
			out = append(out, mount{
				pod: p, container: c.Name, file: path.Join(m.MountPath, at), subPath: m.SubPath != "" || m.SubPathExpr != "",
			})
		}
	}
	return out
}

// keyPath is where a key stands in a volume, false where it is left out.
func keyPath(items []corev1.KeyToPath, key string) (string, bool) {
	for _, it := range items {
		if it.Key == key {
			return it.Path, true
		}
	}
	return key, len(items) == 0
}

// test lets one nginx test a text in place of the one that it has. Where the
// one that it has is refused, a forward change is refused too; but what was
// there before may be put back.
func (f *nginxFleet) test(ctx context.Context, text string, forward bool) error {
	if len(f.now) == 0 {
		return nil
	}
	if forward {
		return f.now[0].testCandidate(ctx, text, resolveTimeout)
	}
	err := f.now[0].testCandidate(ctx, text, hurriedTimeout)
	if _, ok := errors.AsType[*presentError](err); ok {
		return nil
	}
	return err
}

// load returns when every nginx has the text and runs it: those that are there
// now, and those that come meanwhile. Where none runs, whatever starts next
// starts with it.
func (f *nginxFleet) load(ctx context.Context, text string) error {
	done := map[string]bool{}
	for {
		failed := f.loadOnce(ctx, text, done)
		if ctx.Err() != nil && len(failed) > 0 {
			return errors.Join(slices.Collect(maps.Values(failed))...)
		}
		next, err := f.r.fleet(ctx, f.key)
		if err != nil {
			return err
		}
		left := false
		for _, p := range next.now {
			if err, ok := failed[p.id]; ok {
				return err // It is still the same container, so that was not why.
			}
			left = left || !done[p.id]
		}
		if f = next; !left {
			return nil
		}
	}
}

// loadOnce lets those that are not done load the text, and returns which could
// not.
func (f *nginxFleet) loadOnce(ctx context.Context, text string, done map[string]bool) map[string]error {
	var g errgroup.Group
	g.SetLimit(podsAtOnce)
	errs := make([]error, len(f.now))
	for i, p := range f.now {
		if !done[p.id] {
			g.Go(func() error {
				errs[i] = p.load(ctx, text)
				return nil
			})
		}
	}
	_ = g.Wait() // Errors are in errs.
	failed := map[string]error{}
	for i, p := range f.now {
		if done[p.id] = errs[i] == nil; errs[i] != nil {
			failed[p.id] = errs[i]
		}
	}
	return failed
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
