package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/stages"
)

// ServicesOf returns the names of the Services that select the pods of a
// workload's stable track, the canary's own not among them.
func (c *Cluster) ServicesOf(ctx context.Context, w stages.Workload) ([]string, error) {
	return c.OwnServices(ctx, stages.Track{Workload: w, Name: stages.Stable})
}

// OwnServices returns the names of the Services that select the pods of a
// track's own Deployment and, of a colour, not those of its peer. The error is
// [IsNotFound] where there is no such Deployment.
func (c *Cluster) OwnServices(ctx context.Context, t stages.Track) ([]string, error) {
	ns := c.ns(t.Workload)
	u, err := c.Get(ctx, deployments(), ns, t.Workload.Name)
	if err != nil {
		return nil, err
	}
	var peer map[string]string
	if t.Peer.Name != "" && c.ns(t.Peer) == ns {
		p, err := c.Get(ctx, deployments(), ns, t.Peer.Name)
		if err != nil && !IsNotFound(err) {
			return nil, err
		}
		if p != nil {
			peer = templateLabels(p)
		}
	}
	raw, err := c.Platform(Settings{}).theirServices(ctx, ns)
	if err != nil {
		return nil, err
	}
	svcs, err := decodeAll[corev1.Service](raw)
	if err != nil {
		return nil, fmt.Errorf("read services of %s: %w", t.Workload, err)
	}
	var names []string
	for _, s := range selectingAll(svcs, templateLabels(u)) {
		if !selects(s.Spec.Selector, peer) {
			names = append(names, s.Name)
		}
	}
	return names, nil
}
