package stages

import (
	"fmt"
	"slices"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// Traffic says what splits traffic between the tracks.
type Traffic struct {
	Pos          source.Pos
	HTTPRoute    source.String   `yaml:"httpRoute" anyof:"router" atmostone:"splitter" example:"user-service" doc:"Name of the HTTPRoute (Gateway API) whose rules point at the workload's Service; namespace/name when it is in another namespace."`
	GRPCRoute    source.String   `yaml:"grpcRoute" anyof:"router" atmostone:"splitter" example:"user-service" doc:"Name of the GRPCRoute (Gateway API) whose rules point at the workload's Service; namespace/name when it is in another namespace."`
	Nginx        source.String   `yaml:"nginx" anyof:"router" atmostone:"splitter" example:"nginx-config" doc:"Name of the ConfigMap with the configuration of an nginx in front of the tracks, one of whose upstream blocks has a server for each; namespace/name when it is in another namespace."`
	IngressNginx source.String   `yaml:"ingressNginx" anyof:"router" atmostone:"splitter" example:"user-service" doc:"Name of the Ingress of an ingress-nginx controller whose rules point at the workload's Service. The controller was retired in March 2026; for those who still have it."`
	Istio        source.String   `yaml:"istio" anyof:"router" atmostone:"splitter" example:"user-service" doc:"Name of the VirtualService (Istio) whose routes point at the workload's Service; namespace/name when it is in another namespace."`
	Replicas     source.Bool     `yaml:"replicas" anyof:"router" atmostone:"splitter" example:"true" doc:"Nothing splits the traffic but the numbers of pods behind one Service; the real ratio is what is reported."`
	Service      source.String   `yaml:"service" anyof:"router" doc:"The Service that users reach the workload by. Default: the one that the route points at and that selects the workload's pods. Alone, its selector is what is switched from one colour to the other."`
	Upstream     source.String   `yaml:"upstream" doc:"With nginx: name of the upstream block. Default: the only one that has a server for each track."`
	Match        []Match         `yaml:"match" doc:"Requests that go to the new track from its first step on, whatever its weight: all that have one of these headers or cookies."`
	Probe        source.Template `yaml:"probe" doc:"URL through the real path that must answer with a status below 400 after every change of weight, such as http://gateway.example/health."`
	Drain        source.Duration `yaml:"drain" default:"5s" doc:"How long a track may still get requests after its weight has become 0, before its pods are ended."`
	Settle       source.Duration `yaml:"settle" default:"1s" doc:"How long the endpoints of new pods are given to reach the proxies, after Kubernetes shows them as ready and before they get traffic."`
}

// Match picks requests by one header or cookie.
type Match struct {
	Pos    source.Pos
	Header source.String `yaml:"header" oneof:"match" example:"x-canary" doc:"Name of the header."`
	Cookie source.String `yaml:"cookie" oneof:"match" example:"canary" doc:"Name of the cookie."`
	Value  source.String `yaml:"value" required:"true" example:"always" doc:"Its value, exactly."`
}

// The routers, by their keys in the file.
const (
	HTTPRouteRouter    = "httpRoute"
	GRPCRouteRouter    = "grpcRoute"
	NginxRouter        = "nginx"
	IngressNginxRouter = "ingressNginx"
	IstioRouter        = "istio"
	ReplicasRouter     = "replicas"
	ServiceRouter      = "service"
)

// Router returns which router splits the traffic, and the name of what it
// works on, which may be "namespace/name"; "" and "" where none is named.
func (t Traffic) Router() (router, name string) {
	for _, r := range []struct {
		router string
		name   source.String
	}{
		{HTTPRouteRouter, t.HTTPRoute},
		{GRPCRouteRouter, t.GRPCRoute},
		{NginxRouter, t.Nginx},
		{IngressNginxRouter, t.IngressNginx},
		{IstioRouter, t.Istio},
	} {
		if r.name.IsSet() {
			return r.router, r.name.Value
		}
	}
	switch {
	case t.Replicas.Value:
		return ReplicasRouter, t.Service.Value
	case t.Service.IsSet():
		return ServiceRouter, t.Service.Value
	}
	return "", ""
}

// ability is what a router can do, as far as the file alone tells.
type ability struct {
	canary, blueGreen bool
	// between is whether it can set weights between 0 and 100.
	between bool
	// headers and cookies are whether it can match them; matches is how many
	// of them at most, 0 for any number.
	headers, cookies bool
	matches          int
}

func abilities(router string) ability {
	switch router {
	case HTTPRouteRouter, IstioRouter:
		return ability{canary: true, blueGreen: true, between: true, headers: true, cookies: true}
	case GRPCRouteRouter:
		return ability{canary: true, blueGreen: true, between: true, headers: true}
	case IngressNginxRouter:
		return ability{canary: true, blueGreen: true, between: true, headers: true, cookies: true, matches: 1}
	case NginxRouter:
		return ability{canary: true, blueGreen: true, between: true}
	case ReplicasRouter:
		return ability{canary: true, between: true}
	case ServiceRouter:
		return ability{blueGreen: true}
	}
	return ability{}
}

// check reports what the router cannot do for a stage of a kind: canary or
// blueGreen.
func (t Traffic) check(kind string, report func(source.Problem)) {
	router, _ := t.Router()
	can := abilities(router)
	if t.Replicas.IsSet() && !t.Replicas.Value {
		report(source.Problem{Pos: t.Replicas.Pos, Width: len("false"), Message: "replicas: false says nothing", Hint: "leave it out, or write replicas: true"})
		return
	}
	switch {
	case kind == "canary" && !can.canary:
		report(source.Problem{
			Pos: t.Pos, Width: 1, Message: "a Service alone can only switch all traffic at once",
			Hint: "roll out with blueGreen, name a route, or add replicas: true to split by the numbers of pods",
		})
	case kind == "blueGreen" && !can.blueGreen:
		report(source.Problem{
			Pos: t.Replicas.Pos, Width: len("true"), Message: "blue/green cannot split by the numbers of pods",
			Hint: "name the Service alone, whose selector is switched, or a route",
		})
	}
	if t.Upstream.IsSet() && router != NginxRouter {
		report(source.Problem{Pos: t.Upstream.Pos, Width: len(t.Upstream.Value), Message: "upstream: goes with nginx: alone", Hint: "leave it out"})
	}
	t.checkMatches(router, can, report)
}

func (t Traffic) checkMatches(router string, can ability, report func(source.Problem)) {
	for i, m := range t.Match {
		refuse := func(what string) {
			report(source.Problem{
				Pos: m.Pos, Width: 1, Message: fmt.Sprintf("%s cannot match %s", router, what),
				Hint: "leave match: out, or use a router that can: " + matchers(m),
			})
		}
		switch {
		case m.Header.IsSet() && !can.headers:
			refuse("headers")
		case m.Cookie.IsSet() && !can.cookies:
			refuse("cookies")
		case can.matches > 0 && slices.ContainsFunc(t.Match[:i], func(earlier Match) bool { return earlier.Header.IsSet() == m.Header.IsSet() }):
			refuse("more than one header and one cookie")
		case router == IngressNginxRouter && m.Cookie.IsSet() && m.Value.Value != "always":
			report(source.Problem{
				Pos: m.Value.Pos, Width: len(m.Value.Value), Message: "ingressNginx knows only cookies whose value is always",
				Hint: "write value: always, match a header, or use a router that can: httpRoute, istio",
			})
		}
	}
}

// matchers lists the routers that can do a match.
func matchers(m Match) string {
	if m.Header.IsSet() {
		return "httpRoute, grpcRoute, istio, ingressNginx"
	}
	return "httpRoute, istio, ingressNginx"
}
