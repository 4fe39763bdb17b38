package kube_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

func manifestsOf(t *testing.T, text string) []json.RawMessage {
	t.Helper()
	var out []json.RawMessage
	for _, u := range kubetest.Objects(t, text) {
		b, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func TestCheck(t *testing.T) {
	healthy := strings.ReplaceAll(app, "NAME", "user")
	cases := []struct {
		name   string
		world  string
		change func(s *kubetest.Server, c *stages.RolloutCheck)
	}{
		{name: "in order", world: healthy},
		{name: "release not known yet", world: healthy, change: func(_ *kubetest.Server, c *stages.RolloutCheck) { c.Release = stages.Release{} }},
		{name: "no Deployment", world: healthy, change: func(_ *kubetest.Server, c *stages.RolloutCheck) { c.Workload.Name = "usr" }},
		{name: "permissions", world: healthy, change: func(s *kubetest.Server, _ *stages.RolloutCheck) {
			s.With(func() {
				s.Denied = func(verb, res string) bool {
					return res == "services" && verb != "get" && verb != "list" || res == "pods/log"
				}
			})
		}},
		{name: "may not even read", world: healthy, change: func(s *kubetest.Server, _ *stages.RolloutCheck) {
			s.With(func() { s.Denied = func(_, res string) bool { return res == "deployments" } })
		}},
		{name: "everything wrong with the Deployment", world: strings.NewReplacer(
			"replicas: 2", "replicas: 0\n  paused: true\n  strategy: {type: Recreate}",
			"        readinessProbe: {httpGet: {path: /ready, port: http}}\n", "",
			"targetPort: http", "targetPort: web").Replace(healthy)},
		{
			name: "Service selects something else", world: strings.Replace(healthy, "selector: {app: user}\n  ports", "selector: {app: usr}\n  ports", 1),
			change: func(_ *kubetest.Server, c *stages.RolloutCheck) { c.Service = "user" },
		},
		{name: "Service that would select the canary", world: healthy + "---\n{apiVersion: v1, kind: Service, metadata: {name: all, namespace: shop}, spec: {selector: {tier: backend}, ports: [{port: 80}]}}"},
		{name: "left over", world: healthy + "---\n{apiVersion: v1, kind: Service, metadata: {name: user-canary, namespace: shop, labels: {headgate.dev/track: canary}, annotations: {headgate.dev/run: \"7\"}}, spec: {selector: {app: user-canary}, ports: [{port: 80}]}}"},
		{name: "somebody else's", world: healthy + "---\n{apiVersion: v1, kind: Service, metadata: {name: user-canary, namespace: shop}, spec: {selector: {app: user-canary}, ports: [{port: 80}]}}"},
		{
			name: "autoscaler that the account may not hold", world: healthy + "---" + strings.ReplaceAll(scalerOf, "NAME", "user"),
			change: func(s *kubetest.Server, _ *stages.RolloutCheck) {
				s.With(func() {
					s.Denied = func(verb, res string) bool { return res == "horizontalpodautoscalers" && verb != "list" }
				})
			},
		},
		{name: "autoscaler that may shrink stable", world: healthy + "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: user, namespace: shop}, spec: {scaleTargetRef: {kind: Deployment, name: user}, minReplicas: 1, maxReplicas: 9}}"},
		{name: "autoscaler that may not", world: healthy + "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: user, namespace: shop}, spec: {scaleTargetRef: {kind: Deployment, name: user}, minReplicas: 2, maxReplicas: 9}}"},
		{name: "quota", world: healthy + "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: shop}, status: {hard: {pods: 3, requests.cpu: 1}, used: {pods: 2}}}"},
		{name: "quota that has no room for the promotion", world: healthy + "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: shop}, status: {hard: {pods: 4}, used: {pods: 2}}}"},
		{name: "quota with just enough room", world: healthy + "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: shop}, status: {hard: {pods: 5}, used: {pods: 2}}}"},
		{
			name: "config that changes under its name", world: healthy + "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: user, namespace: shop}, data: {a: \"1\"}}",
			change: func(_ *kubetest.Server, c *stages.RolloutCheck) {
				c.Release.Manifests = manifestsOf(t, healthy+"---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: user}, data: {a: \"2\"}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: user-2}, data: {a: \"2\"}}")
			},
		},
		{
			name: "manifests whose objects could not be taken away again", world: healthy,
			change: func(s *kubetest.Server, c *stages.RolloutCheck) {
				c.Release.Manifests = manifestsOf(t, healthy+"---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: user}, data: {a: \"2\"}}")
				s.With(func() { s.Denied = func(verb, res string) bool { return res == "configmaps" && verb == "delete" } })
			},
		},
		{name: "rules that know stable's label", world: healthy +
			"---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: user, namespace: shop}, spec: {selector: {matchLabels: {app: user}}}}" +
			"\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: redis, namespace: shop}, spec: {podSelector: {matchLabels: {app: redis}}, ingress: [{from: [{podSelector: {matchLabels: {app: user}}}]}]}}"},
		{name: "checks that are not allowed", world: healthy, change: func(s *kubetest.Server, _ *stages.RolloutCheck) {
			s.With(func() {
				s.Denied = func(_, res string) bool { return res == "networkpolicies" || res == "resourcequotas" }
			})
		}},
	}
	var b strings.Builder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, cl := kubetest.New(t, kubetest.Objects(t, c.world)...)
			check := stages.RolloutCheck{Workload: user, Release: release("2"), MaxReplicas: 1}
			if c.change != nil {
				c.change(s, &check)
			}
			found, err := cl.Platform(kube.Settings{}).Check(t.Context(), check)
			if err != nil {
				t.Fatal(err)
			}
			tellFindings(&b, c.name, found)
			if w := s.Writes(); len(w) != 0 {
				t.Errorf("a check wrote: %v", w)
			}
		})
	}
	golden.Equal(t, "check.txt", []byte(b.String()))
}

func TestPlanShowsEveryWriteAndNoSecret(t *testing.T) {
	s, p, r := releaseWorld(t)
	s.Put(kubetest.Objects(t, `{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: shop}, data: {a: b2xk, b: c2FtZQ==}}`)[0])
	r.Manifests = append(r.Manifests, []byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key"},"data":{"a":"bmV3","b":"c2FtZQ==","c":"bW9yZQ=="}}`))
	var b strings.Builder
	for i, track := range []stages.Track{canary, stable} {
		writes, err := p.PlanTrack(t.Context(), track, r, 1-2*i)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range writes {
			diff := w.Diff
			if i := strings.Index(diff, "headgate.dev/basis: "); i >= 0 {
				diff = diff[:i+20] + "checksum" + diff[i+36:]
			}
			fmt.Fprintf(&b, "# %s\n%s\n", w.Summary, diff)
		}
	}
	for _, secret := range []string{"b2xk", "bmV3", "c2FtZQ", "bW9yZQ"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("the plan shows the value %s of a Secret", secret)
		}
	}
	if w := s.Writes(); len(w) != 0 {
		t.Errorf("a plan wrote: %v", w)
	}
	golden.Equal(t, "plan.txt", []byte(b.String()))
}
