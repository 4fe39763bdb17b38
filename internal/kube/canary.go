package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// canaryDeployment makes the canary's Deployment from the one that base
// describes, which is live or from a manifest and has the new image already.
func canaryDeployment(base *unstructured.Unstructured, m mark, t stages.Track, replicas int) (*unstructured.Unstructured, error) {
	u := bare(base)
	u.SetName(trackName(t))
	u.SetLabels(foreign(u.GetLabels()))
	u.SetAnnotations(foreign(u.GetAnnotations()))
	set(u.Object, int64(replicas), "spec", "replicas")
	// A paused Deployment would never start its pods.
	unstructured.RemoveNestedField(u.Object, "spec", "paused")
	for _, path := range [][]string{{"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "labels"}} {
		labels, _, err := unstructured.NestedStringMap(u.Object, path...)
		if err != nil {
			return nil, fmt.Errorf("read deployment %s: %w", base.GetName(), err)
		}
		labels = m.apply(labels)
		if path[1] == "template" {
			labels[TrackLabel] = t.Name
		}
		set(u.Object, anyMap(labels), path...)
	}
	if exprs, ok, _ := unstructured.NestedSlice(u.Object, "spec", "selector", "matchExpressions"); ok {
		set(u.Object, m.replaceIn(exprs), "spec", "selector", "matchExpressions")
	}
	m.repoint(u)
	linger(u)
	addLabel(u, TrackLabel, t.Name)
	return u, nil
}

// repoint makes the rules by which pods are spread over nodes speak of the
// canary's pods where they spoke of stable's.
func (m mark) repoint(u *unstructured.Unstructured) {
	spec, ok, _ := unstructured.NestedMap(u.Object, "spec", "template", "spec")
	if !ok {
		return
	}
	for _, part := range []string{"topologySpreadConstraints", "affinity"} {
		if v, ok := spec[part]; ok {
			spec[part] = m.rewrite(v)
		}
	}
	set(u.Object, spec, "spec", "template", "spec")
}

// rewrite walks what JSON can hold and changes every label selector in it.
func (m mark) rewrite(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			switch k {
			case "matchLabels":
				if labels, ok := e.(map[string]any); ok && labels[m.Key] == m.Stable {
					labels[m.Key] = m.Canary
				}
			case "matchExpressions":
				if exprs, ok := e.([]any); ok {
					v[k] = m.replaceIn(exprs)
				}
			default:
				v[k] = m.rewrite(e)
			}
		}
	case []any:
		for i := range v {
			v[i] = m.rewrite(v[i])
		}
	}
	return v
}

// replaceIn changes the value in expressions that name stable's.
func (m mark) replaceIn(exprs []any) []any {
	for _, e := range exprs {
		expr, ok := e.(map[string]any)
		if !ok || expr["key"] != m.Key || expr["operator"] != "In" {
			continue
		}
		if values, ok := expr["values"].([]any); ok {
			for i := range values {
				if values[i] == m.Stable {
					values[i] = m.Canary
				}
			}
		}
	}
	return exprs
}

// canaryService makes the canary's Service like stable's: the same ports, an
// address of its own inside the cluster, and nothing that reaches outside.
// Ports that only others of the workload's Services have are added.
func canaryService(base *unstructured.Unstructured, others []corev1.Service, m mark, t stages.Track) (*unstructured.Unstructured, error) {
	u := bare(base)
	u.SetName(trackName(t))
	u.SetLabels(foreign(u.GetLabels()))
	u.SetAnnotations(foreign(u.GetAnnotations()))
	spec, _, err := unstructured.NestedMap(u.Object, "spec")
	if err != nil {
		return nil, fmt.Errorf("read service %s: %w", base.GetName(), err)
	}
	headless := spec["clusterIP"] == corev1.ClusterIPNone
	for k := range spec {
		if !slices.Contains([]string{
			"ports", "selector", "sessionAffinity", "sessionAffinityConfig", "ipFamilies",
			"ipFamilyPolicy", "internalTrafficPolicy", "publishNotReadyAddresses", "trafficDistribution",
		}, k) {
			delete(spec, k)
		}
	}
	spec["type"] = string(corev1.ServiceTypeClusterIP)
	if headless {
		spec["clusterIP"] = corev1.ClusterIPNone
	}
	selector, _, _ := unstructured.NestedStringMap(spec, "selector")
	spec["selector"] = anyMap(m.apply(selector))
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
	spec["ports"] = addPorts(ports, others)
	u.Object["spec"] = spec
	addLabel(u, TrackLabel, t.Name)
	return u, nil
}

