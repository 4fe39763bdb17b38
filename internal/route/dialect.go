package route

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is one of the kinds of objects that have rules with weighted backends.
type kind struct {
	router string // the word in the pipeline file
	name   string // the Kubernetes kind
	group  string
	// versions are those that can be read, the best first. Where there are
	// several, the cluster is asked which it has.
	versions []string
	resource string
	dialect  dialect
}

func (k kind) at(version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource}
}

// dialect is how a kind writes its rules and their backends.
type dialect interface {
	// rulesAt is where the list of rules is, and backends the key of those of
	// one rule.
	rulesAt() []string
	backends() string
	// points reports whether a backend of a route in a namespace is a Service.
	points(ref map[string]any, s service, routeNamespace string) bool
	// port is a backend's, -1 where it does not say.
	port(ref map[string]any) int64
	// pointed returns a copy of a backend that points at another Service.
	pointed(ref map[string]any, s service, routeNamespace string) map[string]any
	// weight reads that of a backend, which may be the only one of its rule.
	weight(ref map[string]any, only bool) (int64, error)
	// only makes a backend one that needs no weight.
	only(ref map[string]any)
	// tidy brings weights into the form that the kind prefers, the share
	// unchanged.
	tidy(s split) split
	// match adds to a rule's conditions that one of matches holds; it reports
	// what cannot be said so.
	match(rule map[string]any, matches []match) error
	// matches reports whether all of a rule's conditions ask for one of
	// matches.
	matches(rule map[string]any, matches []match) bool
	// refused returns why the object is not carried out as it is now, nil
	// where nothing says so, and said whether nil means that it is.
	refused(r *RuleRouter, u *unstructured.Unstructured) error
	said(u *unstructured.Unstructured) bool
}

// number reads a whole number as JSON decoders give it; -1 for anything else.
func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case int:
		return int64(v)
	case float64:
		if v == math.Trunc(v) {
			return int64(v)
		}
	}
	return -1
}

// deepCopy copies a part of an object of the API.
func deepCopy[T any](v T) T {
	u := unstructured.Unstructured{Object: map[string]any{"v": v}}
	out, _ := u.DeepCopy().Object["v"].(T)
	return out
}
