package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// lingerSeconds is how long a canary's pods go on serving after they were told
// to end. Proxies hear of routes and of endpoints by watches of their own; a
// busy one may still send requests to a canary that has had no weight for
// seconds. The run need not wait for it: the kubelet does.
const lingerSeconds = 5

// linger gives the containers of a canary that have no preStop hook one that
// sleeps, and the pod the time for it.
func linger(u *unstructured.Unstructured) {
	if !eachContainer(u, func(c map[string]any) bool {
		lifecycle, _ := c["lifecycle"].(map[string]any)
		if lifecycle["preStop"] != nil {
			return false
		}
		if lifecycle == nil {
			lifecycle = map[string]any{}
			c["lifecycle"] = lifecycle
		}
		lifecycle["preStop"] = map[string]any{"sleep": map[string]any{"seconds": int64(lingerSeconds)}}
		return true
	}) {
		return
	}
	set(u.Object, gracePeriod(u)+lingerSeconds, gracePath()...)
}

// hasty takes away what linger and drain have added, for clusters that do not know the
// sleep (before Kubernetes 1.30) and refuse a hook without it. It returns nil
// where there is none.
func hasty(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	most, ours := 0, drained(u)
	if !eachContainer(u, func(c map[string]any) bool {
		lifecycle, _ := c["lifecycle"].(map[string]any)
		n := sleepOf(preStop(c))
		if _, native := preStop(c)["sleep"]; !native || n != lingerSeconds && n != ours {
			return false
		}
		most = max(most, n)
		if delete(lifecycle, "preStop"); len(lifecycle) == 0 {
			delete(c, "lifecycle")
		}
		return true
	}) {
		return nil
	}
	set(u.Object, gracePeriod(u)-int64(most), gracePath()...)
	unstructured.RemoveNestedField(u.Object, "spec", "template", "metadata", "annotations", drainAnnotation)
	return u
}

// gracePeriod is how long, in seconds, the pods may take to end. Manifests
// have numbers as JSON does, objects of the cluster whole ones.
func gracePeriod(u *unstructured.Unstructured) int64 {
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, gracePath()...)
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

func gracePath() []string {
	return []string{"spec", "template", "spec", "terminationGracePeriodSeconds"}
}

// eachContainer changes the containers of a Deployment's pods, and reports
// whether any was changed.
func eachContainer(u *unstructured.Unstructured, change func(c map[string]any) bool) bool {
	all, ok, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if !ok || err != nil {
		return false
	}
	changed := false
	for _, v := range all {
		if c, ok := v.(map[string]any); ok && change(c) {
			changed = true
		}
	}
	if changed {
		set(u.Object, all, "spec", "template", "spec", "containers")
	}
	return changed
}