// addPorts adds the ports of others whose number is not there yet.
func addPorts(ports []any, others []corev1.Service) []any {
	have := map[string]bool{}
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			have[fmt.Sprint(port["port"], protocol(port["protocol"]))] = true
		}
	}
	for _, s := range others {
		for _, p := range s.Spec.Ports {
			key := fmt.Sprint(p.Port, protocol(string(p.Protocol)))
			if have[key] {
				continue
			}
			have[key] = true
			port := map[string]any{"port": int64(p.Port), "protocol": protocol(string(p.Protocol)), "targetPort": int64(p.TargetPort.IntValue())}
			if p.TargetPort.StrVal != "" {
				port["targetPort"] = p.TargetPort.StrVal
			}
			if p.AppProtocol != nil {
				port["appProtocol"] = *p.AppProtocol
			}
			ports = append(ports, port)
		}
	}
	if len(ports) < 2 {
		return ports
	}
	for _, p := range ports { // With several, each must have a name.
		if port, ok := p.(map[string]any); ok && port["name"] == nil {
			port["name"] = fmt.Sprintf("port-%v", port["port"])
		}
	}
	return ports
}

func protocol(v any) string {
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	return string(corev1.ProtocolTCP)
}

// bare returns a copy of an object without what belongs to one object alone:
// its identity, its status, its owners, and notes of other programs about it.
func bare(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	delete(out.Object, "status")
	for _, k := range []string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "managedFields", "ownerReferences", "finalizers", "selfLink", "generateName",
	} {
		unstructured.RemoveNestedField(out.Object, "metadata", k)
	}
	return out
}

// notCopied are prefixes of labels and annotations that a copy must not carry:
// those by which another program would take it for an object of its own, and
// those that would make something outside the cluster.
func notCopied() []string {
	return []string{
		"kubectl.kubernetes.io/", "deployment.kubernetes.io/", "argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/",
		"helm.toolkit.fluxcd.io/", "meta.helm.sh/", "helm.sh/", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance",
		"external-dns.alpha.kubernetes.io/", "service.beta.kubernetes.io/", "service.kubernetes.io/", "cloud.google.com/",
		"metallb.io/", "metallb.universe.tf/", "kapp.k14s.io/", "headgate.dev/",
	}
}

// foreign returns labels or annotations without those of [notCopied].
func foreign(m map[string]string) map[string]string {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(k, _ string) bool {
		return slices.ContainsFunc(notCopied(), func(p string) bool { return strings.HasPrefix(k, p) })
	})
	if len(out) == 0 {
		return nil
	}
	return out
}

// sign writes on an object of ours which run made it.
func sign(u *unstructured.Unstructured, run pipeline.Info) {
	annotate(u, RunAnnotation, cmp.Or(run.ID, "unknown"))
	annotate(u, PipelineAnnotation, run.Pipeline)
}

// ours reports whether Headgate made an object.
func ours(u *unstructured.Unstructured) bool {
	_, ok := u.GetAnnotations()[RunAnnotation]
	return ok
}

func annotate(u *unstructured.Unstructured, k, v string) {
	a := u.GetAnnotations()
	if a == nil {
		a = map[string]string{}
	}
	if v == "" {
		delete(a, k)
	} else {
		a[k] = v
	}
	if len(a) == 0 {
		a = nil
	}
	u.SetAnnotations(a)
}

func addLabel(u *unstructured.Unstructured, k, v string) {
	l := u.GetLabels()
	if l == nil {
		l = map[string]string{}
	}
	l[k] = v
	u.SetLabels(l)
}

// set is for paths whose parents are maps, which decoding the object into its
// struct has shown.
func set(obj map[string]any, v any, path ...string) {
	if err := unstructured.SetNestedField(obj, v, path...); err != nil {
		panic("kube: set " + strings.Join(path, ".") + ": " + err.Error())
	}
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
