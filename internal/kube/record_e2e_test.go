//go:build e2e

package kube_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
)

// keptPods is how many pods are kept, with their events.
const keptPods = 3

// record writes what the canary looks like into testdata/ready, for the test
// of the causes, when HEADGATE_RECORD is set.
func record(t *testing.T, c *kube.Cluster, ns, name string) {
	t.Helper()
	if os.Getenv("HEADGATE_RECORD") == "" {
		return
	}
	out := map[string]any{}
	for key, gvr := range map[string]schema.GroupVersionResource{
		"deployments": {Group: "apps", Version: "v1", Resource: "deployments"},
		"replicaSets": {Group: "apps", Version: "v1", Resource: "replicasets"},
		"pods":        {Version: "v1", Resource: "pods"},
		"events":      {Version: "v1", Resource: "events"},
		"slices":      {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	} {
		l, err := c.List(t.Context(), gvr, ns, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		items := []any{}
		for _, u := range l.Items {
			trim(u.Object)
			about, _, _ := unstructured.NestedString(u.Object, "involvedObject", "name")
			if strings.HasPrefix(u.GetName(), "user-canary") && (about == "" || strings.HasPrefix(about, "user-canary")) {
				items = append(items, u.Object)
			}
		}
		out[key] = items
	}
	few(out)
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b = []byte(strings.ReplaceAll(string(b), ns, "shop"))
	dir := filepath.Join("testdata", "ready", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "objects.json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// few keeps some of the pods, and of the events those about them and about what
// is no pod.
func few(out map[string]any) {
	pods := out["pods"].([]any)
	pods = pods[:min(len(pods), keptPods)]
	kept := map[any]bool{}
	for _, p := range pods {
		kept[p.(map[string]any)["metadata"].(map[string]any)["name"]] = true
	}
	out["pods"] = pods
	out["events"] = slices.DeleteFunc(out["events"].([]any), func(e any) bool {
		about := e.(map[string]any)["involvedObject"].(map[string]any)
		return about["kind"] == "Pod" && !kept[about["name"]]
	})
}

// trim takes away what no rule looks at.
func trim(obj map[string]any) {
	for _, path := range [][]string{
		{"metadata", "managedFields"},
		{"metadata", "resourceVersion"},
		{"metadata", "generateName"},
		{"source"},
		{"reportingComponent"},
		{"reportingInstance"},
		{"spec", "tolerations"},
		{"spec", "schedulerName"},
		{"spec", "dnsPolicy"},
		{"spec", "preemptionPolicy"},
		{"spec", "enableServiceLinks"},
		{"spec", "priority"},
		{"status", "hostIPs"},
		{"status", "qosClass"},
	} {
		unstructured.RemoveNestedField(obj, path...)
	}
	if obj["kind"] == "ReplicaSet" { // The Deployment has the same.
		unstructured.RemoveNestedField(obj, "spec", "template")
	}
}
