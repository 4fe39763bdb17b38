package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/headgate-dev/headgate/test/cluster/kubeapi"
)

// A target is an entry of Prometheus' file of targets.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targets lists the pods that have an address, in an order that depends on
// nothing but their names.
func targets(pods map[string]kubeapi.Pod) ([]byte, error) {
	list := []target{} // Not nil: an empty list is [], and null is refused.
	sorted := slices.SortedFunc(maps.Values(pods), func(a, b kubeapi.Pod) int {
		return cmp.Or(cmp.Compare(a.Metadata.Namespace, b.Metadata.Namespace), cmp.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	for _, pod := range sorted {
		if pod.Status.PodIP != "" {
			list = append(list, target{Targets: []string{pod.Status.PodIP}, Labels: labels(pod)})
		}
	}
	content, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write targets: %w", err)
	}
	return append(content, '\n'), nil
}

func labels(pod kubeapi.Pod) map[string]string {
	const prefix = "__meta_kubernetes_"
	all := map[string]string{
		prefix + "namespace":     pod.Metadata.Namespace,
		prefix + "pod_name":      pod.Metadata.Name,
		prefix + "pod_ip":        pod.Status.PodIP,
		prefix + "pod_phase":     pod.Status.Phase,
		prefix + "pod_node_name": pod.Spec.NodeName,
		prefix + "pod_uid":       pod.Metadata.UID,
	}
	for name, value := range pod.Metadata.Labels {
		all[prefix+"pod_label_"+labelName(name)] = value
	}
	for name, value := range pod.Metadata.Annotations {
		all[prefix+"pod_annotation_"+labelName(name)] = value
	}
	return all
}

var notInLabelNames = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// labelName makes a name that Prometheus takes out of one that Kubernetes does.
func labelName(name string) string { return notInLabelNames.ReplaceAllString(name, "_") }
