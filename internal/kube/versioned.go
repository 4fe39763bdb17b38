package kube

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/headgate-dev/headgate/stages"
)

const (
	// versionedLabel, on a ConfigMap or Secret that was written under a name of
	// its content, is the name in the manifest. In a manifest, the annotation
	// of this name with the value "false" keeps the name as it is.
	versionedLabel = "headgate.dev/versioned"
	// workloadLabel, on the same, is the workload it was written for.
	workloadLabel = "headgate.dev/workload"
	// versionLength is how many characters of the checksum are in a name.
	versionLength = 10
	// longestName is the longest that the cluster takes for these kinds.
	longestName = 253
)

// version gives the ConfigMaps and Secrets that the workload's pods refer to
// names of their content, and makes the pods refer to those. So the old track
// keeps what it was started with, whatever a release brings, and a change of
// configuration is rolled out, judged and put back as a change of the image
// is. An object that something else refers to as well is applied under its own
// name, too.
func (o *objects) version(namespace string) error {
	if o.workload == nil {
		return nil
	}
	pod := podOf(o.workload)
	refs, names := refsOf(pod), map[named]string{}
	var others []*unstructured.Unstructured
	for _, u := range o.others {
		old := named{u.GetKind(), u.GetName()}
		if ns := u.GetNamespace(); !refs[old] || ns != "" && ns != namespace || !versionable(u) {
			others = append(others, u)
			continue
		}
		v, err := versionOf(u, namespace, o.workload.GetName())
		if err != nil {
			return err
		}
		names[old] = v.GetName()
		others = append(others, v)
		if o.neededPlain(u, pod) {
			others = append(others, u)
		}
	}
	o.others = others
	eachRef(pod, func(kind string, holder map[string]any, key string) {
		if name, ok := names[named{kind, text(holder[key])}]; ok {
			holder[key] = name
		}
	})
	return nil
}

// versionable reports whether an object may be written under another name.
func versionable(u *unstructured.Unstructured) bool {
	if u.GetAPIVersion() != "v1" || u.GetAnnotations()[versionedLabel] == "false" || hashed(u) {
		return false
	}
	// The content of tokens is the cluster's.
	return !strings.HasSuffix(text(u.Object["type"]), "-token") && text(u.Object["type"]) != "bootstrap.kubernetes.io/token"
}

// hashed reports whether kustomize has given an object a name of its content,
// which is so when the name ends in just the checksum that it would give.
func hashed(u *unstructured.Unstructured) bool {
	_, suffix, ok := cutLast(u.GetName(), "-")
	if !ok || len(suffix) != versionLength {
		return false
	}
	b, err := json.Marshal(u.Object)
	if err != nil {
		return false
	}
	node, err := yaml.Parse(string(b))
	if err != nil {
		return false
	}
	is, err := (&hasher.Hasher{}).Hash(node)
	return err == nil && is == suffix
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// versionOf returns a copy of an object under the name of its content.
func versionOf(u *unstructured.Unstructured, namespace, workload string) (*unstructured.Unstructured, error) {
	data, err := contentOf(u)
	if err != nil {
		return nil, err
	}
	// The workload is part of it, so that no other's rollback takes away what
	// this one needs. A map is written in the order of its keys.
	b, err := json.Marshal(map[string]any{
		"workload": workload, "kind": u.GetKind(), "data": data,
		"type": u.Object["type"], "immutable": u.Object["immutable"],
	})
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	h := sha256.Sum256(b)
	suffix := "-" + hex.EncodeToString(h[:])[:versionLength]
	v := u.DeepCopy()
	v.SetNamespace(namespace)
	v.SetName(u.GetName()[:min(len(u.GetName()), longestName-len(suffix))] + suffix)
	addLabel(v, versionedLabel, stages.Suffixed(u.GetName(), ""))
	addLabel(v, workloadLabel, stages.Suffixed(workload, ""))
	return v, nil
}

// contentOf returns what the containers see of a ConfigMap or Secret, by key
// and in base64. Its errors name keys and no values.
func contentOf(u *unstructured.Unstructured) (map[string]string, error) {
	out := map[string]string{}
	for _, field := range []string{"data", "binaryData", "stringData"} {
		values, ok := u.Object[field].(map[string]any)
		if !ok && u.Object[field] != nil {
			return nil, fmt.Errorf("read %s %s: %s is no mapping", u.GetKind(), u.GetName(), field)
		}
		encoded := field == "binaryData" || field == "data" && u.GetKind() == "Secret"
		for _, key := range slices.Sorted(maps.Keys(values)) {
			s, ok := values[key].(string)
			if !ok {
				return nil, &contentError{u.GetKind(), u.GetName(), field, key, "is no text", "put it in quotes"}
			}
			b := []byte(s)
			if encoded {
				var err error
				if b, err = base64.StdEncoding.DecodeString(strings.Map(unbroken, s)); err != nil {
					return nil, &contentError{u.GetKind(), u.GetName(), field, key, "is not in base64", "encode it, or write it as it is under stringData: (Secret) or data: (ConfigMap)"}
				}
			}
			out[key] = base64.StdEncoding.EncodeToString(b)
		}
	}
	return out, nil
}

// unbroken leaves out line ends, which base64 in YAML often has.
func unbroken(r rune) rune {
	if r == '\n' || r == '\r' {
		return -1
	}
	return r
}

// contentError reports a value that the cluster would refuse. The cluster's
// own message might hold the value.
type contentError struct{ kind, name, field, key, is, hint string }

// Error names the key.
func (e *contentError) Error() string {
	return fmt.Sprintf("read %s %s: the value of %s in %s %s", e.kind, e.name, e.key, e.field, e.is)
}

// Hint says how it is written.
func (e *contentError) Hint() string { return e.hint }

// neededPlain reports whether anything but the places that are rewritten
// refers to an object by its own name: another object of the manifests, or the
// pods themselves, for pulling images or mounting storage.
func (o *objects) neededPlain(u *unstructured.Unstructured, pod map[string]any) bool {
	name := u.GetName()
	if u.GetKind() == "Secret" {
		if mentions(pod["imagePullSecrets"], name) {
			return true
		}
		for v := range maps2(pod["volumes"]) {
			rest := maps.Clone(v)
			for _, k := range []string{"name", "configMap", "secret", "projected"} {
				delete(rest, k)
			}
			if mentions(rest, name) {
				return true
			}
		}
	}
	return slices.ContainsFunc(o.others, func(other *unstructured.Unstructured) bool {
		return other != u && refersTo(other, named{u.GetKind(), name})
	})
}

// refersTo reports whether an object refers to a ConfigMap or Secret; of kinds
// that are not known, any text that is its name counts.
func refersTo(u *unstructured.Unstructured, what named) bool {
	if pod := podOf(u); pod != nil {
		return refsOf(pod)[what] || what.Kind == "Secret" && (mentions(pod["imagePullSecrets"], what.Name) || mentions(pod["volumes"], what.Name))
	}
	switch u.GetKind() {
	case "ConfigMap", "Secret", "Service", "HTTPRoute", "GRPCRoute", "PodDisruptionBudget", "HorizontalPodAutoscaler",
		"NetworkPolicy", "Namespace", "ResourceQuota", "LimitRange", "PersistentVolumeClaim", "CustomResourceDefinition":
		return false
	}
	rest := maps.Clone(u.Object)
	delete(rest, "metadata")
	return mentions(rest, what.Name)
}
