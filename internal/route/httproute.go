package route

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// gatewayGroup is the group of the Gateway API.
const gatewayGroup = "gateway.networking.k8s.io"

// NewHTTPRoute returns the router for an HTTPRoute of the Gateway API. It makes
// no request.
func NewHTTPRoute(c *kube.Cluster, s Settings) (*RuleRouter, error) {
	return newRuleRouter(c, httpRoute(), s)
}

// NewGRPCRoute returns the router for a GRPCRoute of the Gateway API. It makes
// no request.
func NewGRPCRoute(c *kube.Cluster, s Settings) (*RuleRouter, error) {
	return newRuleRouter(c, grpcRoute(), s)
}

func httpRoute() kind {
	return kind{
		router: stages.HTTPRouteRouter, name: "HTTPRoute",
		group: gatewayGroup, versions: []string{"v1"}, resource: "httproutes", dialect: gatewayDialect{},
	}
}

func grpcRoute() kind {
	return kind{
		router: stages.GRPCRouteRouter, name: "GRPCRoute",
		group: gatewayGroup, versions: []string{"v1"}, resource: "grpcroutes", dialect: gatewayDialect{},
	}
}

// gatewayDialect is how the routes of the Gateway API are written.
type gatewayDialect struct{}

func (gatewayDialect) rulesAt() []string  { return []string{"spec", "rules"} }
func (gatewayDialect) backends() string   { return "backendRefs" }
func (gatewayDialect) tidy(s split) split { return s }

func (gatewayDialect) points(ref map[string]any, s service, routeNamespace string) bool {
	group, _ := ref["group"].(string)
	kind, _ := ref["kind"].(string)
	ns, _ := ref["namespace"].(string)
	return group == "" && cmp.Or(kind, "Service") == "Service" && ref["name"] == s.name && cmp.Or(ns, routeNamespace) == s.namespace
}

func (gatewayDialect) port(ref map[string]any) int64 { return number(ref["port"]) }

func (gatewayDialect) pointed(ref map[string]any, s service, routeNamespace string) map[string]any {
	out := deepCopy(ref)
	out["name"] = s.name
	if _, said := out["namespace"]; said || s.namespace != routeNamespace {
		out["namespace"] = s.namespace
	}
	return out
}

// weight reads a backend's weight, whose default is 1.
func (gatewayDialect) weight(ref map[string]any, _ bool) (int64, error) {
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

func (gatewayDialect) only(ref map[string]any) { ref["weight"] = int64(1) }

// match makes of each of the rule's matches one for each of ours.
func (gatewayDialect) match(rule map[string]any, wanted []match) error {
	list, _ := rule["matches"].([]any)
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
			h := gatewayHeader(w)
			has, _ := t["headers"].([]any)
			for _, v := range has {
				other, _ := v.(map[string]any)
				if name, _ := other["name"].(string); strings.EqualFold(name, h["name"].(string)) {
					return &AlreadyMatchedError{Header: name}
				}
			}
			m := maps.Clone(t)
			m["headers"] = append(deepCopy(has), h)
			out = append(out, m)
		}
	}
	rule["matches"] = out
	return nil
}

// gatewayHeader is a match as the Gateway API's routes ask for headers.
func gatewayHeader(m match) map[string]any {
	if m.Cookie != "" {
		return map[string]any{"type": "RegularExpression", "name": "Cookie", "value": cookiePattern(m)}
	}
	return map[string]any{"type": "Exact", "name": m.Header, "value": m.Value}
}

func (gatewayDialect) matches(rule map[string]any, wanted []match) bool {
	list, _ := rule["matches"].([]any)
	theirs, err := objects(list, "match")
	if err != nil || len(theirs) == 0 {
		return false
	}
	for _, t := range theirs {
		headers, _ := t["headers"].([]any)
		if !asksFor(headers, wanted) {
			return false
		}
	}
	return true
}

// asksFor reports whether headers of one match have one of those wanted.
func asksFor(headers []any, wanted []match) bool {
	for _, v := range headers {
		h, _ := v.(map[string]any)
		for _, w := range wanted {
			want := gatewayHeader(w)
			typ, _ := h["type"].(string)
			name, _ := h["name"].(string)
			if cmp.Or(typ, "Exact") == want["type"] && strings.EqualFold(name, want["name"].(string)) && h["value"] == want["value"] {
				return true
			}
		}
	}
	return false
}
