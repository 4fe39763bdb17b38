package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// objectKey tells an object from all others.
type objectKey struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (k objectKey) String() string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// MarshalText writes the key of a JSON object.
func (k objectKey) MarshalText() ([]byte, error) {
	return []byte(k.Kind + "/" + k.Namespace + "/" + k.Name), nil
}

// UnmarshalText reads it.
func (k *objectKey) UnmarshalText(b []byte) error {
	parts := strings.Split(string(b), "/")
	if len(parts) != 3 || parts[0] == "" || parts[2] == "" {
		return fmt.Errorf("%q is no key of an object", b)
	}
	k.Kind, k.Namespace, k.Name = parts[0], parts[1], parts[2]
	return nil
}

// objectSet are the objects that pods need, as their manifests say them.
type objectSet map[objectKey]json.RawMessage

// known are the kinds that mean something here.
func known(kind string) bool {
	switch kind {
	case "ConfigMap", "Secret", "Service", "HTTPRoute":
		return true
	}
	return false
}

func read[T any](s objectSet, k objectKey) (T, bool) {
	var v T
	raw, ok := s[k]
	if !ok || json.Unmarshal(raw, &v) != nil { // was read when it came in
		return v, false
	}
	return v, true
}

func (s objectSet) configMap(namespace, name string) (map[string]string, bool) {
	m, ok := read[corev1.ConfigMap](s, objectKey{"ConfigMap", namespace, name})
	return m.Data, ok
}

func (s objectSet) secret(namespace, name string) (map[string]string, bool) {
	m, ok := read[corev1.Secret](s, objectKey{"Secret", namespace, name})
	out := map[string]string{}
	for k, v := range m.Data {
		out[k] = string(v)
	}
	maps.Copy(out, m.StringData)
	return out, ok
}

// services are those of a namespace, by name.
func (s objectSet) services(namespace string) []corev1.Service {
	var out []corev1.Service
	for k := range s {
		if k.Kind == "Service" && k.Namespace == namespace {
			if v, ok := read[corev1.Service](s, k); ok {
				out = append(out, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b corev1.Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s objectSet) route(namespace, name string) (gatewayv1.HTTPRoute, bool) {
	return read[gatewayv1.HTTPRoute](s, objectKey{"HTTPRoute", namespace, name})
}

// manifestSet are the manifests of a release, by what becomes of them.
type manifestSet struct {
	// deployments are all Deployments, objects what they need.
	deployments []appsv1.Deployment
	objects     objectSet
	// order are the keys of objects as the manifests have them.
	order []objectKey
	// ignored are objects that mean nothing here.
	ignored []objectKey
}

// readObjects sorts manifests; those without a namespace get the given one.
func readObjects(all []json.RawMessage, namespace string) (manifestSet, error) {
	out := manifestSet{objects: objectSet{}}
	for i, raw := range all {
		var head struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return out, fmt.Errorf("read manifest %d: %w", i+1, err)
		}
		if head.Kind == "" || head.Name == "" {
			return out, fmt.Errorf("read manifest %d: it has no kind or metadata.name", i+1)
		}
		k := objectKey{head.Kind, head.Namespace, head.Name}
		if k.Namespace == "" {
			k.Namespace = namespace
		}
		switch {
		case head.Kind == "Deployment":
			d, err := readDeployment(raw, k)
			if err != nil {
				return out, err
			}
			out.deployments = append(out.deployments, d)
		case !known(head.Kind):
			out.ignored = append(out.ignored, k)
		default:
			if err := readable(raw, head.Kind); err != nil {
				return out, fmt.Errorf("read manifest of %s: %w", k, err)
			}
			out.objects[k] = raw
			out.order = append(out.order, k)
		}
	}
	return out, nil
}

// readable reports what is wrong with an object of a kind that is known.
func readable(raw json.RawMessage, kind string) error {
	switch kind {
	case "ConfigMap":
		return json.Unmarshal(raw, new(corev1.ConfigMap))
	case "Secret":
		return json.Unmarshal(raw, new(corev1.Secret))
	case "Service":
		return json.Unmarshal(raw, new(corev1.Service))
	default:
		return json.Unmarshal(raw, new(gatewayv1.HTTPRoute))
	}
}

// readDeployment reads a Deployment and checks what an API server would.
func readDeployment(raw json.RawMessage, k objectKey) (appsv1.Deployment, error) {
	var d appsv1.Deployment
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("read manifest of %s: %w", k, err)
	}
	d.Namespace = k.Namespace
	if len(d.Spec.Template.Spec.Containers) == 0 {
		return d, fmt.Errorf("read manifest of %s: it has no containers", k)
	}
	if n := d.Spec.Replicas; n != nil && *n < 0 {
		return d, fmt.Errorf("read manifest of %s: %d replicas make no sense", k, *n)
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return d, fmt.Errorf("read manifest of %s: selector: %w", k, err)
	}
	if d.Spec.Selector == nil || !selector.Matches(labelSet(d.Spec.Template.Labels)) {
		return d, fmt.Errorf("read manifest of %s: its selector does not select its own pods", k)
	}
	return d, nil
}

// deployment finds one by name.
func (m manifestSet) deployment(namespace, name string) (*appsv1.Deployment, bool) {
	for i := range m.deployments {
		if d := &m.deployments[i]; d.Namespace == namespace && d.Name == name {
			return d, true
		}
	}
	return nil, false
}
