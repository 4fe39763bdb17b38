package local

import (
	"maps"
	"slices"
)

// keptTags is how many images without a Deployment are kept for later.
const keptTags = 20

// tidy forgets images that nothing runs and no tag names, with their files.
func (w *World) tidy() {
	used := map[string]bool{}
	all := slices.Collect(maps.Values(w.state.Deployments))
	for _, saved := range w.state.Saved { // which may be put back
		for _, t := range saved {
			if t.Deployment != nil {
				all = append(all, *t.Deployment)
			}
		}
	}
	for _, d := range all {
		for _, c := range d.Object.Spec.Template.Spec.Containers {
			used[c.Image] = true
		}
		for _, c := range d.Object.Spec.Template.Spec.InitContainers {
			used[c.Image] = true
		}
	}
	if len(w.state.Tags) <= keptTags {
		for _, ref := range w.state.Tags {
			used[ref] = true
		}
	} else {
		maps.DeleteFunc(w.state.Tags, func(_, ref string) bool { return !used[ref] })
	}
	maps.DeleteFunc(w.state.Images, func(ref string, _ image) bool { return !used[ref] })
	w.images.sweep(w.state.Images)
}
