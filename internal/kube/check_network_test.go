package kube_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/golden"
	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// policy writes a NetworkPolicy.
func policy(name, spec string) string {
	return "\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: " + name + ", namespace: shop}, spec: {" + spec + "}}"
}

func TestCheckOfNetworkPolicies(t *testing.T) {
	const (
		users   = "podSelector: {matchLabels: {app: user}}"
		all     = "podSelector: {}"
		gateway = "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateway}}}]"
		dns     = "policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 53}]}]"
	)
	cases := []struct{ name, policies string }{
		{"none", ""},
		{"for stable alone, and nothing denies", policy("user", users+", ingress: [{from: "+gateway+"}]")},
		{"for stable alone, in both directions", policy("user", users+", policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]")},
		{"denies all, stable is let in", policy("deny", all+", policyTypes: [Ingress]") + policy("user", users+", ingress: [{from: "+gateway+"}]")},
		{"denies all by a label of both, stable is let in", policy("deny", "podSelector: {matchLabels: {tier: backend}}") + policy("user", users+", ingress: [{}]")},
		{"denies all, all are let in", policy("deny", all+", policyTypes: [Ingress]") + policy("web", "podSelector: {matchLabels: {tier: backend}}, ingress: [{from: "+gateway+"}]")},
		{"denies all, what stable is allowed all are", policy("deny", all+", policyTypes: [Ingress]") +
			policy("user", users+", ingress: [{from: "+gateway+", ports: [{port: 8000}]}]") + policy("web", all+", ingress: [{from: "+gateway+"}]")},
		{"denies all, stable is let out, all may ask for names", policy("deny", all+", policyTypes: [Egress]") + policy("dns", all+", "+dns) +
			policy("user", users+", policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: redis}}}]}]")},
		{"stable is let in by another one more", policy("web", all+", ingress: [{from: "+gateway+"}]") +
			policy("user", users+", ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 9090}]}]")},
		{"stable is denied more", policy("web", all+", ingress: [{from: "+gateway+"}]") + policy("user", users+", policyTypes: [Ingress]")},
		{"Redis lets stable in", policy("redis", "podSelector: {matchLabels: {app: redis}}, ingress: [{from: [{podSelector: {matchLabels: {app: user}}}]}]")},
		{"Redis lets stable in, by the name of the namespace as well", policy("redis",
			"podSelector: {matchLabels: {app: redis}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: user}}}]}]")},
		{"Redis lets stable in, and the canary by another rule", policy("redis",
			"podSelector: {matchLabels: {app: redis}}, ingress: [{from: [{podSelector: {matchLabels: {app: user}}}]}, {from: [{podSelector: {matchLabels: {tier: backend}}}]}]")},
		{"Redis lets stable of another namespace in", policy("redis",
			"podSelector: {matchLabels: {app: redis}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}, podSelector: {matchLabels: {app: user}}}]}]")},
		{"front may connect to stable", policy("front", "podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: user}}}]}]")},
		{"addresses only", policy("redis", "podSelector: {matchLabels: {app: redis}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]")},
	}
	var b strings.Builder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, cl := kubetest.New(t, kubetest.Objects(t, strings.ReplaceAll(app, "NAME", "user")+c.policies)...)
			found, err := cl.Platform(kube.Settings{}).Check(t.Context(), stages.RolloutCheck{Workload: user, Release: release("2"), MaxReplicas: 1})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "# %s\n", c.name)
			for _, f := range found {
				kind := "error"
				if f.Warning {
					kind = "warning"
				}
				fmt.Fprintf(&b, "%s: %s\n  hint: %s\n", kind, f.Message, f.Hint)
			}
			b.WriteByte('\n')
		})
	}
	golden.Equal(t, "check_network.txt", []byte(b.String()))
}
