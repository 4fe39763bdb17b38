package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// objects are the manifests of a release, sorted by what becomes of them.
type objects struct {
	// workload is the Deployment itself, nil without manifests.
	workload *unstructured.Unstructured
	// others are all else, in the order of the files.
	others []*unstructured.Unstructured
	// service is that of a colour's own where it must be made, else nil.
	service *unstructured.Unstructured
	// notes say of a colour that is made from its peer what is different.
	notes []string
}

// decodeManifests decodes a release's manifests.
func decodeManifests(r stages.Release) ([]*unstructured.Unstructured, error) {
	out := make([]*unstructured.Unstructured, 0, len(r.Manifests))
	for i, m := range r.Manifests {
		var obj map[string]any
		if err := json.Unmarshal(m, &obj); err != nil {
			return nil, fmt.Errorf("read manifest %d: %w", i+1, err)
		}
		u := &unstructured.Unstructured{Object: obj}
		if u.GetKind() == "" || u.GetAPIVersion() == "" || u.GetName() == "" {
			return nil, fmt.Errorf("read manifest %d: it has no apiVersion, kind or metadata.name", i+1)
		}
		out = append(out, u)
	}
	return out, nil
}

func isDeployment(u *unstructured.Unstructured) bool {
	return u.GetKind() == "Deployment" && strings.HasPrefix(u.GetAPIVersion(), "apps/")
}

// readManifests sorts a release's manifests. The workload without a namespace
// gets the one given.
func readManifests(r stages.Release, namespace, name string) (objects, error) {
	var out objects
	all, err := decodeManifests(r)
	if err != nil {
		return objects{}, err
	}
	for _, u := range all {
		if !isDeployment(u) || u.GetName() != name {
			out.others = append(out.others, u)
			continue
		}
		if ns := u.GetNamespace(); ns != "" && ns != namespace {
			return objects{}, fmt.Errorf("read manifests: Deployment %s is for namespace %s, and the pipeline deploys to %s", name, ns, namespace)
		}
		if out.workload != nil {
			return objects{}, fmt.Errorf("read manifests: they hold two Deployments named %s", name)
		}
		u.SetNamespace(namespace)
		out.workload = u
	}
	if len(all) > 0 && out.workload == nil {
		return objects{}, fmt.Errorf("read manifests: they hold no Deployment named %s", name)
	}
	// Whoever works on a release sees ConfigMaps and Secrets by the same names.
	return out, out.version(namespace)
}

// errNothingLive reports a workload that is not there and has no manifests.
var errNothingLive = errors.New("there is no such Deployment yet, and the release has no manifests to make it from")

// released returns the Deployment that a release makes of what is live, either
// of which may be missing: live with a new image, or with the specification of
// the manifest. Selector and size stay live's: the one cannot be changed, and
// the other may be an autoscaler's.
func released(live *unstructured.Unstructured, objs objects, r stages.Release) (*unstructured.Unstructured, error) {
	var u *unstructured.Unstructured
	switch {
	case live == nil && objs.workload == nil:
		return nil, errNothingLive
	case live == nil:
		u = objs.workload.DeepCopy()
	case objs.workload == nil:
		u = live.DeepCopy()
	default:
		u = live.DeepCopy()
		spec, _, err := unstructured.NestedMap(objs.workload.Object, "spec")
		if err != nil {
			return nil, fmt.Errorf("read manifest of deployment %s: %w", live.GetName(), err)
		}
		if spec == nil {
			return nil, fmt.Errorf("read manifest of deployment %s: it has no spec", live.GetName())
		}
		for _, kept := range []string{"replicas", "selector"} {
			delete(spec, kept)
			if v, ok, _ := unstructured.NestedFieldCopy(live.Object, "spec", kept); ok {
				spec[kept] = v
			}
		}
		u.Object["spec"] = spec
		for k, v := range objs.workload.GetLabels() {
			addLabel(u, k, v)
		}
		for k, v := range objs.workload.GetAnnotations() {
			annotate(u, k, v)
		}
	}
	if err := setImage(u, r); err != nil {
		return nil, err
	}
	return u, nil
}

// setImage gives the release's image to the container it is for.
func setImage(u *unstructured.Unstructured, r stages.Release) error {
	if r.Image == "" {
		return nil
	}
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(u.Object, path...)
	if err != nil {
		return fmt.Errorf("read deployment %s: %w", u.GetName(), err)
	}
	i, err := whichContainer(containers, r)
	if err != nil {
		return fmt.Errorf("set image of deployment %s: %w", u.GetName(), err)
	}
	containers[i].(map[string]any)["image"] = r.Image
	set(u.Object, containers, path...)
	return nil
}

// whichContainer finds the container that a release is for.
func whichContainer(containers []any, r stages.Release) (int, error) {
	all := make([]stages.Container, len(containers))
	for i, c := range containers {
		container, ok := c.(map[string]any)
		if !ok {
			return 0, fmt.Errorf("container %d is no object", i+1)
		}
		all[i].Name, _ = container["name"].(string)
		all[i].Image, _ = container["image"].(string)
	}
	return r.ContainerOf(all)
}
