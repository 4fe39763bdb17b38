package kube_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// checkCase is one world and what a preflight finds in it.
type checkCase struct {
	name, world string
	change      func(s *kubetest.Server, c *stages.RolloutCheck)
}

func checkAll(t *testing.T, file string, of stages.RolloutCheck, cases []checkCase) {
	t.Helper()
	var b strings.Builder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, cl := kubetest.New(t, kubetest.Objects(t, c.world)...)
			check := of
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
	golden.Equal(t, file, []byte(b.String()))
}

func tellFindings(b *strings.Builder, name string, found []pipeline.Finding) {
	fmt.Fprintf(b, "# %s\n", name)
	for _, f := range found {
		kind := "error"
		if f.Warning {
			kind = "warning"
		}
		fmt.Fprintf(b, "%s: %s\n", kind, f.Message)
		if f.Hint != "" {
			fmt.Fprintf(b, "  hint: %s\n", f.Hint)
		}
	}
	b.WriteByte('\n')
}

func TestCheckOfARollingUpdate(t *testing.T) {
	healthy := strings.ReplaceAll(app, "NAME", "user")
	quota := "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: shop}, status: {hard: {pods: 3, limits.memory: 3Gi}, used: {pods: 2, limits.memory: 2Gi}}}"
	withSpec := func(line string) string { return strings.Replace(healthy, "  replicas: 2\n", line, 1) }
	checkAll(t, "check-rolling.txt", stages.RolloutCheck{Kind: "rolling", Workload: user, Release: release("2")}, []checkCase{
		{name: "in order", world: healthy},
		{name: "no Deployment", world: healthy, change: func(_ *kubetest.Server, c *stages.RolloutCheck) { c.Workload.Name = "usr" }},
		{name: "nobody calls it", world: strings.SplitN(healthy, "\n---\n", 2)[0]},
		{name: "paused", world: withSpec("  replicas: 2\n  paused: true\n")},
		{name: "strategy Recreate", world: withSpec("  replicas: 2\n  strategy: {type: Recreate}\n")},
		{name: "all at once", world: withSpec("  replicas: 2\n  strategy: {rollingUpdate: {maxUnavailable: 100%}}\n")},
		{name: "one pod and no surge", world: withSpec("  replicas: 1\n  strategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}\n")},
		{name: "no pods", world: withSpec("  replicas: 0\n")},
		{name: "autoscaled", world: healthy + "---" + strings.ReplaceAll(scalerOf, "NAME", "user")},
		{name: "quota with room for the surge", world: healthy + "---\n{apiVersion: v1, kind: LimitRange, metadata: {name: usual, namespace: shop}, spec: {limits: [{type: Container, default: {memory: 1Gi}}]}}\n" + quota},
		{name: "quota without", world: withSpec("  replicas: 2\n  strategy: {rollingUpdate: {maxSurge: 2}}\n") + "---\n{apiVersion: v1, kind: LimitRange, metadata: {name: usual, namespace: shop}, spec: {limits: [{type: Container, default: {memory: 1Gi}, max: {memory: 512Mi}}]}}\n" + quota},
	})
}

func TestCheckOfBlueGreen(t *testing.T) {
	home := "---\n{apiVersion: v1, kind: Namespace, metadata: {name: NS}}\n"
	account := "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: user-service, namespace: ecommerce-green}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: common, namespace: ecommerce-green}}\n"
	side := colourApp + strings.ReplaceAll(home, "NS", "shop")
	sides := stages.RolloutCheck{
		Kind: "blueGreen", Split: stages.Split{Old: blue, New: green}, Workload: blue.Workload,
		Release: release("2"), MaxReplicas: 1, Service: "web",
	}
	apartWorld := inColour("blue", apart) + strings.ReplaceAll(home, "NS", "ecommerce-green")
	twoNamespaces := func(_ *kubetest.Server, c *stages.RolloutCheck) {
		c.Split, c.Workload, c.Service = stages.Split{Old: apartBlue, New: apartGreen}, apartBlue.Workload, ""
	}
	both := side + "---" + strings.ReplaceAll(strings.SplitN(colourApp, "\n---\n", 2)[0], "blue", "green")
	checkAll(t, "check-colour.txt", sides, []checkCase{
		{name: "missing, to be made from its peer", world: side},
		{name: "both there", world: both},
		{name: "neither there", world: home[4:]},
		{name: "neither there, and no image yet", world: home[4:], change: func(_ *kubetest.Server, c *stages.RolloutCheck) { c.Release = stages.Release{} }},
		{name: "Service that selects both", world: strings.Replace(both, "selector: {app: web, version: blue}\n  ports", "selector: {app: web}\n  ports", 1)},
		{name: "another Service that selects both", world: both + "\n---\n{apiVersion: v1, kind: Service, metadata: {name: metrics, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}"},
		{name: "Service in the way", world: side + "---\n{apiVersion: v1, kind: Service, metadata: {name: web-green, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}"},
		{name: "idle colour is paused", world: strings.Replace(both, "kind: Deployment\nmetadata: {name: web-green, namespace: shop, labels: {app: web, version: green}}\nspec:\n", "kind: Deployment\nmetadata: {name: web-green, namespace: shop, labels: {app: web, version: green}}\nspec:\n  paused: true\n", 1)},
		{name: "quota", world: side + "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: shop}, status: {hard: {pods: 3}, used: {pods: 2}}}"},
		{name: "PodDisruptionBudget of the peer", world: side + "---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {version: blue}}}}"},
		{name: "the peer alone is autoscaled", world: side + "---" + strings.ReplaceAll(scalerOf, "NAME", "web-blue")},
		{name: "both are autoscaled", world: both + "\n---" + strings.ReplaceAll(scalerOf, "NAME", "web-blue") + "\n---" + strings.ReplaceAll(scalerOf, "NAME", "web-green")},
		{name: "apart, with all that the pods need", world: apartWorld + account + "---\n" + greenSecret, change: twoNamespaces},
		{name: "apart, without", world: apartWorld, change: twoNamespaces},
		{name: "apart, and may not look", world: apartWorld + account, change: func(s *kubetest.Server, c *stages.RolloutCheck) {
			twoNamespaces(s, c)
			c.Release.Manifests = manifestsOf(t, inColour("green", apart))
			s.With(func() { s.Denied = func(_, res string) bool { return res == "secrets" || res == "namespaces" } })
		}},
		{name: "apart, and no namespace", world: inColour("blue", apart), change: twoNamespaces},
		{name: "apart, and all of it comes with the manifests", world: inColour("blue", apart), change: func(s *kubetest.Server, c *stages.RolloutCheck) {
			twoNamespaces(s, c)
			c.Release.Manifests = manifestsOf(t, inColour("green", apart)+"\n"+strings.ReplaceAll(home, "NS", "ecommerce-green")+account+"---\n"+greenSecret)
		}},
		{name: "apart, and may not deploy there", world: apartWorld, change: func(s *kubetest.Server, c *stages.RolloutCheck) {
			twoNamespaces(s, c)
			s.With(func() { s.Denied = func(verb, res string) bool { return verb == "create" && res == "deployments" } })
		}},
		{name: "manifests of something else", world: side, change: func(_ *kubetest.Server, c *stages.RolloutCheck) {
			c.Release.Manifests = manifestsOf(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: else}}`)
		}},
	})
}
