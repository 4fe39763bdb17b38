package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

const (
	// formerAnnotation, on the copy of a Secret, holds all of it but its data.
	formerAnnotation = "headgate.dev/before"
	// formerType is the type of copies, so that no controller takes one for a
	// certificate, a token or whatever the Secret is.
	formerType = "headgate.dev/before"
)

// shell is all of a Secret but its data.
type shell struct {
	Name        string            `json:"name"`
	Type        string            `json:"type,omitempty"`
	Immutable   bool              `json:"immutable,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Finalizers  []string          `json:"finalizers,omitempty"`
}

// toCopy returns what keeps a Secret under another name.
func toCopy(now *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	was := shell{Name: now.GetName(), Labels: now.GetLabels(), Annotations: now.GetAnnotations(), Finalizers: now.GetFinalizers()}
	was.Type, _, _ = unstructured.NestedString(now.Object, "type")
	was.Immutable, _, _ = unstructured.NestedBool(now.Object, "immutable")
	text, err := json.Marshal(was)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: map[string]any{"type": formerType, "immutable": true}}
	u.SetAPIVersion(now.GetAPIVersion())
	u.SetKind(now.GetKind())
	u.SetNamespace(now.GetNamespace())
	u.SetName(name)
	annotate(u, formerAnnotation, string(text))
	if data, ok := now.Object["data"]; ok {
		u.Object["data"] = data
	}
	return u, nil
}

// fromCopy returns the Secret that a copy keeps.
func fromCopy(keep *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	var was shell
	if err := json.Unmarshal([]byte(keep.GetAnnotations()[formerAnnotation]), &was); err != nil || was.Name != name {
		return nil, fmt.Errorf("read secret %s: it does not keep what %s was", keep.GetName(), name)
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(keep.GetAPIVersion())
	u.SetKind(keep.GetKind())
	u.SetNamespace(keep.GetNamespace())
	u.SetName(name)
	u.SetLabels(was.Labels)
	u.SetAnnotations(was.Annotations)
	u.SetFinalizers(was.Finalizers)
	if was.Type != "" {
		u.Object["type"] = was.Type
	}
	if was.Immutable {
		u.Object["immutable"] = true
	}
	if data, ok := keep.Object["data"]; ok {
		u.Object["data"] = data
	}
	return u, nil
}

// sum is a short checksum for names.
func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// keepFormer makes a copy of a Secret before a run changes it for the first
// time, in the Secret's own namespace: its values are in no journal and do not
// leave the cluster. A copy that is there already stays what it is.
func (p *Platform) keepFormer(ctx context.Context, k mapped, now *unstructured.Unstructured, by made) error {
	name := formerName(now.GetName(), by.run)
	there, err := p.getOurs(ctx, k, now.GetNamespace(), name)
	if err != nil || there != nil {
		return err
	}
	u, err := toCopy(now, name)
	if err != nil {
		return err
	}
	sign(u, by.run)
	addLabel(u, workloadLabel, stages.Suffixed(by.workload.Name, ""))
	if _, err := p.c.Create(ctx, k.gvr, u, Write{}); err != nil && !IsConflict(err) {
		return fmt.Errorf("keep what %s was: %w", describe(k.gvr, now.GetNamespace(), now.GetName()), err)
	}
	return nil
}
