package route

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

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
	Service   string       `json:"service"`
	Canary    string       `json:"canary"`
	Port      int          `json:"port,omitempty"`
	Rules     []savedRule  `json:"rules"`
}

// savedRule is one rule: its backends, and all the rest of it, by which it is
// found again where rules were added or moved.
type savedRule struct {
	Index       int             `json:"index"`
	Rest        json.RawMessage `json:"rest"`
	BackendRefs []any           `json:"backendRefs"`
}

// FromSnapshot returns the router that made a snapshot, for putting it back.
func FromSnapshot(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	s, err := readSnapshot(was)
	if err != nil {
		return nil, err
	}
	if s.Router != httpRoute().router {
		return nil, fmt.Errorf("read snapshot of route: there is no router %q", s.Router)
	}
	return NewHTTPRoute(c, Settings{Namespace: s.Namespace, Route: s.Route, Split: s.Split, Service: s.Service, Canary: s.Canary, Port: s.Port})
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
		for _, v := range refs {
			if _, ok := v.(map[string]any); !ok {
				return snapshot{}, fmt.Errorf("read snapshot of route: a backend of rule %d is no object", r.Index+1)
			}
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
func without(r map[string]any) json.RawMessage {
	rest := maps.Clone(r)
	delete(rest, "backendRefs")
	return canonical(rest)
}

func (s snapshot) names() names {
	return names{stable: s.Service, canary: s.Canary, port: int64(s.Port), namespace: s.Split.Old.Workload.Namespace, routeNamespace: s.Namespace}
}

// writeTo puts the saved backends into u. A rule whose other backends are not
// what they were only has the canary taken out, in favour of stable.
func (s snapshot) writeTo(u *unstructured.Unstructured) error {
	all, _, err := unstructured.NestedFieldNoCopy(u.Object, "spec", "rules")
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	list, _ := all.([]any)
	n := s.names()
	taken := map[int]bool{}
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("read rule %d: it is no object", i+1)
		}
		if j, ok := s.find(m, i, taken); ok && n.sameOthers(m, s.Rules[j].BackendRefs) {
			taken[j] = true
			m["backendRefs"] = (&unstructured.Unstructured{Object: map[string]any{"refs": s.Rules[j].BackendRefs}}).DeepCopy().Object["refs"]
			continue
		}
		n.fold(m)
	}
	return nil
}

// find returns the saved rule that a rule is: the one at its place if the rest
// of it is the same, else the first that is the same.
func (s snapshot) find(m map[string]any, at int, taken map[int]bool) (int, bool) {
	rest, found := without(m), -1
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
// counting the canary and not counting weights, which our own splitting has
// changed.
func (n names) sameOthers(m map[string]any, saved []any) bool {
	bare := func(refs []any) []byte {
		var out []any
		for _, v := range refs {
			ref, _ := v.(map[string]any)
			if n.is(ref, n.canary) {
				continue
			}
			ref = maps.Clone(ref)
			delete(ref, "weight")
			out = append(out, ref)
		}
		return canonical(out)
	}
	refs, _ := m["backendRefs"].([]any)
	return bytes.Equal(bare(refs), bare(saved))
}

// fold takes the canary out of a rule and gives its weight to stable.
func (n names) fold(m map[string]any) {
	refs, _ := m["backendRefs"].([]any)
	var out []any
	var freed int64
	for _, v := range refs {
		ref, _ := v.(map[string]any)
		if w, err := weightOf(ref); n.is(ref, n.canary) {
			if err == nil {
				freed += w
			}
			continue
		}
		out = append(out, v)
	}
	if len(out) == len(refs) {
		return
	}
	for _, v := range out {
		ref, _ := v.(map[string]any)
		if w, err := weightOf(ref); err == nil && n.is(ref, n.stable) {
			ref["weight"] = min(w+freed, maxWeight)
			break
		}
	}
	m["backendRefs"] = out
}
