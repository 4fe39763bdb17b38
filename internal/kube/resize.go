package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/stages"
)

// Size reads how many pods a track is wanted to have; see [stages.Resizer].
func (p *Platform) Size(ctx context.Context, t stages.Track) (int, error) {
	u, err := p.c.Get(ctx, deployments(), p.c.ns(t.Workload), trackName(t))
	if IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read size of %s: %w", t, err)
	}
	return replicasIn(u.Object), nil
}

// Resize sets how many pods a track shall have; see [stages.Resizer].
func (p *Platform) Resize(ctx context.Context, t stages.Track, replicas int) error {
	if replicas < 0 {
		return fmt.Errorf("resize %s: %d replicas make no sense", t, replicas)
	}
	u, err := p.c.Get(ctx, deployments(), p.c.ns(t.Workload), trackName(t))
	if err != nil {
		return fmt.Errorf("resize %s: %w", t, err)
	}
	return wrap("resize "+t.String(), p.resize(ctx, u, replicas))
}

// resize changes the size of a Deployment and nothing else. What it runs may
// not have changed since it was read.
func (p *Platform) resize(ctx context.Context, u *unstructured.Unstructured, replicas int) error {
	was := version(u)
	for try := 1; ; try++ {
		if replicasIn(u.Object) == replicas {
			return nil
		}
		next := u.DeepCopy()
		set(next.Object, int64(replicas), "spec", "replicas")
		_, err := p.c.Update(ctx, deployments(), next, Write{})
		if err == nil || !IsConflict(err) || try == conflictTries {
			return err
		}
		if err := pause(ctx, conflictPause); err != nil {
			return err
		}
		if u, err = p.c.Get(ctx, deployments(), u.GetNamespace(), u.GetName()); err != nil {
			return err
		}
		if version(u) != was {
			return drift(u, "another specification", "the one read just before")
		}
	}
}
