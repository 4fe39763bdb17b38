package importer

import (
	"strings"
)

// route is one way of splitting traffic: a key of traffic and its value.
type route struct {
	key, value string
	// matches is how many headers it can match, -1 for any number.
	matches int
}

// traffic reads how a canary's traffic is split.
func (im *importing) traffic(s *stage, canary *node, r route, match []string) {
	routing := canary.get("trafficRouting")
	parts := []string{r.key + ": " + r.value}
	if service := canary.get("stableService").text(); label().MatchString(service) {
		parts = append(parts, "service: "+quote(service))
	}
	if n := routing.get("managedRoutes"); n.there() {
		im.tell(n, "not needed: what is added to a route is taken away again")
	}
	if n := routing.get("maxTrafficWeight"); n.there() {
		im.lost(n, "weights are percentages")
	}
	im.rest(routing)
	if len(match) > 0 {
		parts = append(parts, "match: ["+strings.Join(match, ", ")+"]")
	}
	s.add("traffic: {%s}", strings.Join(parts, ", "))
}

var byReplicas = route{key: "replicas", value: "true"}

// router finds the router that does what Argo's does.
func (im *importing) router(routing *node) route {
	named := func(key string, n *node, matches int) (route, bool) {
		name := n.text()
		if !validRoute(name) {
			return route{}, false
		}
		return route{key, quote(name), matches}, true
	}
	found, ok := byReplicas, false
	take := func(r route, valid bool, n *node) {
		switch {
		case !valid:
			im.lost(n, "it names no object; replicas: true stands in its place")
		case ok:
			im.lost(n, "one router splits the traffic of a stage, which is %s", found.key)
		default:
			found, ok = r, true
		}
	}
	for _, key := range routing.names() {
		n := routing.get(key)
		switch key {
		case "nginx":
			r, valid := named("ingressNginx", im.firstOf(n, "stableIngress", "stableIngresses"), 1)
			im.annotations(n)
			take(r, valid, n)
		case "istio":
			vs := n.get("virtualService")
			if !vs.there() {
				if list := n.get("virtualServices").list(); len(list) > 0 {
					vs = list[0]
					for _, more := range list[1:] {
						im.lost(more, "one VirtualService splits the traffic of a stage")
					}
				}
			}
			r, valid := named("istio", vs.get("name"), -1)
			if routes := vs.get("routes"); routes.there() {
				im.tell(routes, "not needed: every route that points at the workload's Service is split")
			}
			if rule := n.get("destinationRule"); rule.there() {
				im.lost(rule, "the split is made by destinations of the VirtualService; see that its routes point at the workload's Service")
			}
			take(r, valid, n)
		case "plugins":
			im.plugins(n, take)
		case "managedRoutes", "maxTrafficWeight":
		default:
			im.lost(n, "there is no router for %s; replicas: true stands in its place, which splits by numbers of pods", key)
		}
	}
	return found
}

func validRoute(name string) bool {
	namespace, name, ok := strings.Cut(name, "/")
	if !ok {
		namespace, name = "", namespace
	}
	return label().MatchString(name) && (!ok || label().MatchString(namespace))
}

// firstOf returns what is at key, or the first of the list at keys; more than
// one are reported.
func (im *importing) firstOf(n *node, key, keys string) *node {
	if one := n.get(key); one.there() {
		return one
	}
	list := n.get(keys).list()
	if len(list) == 0 {
		return n.get(key)
	}
	for _, more := range list[1:] {
		im.lost(more, "one object splits the traffic of a stage")
	}
	return list[0]
}

func (im *importing) annotations(nginx *node) {
	if n := nginx.get("annotationPrefix"); n.there() {
		im.lost(n, "the annotations are those that ingress-nginx has by default")
	}
	if n := nginx.get("additionalIngressAnnotations"); n.there() {
		im.lost(n, "write a header or cookie as traffic.match, and other annotations on the Ingress")
	}
	if n := nginx.get("canaryIngressAnnotations"); n.there() {
		im.lost(n, "the canary's Ingress has the annotations of the stable one")
	}
}

// plugins reads the Gateway API's plugin; others have no router here.
func (im *importing) plugins(n *node, take func(r route, valid bool, n *node)) {
	for _, key := range n.names() {
		p := n.get(key)
		if !strings.HasSuffix(strings.ToLower(key), "/gatewayapi") {
			im.lost(p, "there is no router for this plugin; replicas: true stands in its place, which splits by numbers of pods")
			continue
		}
		namespace := p.get("namespace").text()
		taken := false
		for _, kind := range []struct{ key, list, router string }{
			{"httpRoute", "httpRoutes", "httpRoute"}, {"grpcRoute", "grpcRoutes", "grpcRoute"},
		} {
			one := p.get(kind.key)
			if list := p.get(kind.list).list(); !one.there() && len(list) > 0 {
				one = list[0].get("name")
				for _, more := range list[1:] {
					im.lost(more, "one route splits the traffic of a stage")
				}
			}
			if !one.there() {
				continue
			}
			name := one.text()
			if namespace != "" && namespace != im.namespace {
				name = namespace + "/" + name
			}
			take(route{kind.router, quote(name), -1}, validRoute(name), one)
			taken = true
		}
		im.rest(p)
		if !taken {
			im.lost(p, "it names neither an HTTPRoute nor a GRPCRoute; replicas: true stands in its place")
		}
	}
}
