package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

// Ready counts the ready pods of a track that run an image.
func Ready(w *World, t stages.Track, image string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	if r := w.running[trackKey(t)]; r != nil {
		for _, p := range r.pods {
			n += truth(p.ready() && p.template.Spec.Containers[0].Image == image)
		}
	}
	return n
}

// Describe names all that a user can see: what is wanted, and the pods.
func Describe(w *World) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(w.state.Deployments)) {
		d := w.state.Deployments[k]
		fmt.Fprintf(&b, "deployment %s %d %s\n", k, d.replicas(), d.Object.Spec.Template.Spec.Containers[0].Image)
	}
	var objects []string
	for k := range w.state.Objects {
		objects = append(objects, k.String())
	}
	slices.Sort(objects)
	for _, k := range slices.Sorted(maps.Keys(w.state.Routes)) {
		fmt.Fprintf(&b, "route %s %v\n", k, w.state.Routes[k].Weights)
	}
	for _, k := range slices.Sorted(maps.Keys(w.running)) {
		fmt.Fprintf(&b, "pods %s %d\n", k, len(w.running[k].pods))
	}
	return b.String() + strings.Join(objects, "\n")
}

// FreePort is what a new pod would be given.
func FreePort(w *World) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.freePort()
}

// Reselect gives a Service a selector, as somebody else would.
func Reselect(w *World, namespace, name string, selector map[string]string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.change(func(s *state) error {
		s.Selectors = map[string]map[string]string{namespace + "/" + name: selector}
		return nil
	})
}

// Annotate gives a Service an annotation.
func Annotate(w *World, namespace, name, key, value string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.change(func(s *state) error {
		k := objectKey{"Service", namespace, name}
		svc, _ := read[corev1.Service](s.Objects, k)
		svc.Annotations = map[string]string{key: value}
		raw, err := json.Marshal(svc)
		s.Objects[k] = raw
		return err
	})
}

// ServiceText is a Service as it is now.
func ServiceText(w *World, namespace, name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	svc, _ := read[corev1.Service](w.state.Objects, objectKey{"Service", namespace, name})
	return fmt.Sprintf("%v %v %v", svc.Spec.Selector, svc.Spec.Ports, svc.Annotations)
}
