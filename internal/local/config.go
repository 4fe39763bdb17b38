package local

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

// configMark is an annotation of pods that changes with the ConfigMaps and
// Secrets of their release, so that they are replaced when these change.
const configMark = "headgate.dev/config"

// configure gives a Deployment the ConfigMaps and Secrets of a release, or
// those of the former one where the release has no manifests. They are its
// own: what runs beside it keeps those that it has.
func (d *deployment) configure(from manifestSet, r stages.Release, former objectSet) {
	d.Config = former
	if len(r.Manifests) > 0 {
		d.Config = objectSet{}
		for _, k := range from.order {
			if k.Kind == "ConfigMap" || k.Kind == "Secret" {
				d.Config[k] = from.objects[k]
			}
		}
	}
	template := &d.Object.Spec.Template
	h, any := sha256.New(), false
	for _, k := range configRefs(template.Spec, d.Object.Namespace) {
		if raw, ok := d.Config[k]; ok {
			any = true
			h.Write([]byte(k.String()))
			h.Write(raw)
		}
	}
	annotations := maps.Clone(template.Annotations)
	delete(annotations, configMark)
	if any {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[configMark] = hex.EncodeToString(h.Sum(nil)[:8])
	}
	template.Annotations = annotations
}

// visible are the objects that a Deployment's pods see.
func (d deployment) visible(all objectSet) objectSet {
	if len(d.Config) == 0 {
		return all
	}
	out := maps.Clone(all)
	maps.Copy(out, d.Config)
	return out
}

// configRefs are the ConfigMaps and Secrets that pods take variables from,
// each once and in order.
func configRefs(spec corev1.PodSpec, namespace string) []objectKey {
	found := map[objectKey]bool{}
	eachConfigRef(spec, func(kind string, name *string) { found[objectKey{kind, namespace, *name}] = true })
	return slices.SortedFunc(maps.Keys(found), func(a, b objectKey) int { return strings.Compare(a.String(), b.String()) })
}

// eachConfigRef shows the name of each ConfigMap and Secret that containers
// take variables from.
func eachConfigRef(spec corev1.PodSpec, see func(kind string, name *string)) {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range containers {
			for i := range c.EnvFrom {
				if r := c.EnvFrom[i].ConfigMapRef; r != nil {
					see("ConfigMap", &r.Name)
				}
				if r := c.EnvFrom[i].SecretRef; r != nil {
					see("Secret", &r.Name)
				}
			}
			for _, v := range c.Env {
				if v.ValueFrom == nil {
					continue
				}
				if r := v.ValueFrom.ConfigMapKeyRef; r != nil {
					see("ConfigMap", &r.Name)
				}
				if r := v.ValueFrom.SecretKeyRef; r != nil {
					see("Secret", &r.Name)
				}
			}
		}
	}
}
