package route

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestCookieIsFoundWhole(t *testing.T) {
	m := match{Cookie: "beta", Value: "a.b+1"}
	find, whole := regexp.MustCompile(cookiePattern(m)), regexp.MustCompile("^(?:"+cookiePattern(m)+")$")
	for header, want := range map[string]bool{
		"beta=a.b+1": true, "x=1; beta=a.b+1": true, "beta=a.b+1; x=1": true, "x=1;beta=a.b+1;y": true,
		"": false, "beta=aXb+1": false, "beta=a.b+11": false, "abeta=a.b+1": false, "x=beta=a.b+1": false, "beta=a.b": false, "beta =a.b+1": false,
	} {
		if find.MatchString(header) != want || whole.MatchString(header) != want {
			t.Errorf("%q: found %v, matched as a whole %v, want %v", header, find.MatchString(header), whole.MatchString(header), want)
		}
	}
}

func TestHostsOfIstio(t *testing.T) {
	d := istioDialect{}
	for _, c := range []struct {
		host string
		is   service
		to   service
		want string
	}{
		{"user", service{"web", "user"}, service{"web", "user-canary"}, "user-canary"},
		{"user", service{"web", "user"}, service{"green", "user"}, "user.green.svc.cluster.local"},
		{"user.web", service{"web", "user"}, service{"web", "new"}, "new.web.svc.cluster.local"},
		{"user.web.svc", service{"web", "user"}, service{"web", "new"}, "new.web.svc"},
		{"user.blue.svc.corp.example", service{"blue", "user"}, service{"green", "user"}, "user.green.svc.corp.example"},
		{"api.partner.example", service{}, service{}, ""},
		{"", service{}, service{}, ""},
	} {
		ref := map[string]any{"destination": map[string]any{"host": c.host, "subset": "v1"}, "weight": int64(5)}
		at, _, ok := d.host(ref, "web")
		if ok != (c.is != service{}) || ok && at != c.is {
			t.Errorf("%q is %v, %v, want %v", c.host, at, ok, c.is)
		}
		if !ok {
			continue
		}
		want := map[string]any{"destination": map[string]any{"host": c.want}, "weight": int64(5)}
		if diff := cmp.Diff(want, d.pointed(ref, c.to, "web")); diff != "" {
			t.Errorf("%q to %v: -want +got\n%s", c.host, c.to, diff)
		}
	}
}

func TestWeightsOfIstioSumTo100(t *testing.T) {
	for _, c := range []struct {
		s    split
		at   float64
		want split
	}{
		{split{stable: 1}, 20, split{stable: 80, canary: 20}},
		{split{stable: 1}, 0.5, split{stable: 995, canary: 5}},
		{split{stable: 90, others: []int64{10}}, 20, split{stable: 72, canary: 18, others: []int64{10}}},
		{split{stable: 90, others: []int64{10}}, 100, split{stable: 0, canary: 90, others: []int64{10}}},
	} {
		got, err := c.s.at(c.at)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, istioDialect{}.tidy(got), cmp.AllowUnexported(split{})); diff != "" {
			t.Errorf("%+v at %v: -want +got\n%s", c.s, c.at, diff)
		}
	}
}

// TestRulesForMatches shows what is written for two matches.
func TestRulesForMatches(t *testing.T) {
	n := names{
		dialect: gatewayDialect{}, old: service{"web", "user"}, new: service{"green", "user"}, routeNamespace: "web",
		matches: []match{{Header: "x-canary", Value: "always"}, {Cookie: "beta", Value: "1"}},
	}
	read := func(s string) []map[string]any {
		var list []any
		if err := yaml.Unmarshal([]byte(s), &list); err != nil {
			t.Fatal(err)
		}
		out, err := objects(whole(list).([]any), "rule")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	list := read(`
- matches: [{path: {type: PathPrefix, value: /old}}]
  backendRefs: [{name: legacy}]
- name: all
  matches: [{path: {type: PathPrefix, value: /}, headers: [{name: a, value: b}]}]
  timeouts: {request: 5s}
  backendRefs: [{name: user, port: 80, weight: 3, filters: [{type: X}]}]
`)
	got, err := n.withMatches(list)
	if err != nil {
		t.Fatal(err)
	}
	want := read(`
- matches: [{path: {type: PathPrefix, value: /old}}]
  backendRefs: [{name: legacy}]
- name: headgate-match-green-user-1
  matches:
  - {path: {type: PathPrefix, value: /}, headers: [{name: a, value: b}, {type: Exact, name: x-canary, value: always}]}
  - {path: {type: PathPrefix, value: /}, headers: [{name: a, value: b}, {type: RegularExpression, name: Cookie, value: '^(?:.*;[ \t]*)?beta=1(?:[ \t]*;.*)?$'}]}
  timeouts: {request: 5s}
  backendRefs: [{name: user, namespace: green, port: 80, weight: 1, filters: [{type: X}]}]
- name: all
  matches: [{path: {type: PathPrefix, value: /}, headers: [{name: a, value: b}]}]
  timeouts: {request: 5s}
  backendRefs: [{name: user, port: 80, weight: 3, filters: [{type: X}]}]
`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	// A cluster whose definition has no names of rules drops them.
	delete(got[1], "name")
	if !n.ours(got[1]) || n.ours(got[0]) || n.ours(got[2]) {
		t.Error("the rule for matches is not known again without its name")
	}
}
