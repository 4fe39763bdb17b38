package route

import (
	"cmp"
	"fmt"
	"maps"
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// names are the Services that a route splits between.
type names struct {
	stable, canary string
	// namespace is theirs, routeNamespace the route's, which is the default
	// of a backend.
	namespace, routeNamespace string
	// port limits what is split; 0 is any.
	port int64
}

// is reports whether a backend is the Service called name.
func (n names) is(ref map[string]any, name string) bool {
	group, _ := ref["group"].(string)
	kind, _ := ref["kind"].(string)
	ns, _ := ref["namespace"].(string)
	return group == "" && cmp.Or(kind, "Service") == "Service" && ref["name"] == name &&
		cmp.Or(ns, n.routeNamespace) == n.namespace && (n.port == 0 || number(ref["port"]) == n.port)
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

// weightOf reads a backend's weight, whose default is 1.
func weightOf(ref map[string]any) (int64, error) {
	v, ok := ref["weight"]
	if !ok || v == nil {
		return 1, nil
	}
	w := number(v)
	if w < 0 || w > maxWeight {
		return 0, fmt.Errorf("backend %v has the weight %v", ref["name"], v)
	}
	return w, nil
}

// rule is one that points at stable.
type rule struct {
	index int
	rule  map[string]any
	// stable and canary are the places of their backends, canary -1 if there
	// is none.
	stable, canary int
	split          split
}

// refs are the backends of the rule.
func (r rule) refs() []any {
	refs, _ := r.rule["backendRefs"].([]any)
	return refs
}

// rules finds those that point at stable. A rule that gives no traffic to
// either track is not one of them. The rules are parts of u.
func (n names) rules(u *unstructured.Unstructured) ([]rule, error) {
	all, _, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "rules")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	list, _ := all.([]any)
	var out []rule
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("read rules: rule %d is no object", i+1)
		}
		r, ok, err := n.rule(m)
		if err != nil {
			return nil, fmt.Errorf("read rule %d: %w", i+1, err)
		}
		if r.index = i; ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// rule reads one; false when it does not concern the tracks.
func (n names) rule(m map[string]any) (rule, bool, error) {
	r := rule{rule: m, stable: -1, canary: -1}
	for i, v := range r.refs() {
		ref, ok := v.(map[string]any)
		if !ok {
			return rule{}, false, fmt.Errorf("backend %d is no object", i+1)
		}
		w, err := weightOf(ref)
		if err != nil {
			return rule{}, false, err
		}
		switch {
		case n.is(ref, n.stable):
			if r.stable >= 0 {
				return rule{}, false, fmt.Errorf("it has two backends of Service %s; it is not clear how to split them", n.stable)
			}
			r.stable, r.split.stable = i, w
		case n.is(ref, n.canary):
			if r.canary >= 0 {
				return rule{}, false, fmt.Errorf("it has two backends of Service %s", n.canary)
			}
			r.canary, r.split.canary = i, w
		default:
			r.split.others = append(r.split.others, w)
		}
	}
	if r.stable < 0 && r.canary >= 0 {
		return rule{}, false, fmt.Errorf("it points at Service %s and not at %s", n.canary, n.stable)
	}
	return r, r.stable >= 0 && r.split.stable+r.split.canary > 0, nil
}

// weight is the share of the canary, which must be the same in every rule.
func (n names) weight(u *unstructured.Unstructured) (float64, error) {
	rules, err := n.rules(u)
	if err != nil {
		return 0, err
	}
	if len(rules) == 0 {
		return 0, fmt.Errorf("no rule points at Service %s", n.stable)
	}
	first := 0.0
	for i, r := range rules {
		s, err := r.split.share()
		if err != nil {
			return 0, fmt.Errorf("rule %d: %w", r.index+1, err)
		}
		if i == 0 {
			first = s
		}
		if !near(s, first) {
			return 0, fmt.Errorf("%s in rule %d and %s in rule %d", percent(first), rules[0].index+1, percent(s), r.index+1)
		}
	}
	return first, nil
}

// setWeight changes the weights in u.
func (n names) setWeight(u *unstructured.Unstructured, to float64) error {
	rules, err := n.rules(u)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		return fmt.Errorf("no rule points at Service %s", n.stable)
	}
	for _, r := range rules {
		if r.canary < 0 && to == 0 {
			continue
		}
		s, err := r.split.at(to)
		if err != nil {
			return fmt.Errorf("rule %d: %w", r.index+1, err)
		}
		refs, others := r.refs(), 0
		for i, v := range refs {
			ref, _ := v.(map[string]any) // [names.rule] has looked.
			switch i {
			case r.stable:
				ref["weight"] = s.stable
			case r.canary:
				ref["weight"] = s.canary
			default:
				if w, err := weightOf(ref); err == nil && w != s.other(others) {
					ref["weight"] = s.other(others)
				}
				others++
			}
		}
		if r.canary < 0 {
			stable, _ := refs[r.stable].(map[string]any)
			canary := maps.Clone(stable) // Port, filters and namespace are stable's.
			canary["name"], canary["weight"] = n.canary, s.canary
			if f, ok := stable["filters"].([]any); ok {
				canary["filters"] = append([]any(nil), f...)
			}
			refs = append(refs[:r.stable+1], append([]any{canary}, refs[r.stable+1:]...)...)
			r.rule["backendRefs"] = refs
		}
	}
	return nil
}

// other is the weight of the i-th other backend, which without any stays as it
// is.
func (s split) other(i int) int64 {
	if i < len(s.others) {
		return s.others[i]
	}
	return 1
}
