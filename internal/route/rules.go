package route

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// names are the Services that a route splits between, and how it names them.
type names struct {
	dialect
	old, new service
	// routeNamespace is the route's, the default of a backend.
	routeNamespace string
	// port limits what is split; 0 is any.
	port int64
	// colours says that either track may be without a backend.
	colours bool
	matches []match
}

// is reports whether a backend is a Service.
func (n names) is(ref map[string]any, s service) bool {
	return n.points(ref, s, n.routeNamespace) && (n.port == 0 || n.dialect.port(ref) == n.port)
}

// rule is one that points at one of the tracks.
type rule struct {
	index int
	rule  map[string]any
	refs  []map[string]any
	// old and new are the places of their backends, -1 if there is none.
	old, new int
	split    split
}

// listOf returns the rules of a route, which are parts of it.
func (n names) listOf(u *unstructured.Unstructured) ([]map[string]any, error) {
	all, _, err := unstructured.NestedFieldNoCopy(u.Object, n.rulesAt()...)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	list, _ := all.([]any)
	return objects(list, "rule")
}

// objects reads a list of objects.
func objects(list []any, what string) ([]map[string]any, error) {
	out := make([]map[string]any, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("read %s %d: it is no object", what, i+1)
		}
		out[i] = m
	}
	return out, nil
}

func anySlice(list []map[string]any) []any {
	out := make([]any, len(list))
	for i, m := range list {
		out[i] = m
	}
	return out
}

// setList makes list the rules of a route.
func (n names) setList(u *unstructured.Unstructured, list []map[string]any) error {
	return unstructured.SetNestedSlice(u.Object, anySlice(list), n.rulesAt()...)
}

// rules finds those that point at a track. A rule that gives no traffic to
// either is not one of them, nor is one that was made for matches.
func (n names) rules(u *unstructured.Unstructured) ([]rule, error) {
	list, err := n.listOf(u)
	if err != nil {
		return nil, err
	}
	return n.among(list)
}

func (n names) among(list []map[string]any) ([]rule, error) {
	var out []rule
	for i, m := range list {
		if n.ours(m) {
			continue
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
	r := rule{rule: m, old: -1, new: -1}
	list, _ := m[n.backends()].([]any)
	var err error
	if r.refs, err = objects(list, "backend"); err != nil {
		return rule{}, false, err
	}
	for i, ref := range r.refs {
		w, err := n.weight(ref, len(r.refs) == 1)
		if err != nil {
			return rule{}, false, err
		}
		switch {
		case n.is(ref, n.old):
			if r.old >= 0 {
				return rule{}, false, fmt.Errorf("it has two backends of Service %s; it is not clear how to split them", n.old.name)
			}
			r.old, r.split.stable = i, w
		case n.is(ref, n.new):
			if r.new >= 0 {
				return rule{}, false, fmt.Errorf("it has two backends of Service %s", n.new.name)
			}
			r.new, r.split.canary = i, w
		default:
			r.split.others = append(r.split.others, w)
		}
	}
	if r.old < 0 && r.new >= 0 && !n.colours {
		return rule{}, false, fmt.Errorf("it points at Service %s and not at %s", n.new.name, n.old.name)
	}
	return r, r.split.stable+r.split.canary > 0, nil
}

// pointsAt reports whether any rule of a route has a backend of a Service,
// whatever its weight.
func (n names) pointsAt(u *unstructured.Unstructured, s service) bool {
	list, err := n.listOf(u)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(m map[string]any) bool {
		refs, _ := m[n.backends()].([]any)
		return slices.ContainsFunc(refs, func(v any) bool {
			ref, ok := v.(map[string]any)
			return ok && n.is(ref, s)
		})
	})
}

// share is that of the new track, which must be the same in every rule.
func (n names) share(u *unstructured.Unstructured) (float64, error) {
	rules, err := n.rules(u)
	if err != nil {
		return 0, err
	}
	if len(rules) == 0 {
		return 0, n.nothing()
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

func (n names) nothing() error {
	if n.colours {
		return fmt.Errorf("no rule gives traffic to Service %s or %s", n.old, n.new)
	}
	return fmt.Errorf("no rule points at Service %s", n.old.name)
}

// setShare changes the weights in u, and brings the rules for matches.
func (n names) setShare(u *unstructured.Unstructured, to float64) error {
	list, err := n.listOf(u)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, n.ours)
	rules, err := n.among(list)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		return n.nothing()
	}
	for _, r := range rules {
		if err := n.move(r, to); err != nil {
			return fmt.Errorf("rule %d: %w", r.index+1, err)
		}
	}
	if list, err = n.withMatches(list); err != nil {
		return err
	}
	return n.setList(u, list)
}

// move changes the weights of one rule.
func (n names) move(r rule, to float64) error {
	if r.new < 0 && to == 0 || r.old < 0 && to == 100 {
		return nil
	}
	s, err := r.split.at(to)
	if err != nil {
		return err
	}
	s = n.tidy(s)
	others := 0
	for i, ref := range r.refs {
		switch i {
		case r.old:
			ref["weight"] = s.stable
		case r.new:
			ref["weight"] = s.canary
		default:
			if w, err := n.weight(ref, false); err == nil && w != s.other(others) {
				ref["weight"] = s.other(others)
			}
			others++
		}
	}
	switch { // Port, filters and all else are the other track's.
	case r.new < 0:
		ref := n.pointed(r.refs[r.old], n.new, n.routeNamespace)
		ref["weight"] = s.canary
		r.refs = slices.Insert(r.refs, r.old+1, ref)
	case r.old < 0:
		ref := n.pointed(r.refs[r.new], n.old, n.routeNamespace)
		ref["weight"] = s.stable
		r.refs = slices.Insert(r.refs, r.new, ref)
	}
	r.rule[n.backends()] = anySlice(r.refs)
	return nil
}

// settle takes the old track and the rules for matches out of u, whose new
// track has all traffic.
func (n names) settle(u *unstructured.Unstructured) error {
	list, err := n.listOf(u)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, n.ours)
	rules, err := n.among(list)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.old < 0 {
			continue
		}
		refs := slices.Delete(r.refs, r.old, r.old+1)
		if len(refs) == 1 {
			n.only(refs[0])
		}
		r.rule[n.backends()] = anySlice(refs)
	}
	return n.setList(u, list)
}

// other is the weight of the i-th other backend, which without any stays as it
// is.
func (s split) other(i int) int64 {
	if i < len(s.others) {
		return s.others[i]
	}
	return 1
}
