package kube

import (
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(name string, selector map[string]string) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Selector: selector}}
}

func TestChooseMark(t *testing.T) {
	type m = map[string]string
	cases := []struct {
		name               string
		selector, template m
		services           []corev1.Service
		want, err          string
	}{
		{name: "the usual", selector: m{"app": "user"}, template: m{"app": "user", "tier": "backend"}, services: []corev1.Service{service("user", m{"app": "user"})}, want: "app=user-canary"},
		{name: "no Service", selector: m{"app": "user"}, template: m{"app": "user"}, want: "app=user-canary"},
		{
			name: "by the recommended labels", selector: m{"app.kubernetes.io/instance": "prod", "app.kubernetes.io/name": "user"}, template: m{"app.kubernetes.io/instance": "prod", "app.kubernetes.io/name": "user"},
			services: []corev1.Service{service("user", m{"app.kubernetes.io/instance": "prod", "app.kubernetes.io/name": "user"})}, want: "app.kubernetes.io/name=user-canary",
		},
		{
			name: "the only one that covers all Services", selector: m{"app": "user", "stack": "shop"}, template: m{"app": "user", "stack": "shop"},
			services: []corev1.Service{service("user", m{"app": "user", "stack": "shop"}), service("all", m{"stack": "shop"})}, want: "stack=shop-canary",
		},
		{
			name: "a Service by a label outside the Deployment's selector", selector: m{"app": "user"}, template: m{"app": "user", "tier": "backend"},
			services: []corev1.Service{service("user", m{"app": "user"}), service("all", m{"tier": "backend"})}, err: "Service all (tier=backend)",
		},
		{
			name: "two Services without a label in common", selector: m{"app": "user", "stack": "shop"}, template: m{"app": "user", "stack": "shop"},
			services: []corev1.Service{service("a", m{"app": "user"}), service("b", m{"stack": "shop"})}, err: "no single label",
		},
		{name: "a Service without a selector", selector: m{"app": "user"}, template: m{"app": "user"}, services: []corev1.Service{service("outside", nil)}, want: "app=user-canary"},
		{name: "a Service that already selects what the canary would be", selector: m{"app": "user"}, template: m{"app": "user"}, services: []corev1.Service{service("x", m{"app": "user-canary"})}, err: "Service x"},
		{name: "nothing to change", selector: m{}, template: m{"app": "user"}, err: "no matchLabels"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := chooseMark(c.selector, c.template, c.services)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %+v, %v, want an error with %q", got, err, c.err)
				}
				return
			}
			if err != nil || got.Key+"="+got.Canary != c.want {
				t.Errorf("got %+v, %v, want %s", got, err, c.want)
			}
			if s, ok := selecting(c.services, got.apply(c.template)); ok {
				t.Errorf("Service %s selects the canary's pods", s.Name)
			}
		})
	}
}

func TestLongNamesStayShortAndApart(t *testing.T) {
	a, b := strings.Repeat("a", 62), strings.Repeat("a", 61)+"b"
	for _, s := range []string{a, b} {
		if got := CanaryName(s); len(got) > 63 || !strings.HasSuffix(got, "-canary") {
			t.Errorf("CanaryName(%s) = %s", s, got)
		}
	}
	if CanaryName(a) == CanaryName(b) {
		t.Error("two workloads have the same canary")
	}
}

func TestPodPatternTellsTracksApart(t *testing.T) {
	pod := func(deployment string) string { // As ReplicaSet and API server name them.
		prefix := deployment + "-66b5769d9f-"
		if len(prefix) > maxPrefix {
			prefix = prefix[:maxPrefix]
		}
		return prefix + "x2bcd"
	}
	names := []string{"user", "user-canary", "user-service", "user.v2", "u", strings.Repeat("n", 46), strings.Repeat("n", 50), strings.Repeat("n", 56), CanaryName(strings.Repeat("n", 50))}
	for _, pattern := range names {
		re := regexp.MustCompile("^(?:" + podPattern(pattern) + ")$")
		for _, name := range names {
			if got, want := re.MatchString(pod(name)), name == pattern; got != want {
				t.Errorf("the pattern of %s, %s, matches %s: %v", pattern, re, pod(name), got)
			}
		}
	}
}

func TestFrontService(t *testing.T) {
	headless := service("user-peers", nil)
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	metrics := service("a-metrics", nil)
	for _, c := range []struct {
		svcs []corev1.Service
		want string
	}{
		{[]corev1.Service{metrics, service("user", nil)}, "user"},
		{[]corev1.Service{headless, service("web", nil)}, "web"},
		{[]corev1.Service{service("b", nil), service("a", nil)}, "a"},
	} {
		if got, _ := frontService(c.svcs, "user"); got.Name != c.want {
			t.Errorf("got %s, want %s", got.Name, c.want)
		}
	}
}
