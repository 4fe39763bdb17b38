package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Annotated names an object.
type Annotated struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
}

// Annotate gives an object one annotation and changes nothing else.
func (c *Cluster) Annotate(ctx context.Context, o Annotated, key, value string) error {
	gvr, namespace, name := o.Resource, o.Namespace, o.Name
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		return fmt.Errorf("annotate %s: %w", describe(gvr, namespace, name), err)
	}
	ctx, cancel := within(ctx)
	defer cancel()
	_, err = c.at(gvr, namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: Manager})
	if err != nil {
		return fmt.Errorf("annotate %s: %w", describe(gvr, namespace, name), cause(ctx, err))
	}
	return nil
}
