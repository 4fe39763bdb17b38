package route

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// snapshot is what a route's backends were. It names the route, so that it can
// be put back by a process that knows nothing else.
type snapshot struct {
	Router    string       `json:"router"`
	Namespace string       `json:"namespace"`
	Route     string       `json:"route"`
	Split     stages.Split `json:"split"`
	// Service and Canary are those of the old and of the new track.
	Service string      `json:"service"`
	Canary  string      `json:"canary"`
	Port    int         `json:"port,omitempty"`
	Matches []match     `json:"matches,omitempty"`
	Rules   []savedRule `json:"rules"`
}

// savedRule is one rule: its backends, and all the rest of it, by which it is
// found again where rules were added or moved.
type savedRule struct {
	Index       int             `json:"index"`
	Rest        json.RawMessage `json:"rest"`
	BackendRefs []any           `json:"backendRefs"`
}

// rulesFrom returns the router that made a snapshot of rules.
func rulesFrom(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	s, err := readSnapshot(was)
	if err != nil {
		return nil, err
	}
	for _, k := range []kind{httpRoute(), grpcRoute(), virtualService()} {
		if k.router != s.Router {
			continue
		}
		r, err := newRuleRouter(c, k, Settings{
			Namespace: s.Namespace, Route: s.Route, Split: s.Split, Service: s.Service, NewService: s.Canary, Port: s.Port,
		})
		if err != nil {
			return nil, err
		}
		r.matches = s.Matches
		r.resolved = s.names(k.dialect)
		return r, nil
	}
	return nil, fmt.Errorf("read snapshot of route: %s has no rules", s.Router)
}

// readSnapshot decodes a snapshot, whose numbers stay whole.
func readSnapshot(was json.RawMessage) (snapshot, error) {
	var s snapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return snapshot{}, fmt.Errorf("read snapshot of route: %w", err)
	}
	if s.Router == "" || s.Namespace == "" || s.Route == "" || s.Service == "" || s.Canary == "" {
		return snapshot{}, fmt.Errorf("read snapshot of route: it does not say which route and Services it is of")
	}
	for i, r := range s.Rules {
		refs, ok := whole(any(r.BackendRefs)).([]any)
		if !ok {
			return snapshot{}, fmt.Errorf("read snapshot of route: rule %d has no backends", r.Index+1)
		}
		if _, err := objects(refs, "backend"); err != nil {
			return snapshot{}, fmt.Errorf("read snapshot of route: rule %d: %w", r.Index+1, err)
		}
		s.Rules[i].BackendRefs = refs
	}
	return s, nil
}

// whole turns the whole numbers of encoding/json, which are float64, into the
// int64 that objects of the API have.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if n := number(v); n >= 0 {
			return n
		}
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	}
	return v
}

// without is a rule without its backends.
func (n names) without(r map[string]any) json.RawMessage {
	rest := maps.Clone(r)
	delete(rest, n.backends())
	return canonical(rest)
}

// names are those that the snapshot is about.
func (s snapshot) names(d dialect) names {
	old := s.Split.Old.Workload.Namespace
	return names{
		dialect: d, old: service{old, s.Service}, new: service{cmp.Or(s.Split.New.Workload.Namespace, old), s.Canary},
		routeNamespace: s.Namespace, port: int64(s.Port), matches: s.Matches,
		colours: s.Split.Old.Colour() && s.Split.New.Colour(),
	}
}

// writeTo puts the saved backends into u, and takes out what was made for
// matches. A rule whose other backends are not what they were only has the new
// track taken out, in favour of the old one.
func (s snapshot) writeTo(u *unstructured.Unstructured, n names) error {
	list, err := n.listOf(u)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, n.ours)
	taken := map[int]bool{}
	for i, m := range list {
		if j, ok := s.find(n, m, i, taken); ok && n.sameOthers(m, s.Rules[j].BackendRefs) {
			taken[j] = true
			m[n.backends()] = deepCopy(s.Rules[j].BackendRefs)
			continue
		}
		n.fold(m)
	}
	if len(list) == 0 {
		return nil // There is no list to be written to.
	}
	return n.setList(u, list)
}

// find returns the saved rule that a rule is: the one at its place if the rest
// of it is the same, else the first that is the same.
func (s snapshot) find(n names, m map[string]any, at int, taken map[int]bool) (int, bool) {
	rest, found := n.without(m), -1
	for j, r := range s.Rules {
		if taken[j] || !bytes.Equal(canonical(r.Rest), rest) {
			continue
		}
		if r.Index == at {
			return j, true
		}
		if found < 0 {
			found = j
		}
	}
	return found, found >= 0
}

// sameOthers reports whether a rule has the same backends as a saved one, not
// counting the new track, nor an old one that is gone, nor weights, all of
// which our own splitting changes.
func (n names) sameOthers(m map[string]any, saved []any) bool {
	refs, _ := m[n.backends()].([]any)
	hasOld := slices.ContainsFunc(refs, func(v any) bool {
		ref, ok := v.(map[string]any)
		return ok && n.is(ref, n.old)
	})
	bare := func(refs []any) []byte {
		var out []any
		for _, v := range refs {
			ref, _ := v.(map[string]any)
			if n.is(ref, n.new) || !hasOld && n.is(ref, n.old) {
				continue
			}
			ref = maps.Clone(ref)
			delete(ref, "weight")
			out = append(out, ref)
		}
		return canonical(out)
	}
	return bytes.Equal(bare(refs), bare(saved))
}

// fold takes the new track out of a rule and gives its weight to the old one.
func (n names) fold(m map[string]any) {
	refs, _ := m[n.backends()].([]any)
	var out []any
	var moved map[string]any
	old := -1
	var freed int64
	for _, v := range refs {
		ref, _ := v.(map[string]any)
		if n.is(ref, n.new) {
			if w, err := n.weight(ref, len(refs) == 1); err == nil {
				freed += w
			}
			moved = ref
			continue
		}
		if n.is(ref, n.old) && old < 0 {
			old = len(out)
		}
		out = append(out, v)
	}
	switch {
	case moved == nil:
		return
	case old < 0: // It had the old track once, or would be left with nothing.
		out = append(out, n.pointed(moved, n.old, n.routeNamespace))
	default:
		ref, _ := out[old].(map[string]any)
		if w, err := n.weight(ref, false); err == nil {
			ref["weight"] = min(w+freed, maxWeight)
		}
	}
	m[n.backends()] = out
}
