package kube

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// colours are the names of the colour that is made and of the one that it is
// made from.
type colours struct{ from, to string }

func coloursOf(t stages.Track) colours {
	if t.Name == stages.Green {
		return colours{stages.Blue, stages.Green}
	}
	return colours{stages.Green, stages.Blue}
}

// marks are the labels by which the pods of two colours differ; Stable is the
// value of the colour that is there, and Canary that of the one made from it.
type marks []mark

// ofColours finds the labels of a selector that say the colour: their value is
// its name, or ends in it.
func ofColours(selector map[string]string, c colours) marks {
	var out marks
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		if v, ok := c.exchangeLast(selector[k]); ok {
			out = append(out, mark{Key: k, Stable: selector[k], Canary: v})
		}
	}
	return out
}

// chooseMarks finds by what the pods of a colour shall differ from those of
// its peer. svcs are the Services that may select both; none of them selects
// the new ones by the labels chosen.
func chooseMarks(selector, template map[string]string, svcs []corev1.Service, c colours) (marks, error) {
	ms := ofColours(selector, c)
	peers := selectingAll(svcs, template)
	if _, both := selecting(peers, ms.apply(template)); !both && len(ms) > 0 {
		return ms, nil
	}
	m, err := chooseMark(ms.apply(selector), ms.apply(template), peers)
	if err != nil {
		return nil, err
	}
	m.Canary = stages.Suffixed(m.Stable, "-"+c.to)
	return append(ms, m), nil
}

// marksBetween finds the labels by which the pods that a colour's Deployment
// knows differ from those of its peer.
func marksBetween(peer, known map[string]string) marks {
	var out marks
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if v, ok := peer[k]; ok && v != known[k] {
			out = append(out, mark{Key: k, Stable: v, Canary: known[k]})
		}
	}
	return out
}

// apply returns labels as the new colour has them.
func (ms marks) apply(labels map[string]string) map[string]string {
	for _, m := range ms {
		labels = m.apply(labels)
	}
	return labels
}

// recoloured makes a colour's Deployment from its peer's, of which nothing but
// name, namespace and the marks is changed.
func recoloured(base *unstructured.Unstructured, ms marks, t stages.Track, ns string) *unstructured.Unstructured {
	u := bare(base)
	u.SetName(t.Workload.Name)
	u.SetNamespace(ns)
	labels := foreign(u.GetLabels())
	for k, v := range labels {
		if other, ok := coloursOf(t).exchangeLast(v); ok {
			labels[k] = other
		}
	}
	u.SetLabels(ms.apply(labels))
	u.SetAnnotations(foreign(u.GetAnnotations()))
	unstructured.RemoveNestedField(u.Object, "spec", "paused")
	for _, path := range [][]string{{"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "labels"}} {
		if labels, ok, _ := unstructured.NestedStringMap(u.Object, path...); ok {
			set(u.Object, anyMap(ms.apply(labels)), path...)
		}
	}
	for _, m := range ms {
		if exprs, ok, _ := unstructured.NestedSlice(u.Object, "spec", "selector", "matchExpressions"); ok {
			set(u.Object, m.replaceIn(exprs), "spec", "selector", "matchExpressions")
		}
		m.repoint(u)
	}
	return u
}

// exchangeLast exchanges the colour in a value that is its name or ends in it.
func (c colours) exchangeLast(v string) (string, bool) {
	if v == c.from {
		return c.to, true
	}
	if rest, ok := strings.CutSuffix(v, "-"+c.from); ok {
		return rest + "-" + c.to, true
	}
	return v, false
}

// exchange exchanges the colour wherever it is a word of a name, such as in
// db-secret-blue and blue-db-secret.
func (c colours) exchange(name string) (string, bool) {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '.' || r == '_' })
	if !slices.Contains(words, c.from) {
		return name, false
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		end := i + strings.IndexAny(name[i:]+"-", "-._")
		if word := name[i:end]; word == c.from {
			b.WriteString(c.to)
		} else {
			b.WriteString(word)
		}
		if end < len(name) {
			b.WriteByte(name[end])
		}
		i = end + 1
	}
	return b.String(), true
}
