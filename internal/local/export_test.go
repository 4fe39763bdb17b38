package local

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
