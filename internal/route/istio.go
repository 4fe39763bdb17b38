package route

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// istioGroup is the group of Istio's routes.
const istioGroup = "networking.istio.io"

// NewVirtualService returns the router for the http routes of a VirtualService
// of Istio. It makes no request.
func NewVirtualService(c *kube.Cluster, s Settings) (*RuleRouter, error) {
	return newRuleRouter(c, virtualService(), s)
}

func virtualService() kind {
	return kind{
		router: stages.IstioRouter, name: "VirtualService",
		group: istioGroup, versions: []string{"v1", "v1beta1", "v1alpha3"}, resource: "virtualservices", dialect: istioDialect{},
	}
}

// istioDialect is how VirtualServices are written. Their tcp and tls routes are
// not looked at.
type istioDialect struct{}

func (istioDialect) rulesAt() []string { return []string{"spec", "http"} }
func (istioDialect) backends() string  { return "route" }

// clusterDomain ends the names of Services where nothing says otherwise.
const clusterDomain = "cluster.local"

// host splits a host into the Service that it names and what follows that.
func (istioDialect) host(ref map[string]any, routeNamespace string) (s service, suffix string, ok bool) {
	destination, _ := ref["destination"].(map[string]any)
	host, _ := destination["host"].(string)
	parts := strings.SplitN(host, ".", 3)
	switch {
	case host == "":
		return service{}, "", false
	case len(parts) == 1:
		return service{routeNamespace, host}, "", true
	case len(parts) == 2:
		return service{parts[1], parts[0]}, "", true
	}
	if parts[2] != "svc" && !strings.HasPrefix(parts[2], "svc.") {
		return service{}, "", false // Not of the cluster.
	}
	return service{parts[1], parts[0]}, "." + parts[2], true
}

func (d istioDialect) points(ref map[string]any, s service, routeNamespace string) bool {
	at, _, ok := d.host(ref, routeNamespace)
	return ok && at == s
}

func (istioDialect) port(ref map[string]any) int64 {
	p, ok, err := unstructured.NestedFieldNoCopy(ref, "destination", "port", "number")
	if !ok || err != nil {
		return -1
	}
	return number(p)
}

// pointed keeps the form of the host where it can. A subset is one of the
// other Service's pods, and goes.
func (d istioDialect) pointed(ref map[string]any, s service, routeNamespace string) map[string]any {
	out := deepCopy(ref)
	destination, _ := out["destination"].(map[string]any)
	_, suffix, _ := d.host(ref, routeNamespace)
	was, _ := destination["host"].(string)
	switch {
	case suffix != "":
		destination["host"] = s.name + "." + s.namespace + suffix
	case !strings.Contains(was, ".") && s.namespace == routeNamespace:
		destination["host"] = s.name
	default:
		destination["host"] = s.name + "." + s.namespace + ".svc." + clusterDomain
	}
	delete(destination, "subset")
	return out
}

// weight reads a destination's weight. The only one of a route gets everything
// whatever it says; among several the default is 0.
func (istioDialect) weight(ref map[string]any, only bool) (int64, error) {
	if only {
		return 1, nil
	}
	v, ok := ref["weight"]
	if !ok || v == nil {
		return 0, nil
	}
	w := number(v)
	if w < 0 || w > maxWeight {
		return 0, fmt.Errorf("a destination has the weight %v", v)
	}
	return w, nil
}

func (istioDialect) only(ref map[string]any) { delete(ref, "weight") }

// tidy makes the sum of all weights 100 where it can: Istio before 1.15 takes
// no other.
func (istioDialect) tidy(s split) split {
	sum := s.stable + s.canary
	for _, o := range s.others {
		sum += o
	}
	if sum == 0 {
		return s
	}
	if 100%sum == 0 {
		return s.times(100 / sum)
	}
	g := gcd(s.stable, s.canary)
	for _, o := range s.others {
		g = gcd(g, o)
	}
	if least := sum / g; 100%least == 0 {
		return s.over(g).times(100 / least)
	}
	return s
}

// match makes of each of the route's matches one for each of ours.
func (istioDialect) match(rule map[string]any, wanted []match) error {
	list, _ := rule["match"].([]any)
	if len(list) == 0 {
		list = []any{map[string]any{}}
	}
	theirs, err := objects(list, "match")
	if err != nil {
		return err
	}
	var out []any
	for _, t := range theirs {
		for _, w := range wanted {
			name, value := istioHeader(w)
			has, _ := t["headers"].(map[string]any)
			for other := range has {
				if strings.EqualFold(other, name) {
					return &AlreadyMatchedError{Header: other}
				}
			}
			headers := map[string]any{name: value}
			maps.Copy(headers, deepCopy(has))
			m := maps.Clone(t)
			m["headers"] = headers
			out = append(out, m)
		}
	}
	rule["match"] = out
	return nil
}

// istioHeader is a match as VirtualServices ask for headers, whose names are
// in lower case.
func istioHeader(m match) (name string, value map[string]any) {
	if m.Cookie != "" {
		return "cookie", map[string]any{"regex": cookiePattern(m)}
	}
	return strings.ToLower(m.Header), map[string]any{"exact": m.Value}
}

func (istioDialect) matches(rule map[string]any, wanted []match) bool {
	list, _ := rule["match"].([]any)
	theirs, err := objects(list, "match")
	if err != nil || len(theirs) == 0 {
		return false
	}
	for _, t := range theirs {
		has, _ := t["headers"].(map[string]any)
		found := false
		for _, w := range wanted {
			name, value := istioHeader(w)
			if v, ok := has[name]; ok && string(canonical(v)) == string(canonical(value)) {
				found = true
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// refused reads what Istio's analysis says, where it is switched on; without
// it nothing is said.
func (istioDialect) refused(r *RuleRouter, u *unstructured.Unstructured) error {
	at, ok, err := unstructured.NestedFieldNoCopy(u.Object, "status", "observedGeneration")
	if err == nil && ok && observed(at) < u.GetGeneration() {
		return nil // It is about an earlier one.
	}
	list, _, err := unstructured.NestedSlice(u.Object, "status", "validationMessages")
	if err != nil {
		return nil //nolint:nilerr // nothing is said that could be read
	}
	for _, v := range list {
		m, _ := v.(map[string]any)
		if level, _ := m["level"].(string); level != "ERROR" {
			continue
		}
		what, _, _ := unstructured.NestedString(m, "type", "name")
		code, _, _ := unstructured.NestedString(m, "type", "code")
		return fmt.Errorf("istio says that %s is wrong: %s %s", r.Name(), code, what)
	}
	return nil
}

// observed reads a generation, which Istio writes as a string.
func observed(v any) int64 {
	if s, ok := v.(string); ok {
		var n int64
		if _, err := fmt.Sscan(s, &n); err != nil {
			return -1
		}
		return n
	}
	return number(v)
}

func (istioDialect) said(*unstructured.Unstructured) bool { return false }
