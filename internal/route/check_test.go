package route_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

func TestChecksOfRouters(t *testing.T) {
	canary := [2]place{{"web", "user"}, {"web", "user-canary"}}
	colours := [2]place{{"shop-blue", "user"}, {"shop-green", "user"}}
	near := [2]place{{"web", "user-blue"}, {"web", "user-green"}}
	header := stages.Match{Header: text("x-tier"), Value: text("gold")}
	cookie := stages.Match{Cookie: text("beta"), Value: text("1")}
	const grant = `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: web, namespace: %s}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}]
  to: [{group: "", kind: Service%s}]`
	put := func(texts ...string) func(*kubetest.Server) {
		return func(s *kubetest.Server) {
			for _, x := range texts {
				s.Put(kubetest.Objects(t, x)[0])
			}
		}
	}
	edit := func(resource, path string, value any) func(*kubetest.Server) {
		return func(s *kubetest.Server) {
			s.Edit(resource, "web", "user", func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(u.Object, value, strings.Split(path, ".")...)
			})
		}
	}
	class := "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: %s}}"
	nginx := fmt.Sprintf(class, "k8s.io/ingress-nginx")
	none := func(*kubetest.Server) {}
	for _, c := range []struct {
		name, subject string
		at            [2]place
		change        func(*kubetest.Server)
		matches       []stages.Match
		want          []string
	}{
		{"a good HTTPRoute", "HTTPRoute", canary, none, nil, nil},
		{"a good GRPCRoute", "GRPCRoute", canary, none, nil, nil},
		{"a good VirtualService", "VirtualService", canary, none, nil, []string{"true route 2 of istio web/user names the subset v1"}},
		{"a good Ingress", "Ingress", canary, put(nginx), nil, nil},
		{"grants missing", "HTTPRoute", colours, none, nil, []string{
			"false no ReferenceGrant in shop-blue lets httpRoute web/user point at Service user", "false no ReferenceGrant in shop-green lets",
		}},
		{"grants for another Service", "HTTPRoute", colours, put(fmt.Sprintf(grant, "shop-blue", ""), fmt.Sprintf(grant, "shop-green", ", name: other")), nil, []string{
			"false no ReferenceGrant in shop-green lets",
		}},
		{"grants there", "HTTPRoute", colours, put(fmt.Sprintf(grant, "shop-blue", ", name: user"), fmt.Sprintf(grant, "shop-green", "")), nil, nil},
		{"grants unseen", "HTTPRoute", colours, func(s *kubetest.Server) {
			s.With(func() { s.Denied = func(_, resource string) bool { return resource == "referencegrants" } })
		}, nil, []string{"true the account may not list ReferenceGrants in shop-blue", "true the account may not list ReferenceGrants in shop-green"}},
		{"a match that a rule has", "HTTPRoute", canary, none, []stages.Match{header}, []string{"false httpRoute web/user cannot be split: rule 2: it asks for the header X-Tier itself"}},
		{"a match that a route has", "VirtualService", canary, none, []stages.Match{header}, []string{"false istio web/user cannot be split: rule 2: it asks for the header x-tier itself"}},
		{"a cookie", "HTTPRoute", canary, none, []stages.Match{cookie}, []string{"true httpRoute web/user finds the cookie beta by a regular expression"}},
		{"too many rules", "GRPCRoute", canary, edit("grpcroutes", "spec.rules", many(9)), []stages.Match{header}, []string{"false with the rules for match, grpcRoute web/user would have 18 rules; 16 are allowed"}},
		{"a rule of the user's own for what is matched", "GRPCRoute", canary, edit("grpcroutes", "spec.rules", []any{
			map[string]any{"matches": []any{map[string]any{"headers": []any{map[string]any{"name": "x-tier", "value": "gold"}}}}, "backendRefs": []any{map[string]any{"name": "user-canary", "port": int64(80)}}},
			map[string]any{"backendRefs": []any{map[string]any{"name": "user", "port": int64(80)}}},
		}), []stages.Match{header}, []string{"false rule 1 of grpcRoute web/user sends what match: asks for to Service user-canary already"}},
		{"no Istio", "VirtualService", canary, func(s *kubetest.Server) { s.With(func() { s.Groups = nil }) }, nil, []string{"false the cluster does not know the kind VirtualService"}},
		{"what Istio's analysis says", "VirtualService", canary, edit("virtualservices", "status", map[string]any{"validationMessages": []any{
			map[string]any{"level": "ERROR", "type": map[string]any{"code": "IST0101", "name": "ReferencedResourceNotFound"}},
		}}), nil, []string{"false istio says that istio web/user is wrong: IST0101 ReferencedResourceNotFound", "true route 2"}},
		{"another controller", "Ingress", canary, put(fmt.Sprintf(class, "traefik.io/ingress-controller")), nil, []string{"false ingressNginx web/user is carried out by traefik.io/ingress-controller"}},
		{"no class", "Ingress", canary, none, nil, []string{"false there is no IngressClass nginx"}},
		{"a canary of somebody else's", "Ingress", canary, put(nginx, "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: user-canary, namespace: web}}"), nil, []string{"which Headgate did not make"}},
		{"another canary of the same paths", "Ingress", canary, put(nginx, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: other, namespace: web, annotations: {nginx.ingress.kubernetes.io/canary: "true"}}
spec: {rules: [{host: shop.example, http: {paths: [{path: /, backend: {service: {name: x}}}]}}]}`), nil, []string{"false ingress other is a canary of the same paths already"}},
		{"a default backend", "Ingress", canary, func(s *kubetest.Server) {
			put(nginx)(s)
			edit("ingresses", "spec.defaultBackend", map[string]any{"service": map[string]any{"name": "user"}})(s)
		}, nil, []string{"true ingressNginx web/user has Service user as its default backend, too"}},
		{"an Ingress of another namespace", "Ingress", colours, none, nil, []string{"false ingressNginx web/user cannot point at Service user of namespace shop-blue"}},
		{"colours half way", "HTTPRoute", near, func(s *kubetest.Server) {
			s.Edit("httproutes", "web", "user", func(u *unstructured.Unstructured) {
				rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
				rules[1].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)["name"] = "user-green"
				_ = unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
			})
		}, nil, []string{"false httpRoute web/user: 100% in rule 2 and 0% in rule 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := subjects()[c.subject]
			srv, cluster := s.build(t, c.at[0], c.at[1])
			accepted(t, srv, s)
			c.change(srv)
			accepted(t, srv, s)
			checker, _ := s.make(t, cluster, split(c.at[0], c.at[1]), c.matches...).(stages.Checker)
			found, err := checker.Check(t.Context(), stages.RolloutCheck{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, fmt.Sprintf("%v %s", f.Warning, f.Message))
			}
			ok := len(got) == len(c.want)
			for i := range got {
				ok = ok && strings.Contains(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// many makes rules that point at stable.
func many(n int) []any {
	var out []any
	for range n {
		out = append(out, map[string]any{"backendRefs": []any{map[string]any{"name": "user", "port": int64(80)}}})
	}
	return out
}

// accepted waits until the controller has seen a route of the Gateway API.
func accepted(t *testing.T, srv *kubetest.Server, s subject) {
	t.Helper()
	if !strings.HasSuffix(s.resource, "routes") {
		return
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		u := srv.Get(s.resource, "web", "user")
		parents, _, _ := unstructured.NestedSlice(u.Object, "status", "parents")
		if len(parents) == 0 {
			continue
		}
		conditions, _, _ := unstructured.NestedSlice(parents[0].(map[string]any), "conditions")
		if conditions[0].(map[string]any)["observedGeneration"] == u.GetGeneration() {
			return
		}
	}
	t.Fatal("the route is not accepted")
}
