package kube

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

// ServicesOf returns the names of the Services that select the pods of a
// workload's stable track, the canary's own not among them.
func (c *Cluster) ServicesOf(ctx context.Context, w stages.Workload) ([]string, error) {
	u, err := c.Get(ctx, deployments(), c.ns(w), w.Name)
	if err != nil {
		return nil, err
	}
	d, err := decode[appsv1.Deployment](u)
	if err != nil {
		return nil, err
	}
	raw, err := c.Platform(Settings{}).theirServices(ctx, c.ns(w))
	if err != nil {
		return nil, err
	}
	svcs, err := decodeAll[corev1.Service](raw)
	if err != nil {
		return nil, fmt.Errorf("read services of %s: %w", w, err)
	}
	var names []string
	for _, s := range selectingAll(svcs, d.Spec.Template.Labels) {
		names = append(names, s.Name)
	}
	return names, nil
}
