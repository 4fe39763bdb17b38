package main

import (
	"encoding/json"
	"testing"

	"github.com/headgate-dev/headgate/test/cluster/kubeapi"
)

func TestTargetsAreThePodsWithAnAddress(t *testing.T) {
	content, err := targets(map[string]kubeapi.Pod{
		"1": pod("shop", "web", "10.244.0.7"),
		"2": pod("shop", "api", "10.244.0.6"),
		"3": pod("shop", "pending", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []target
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Targets[0] != "10.244.0.6" || got[1].Targets[0] != "10.244.0.7" {
		t.Fatalf("got %+v, want the two pods with an address, by name", got)
	}
	for name, want := range map[string]string{
		"__meta_kubernetes_namespace":                           "shop",
		"__meta_kubernetes_pod_name":                            "api",
		"__meta_kubernetes_pod_phase":                           "Running",
		"__meta_kubernetes_pod_label_app_kubernetes_io_name":    "api",
		"__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
		"__meta_kubernetes_pod_ip":                              "10.244.0.6",
	} {
		if got := got[0].Labels[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestNoPodsAreAnEmptyList(t *testing.T) {
	content, err := targets(nil)
	if err != nil || string(content) != "[]\n" {
		t.Errorf("got %q, %v, want []", content, err)
	}
}

func pod(namespace, name, ip string) kubeapi.Pod {
	var p kubeapi.Pod
	p.Metadata.Namespace, p.Metadata.Name = namespace, name
	p.Metadata.Labels = map[string]string{"app.kubernetes.io/name": name}
	p.Metadata.Annotations = map[string]string{"prometheus.io/scrape": "true"}
	p.Status.Phase, p.Status.PodIP = "Running", ip
	return p
}
