package route

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// replicasSnapshot is how many pods the old track had.
type replicasSnapshot struct {
	Router   string       `json:"router"`
	Split    stages.Split `json:"split"`
	Service  string       `json:"service"`
	Replicas int          `json:"replicas"`
}

// Snapshot returns the old track's number of pods.
func (r *Replicas) Snapshot(ctx context.Context) (json.RawMessage, error) {
	svc, err := r.service(ctx)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	c, err := r.read(ctx)
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	b, err := json.Marshal(replicasSnapshot{stages.ReplicasRouter, r.set.Split, svc, c.o})
	return b, wrap("save "+r.Name(), err)
}

func readReplicasSnapshot(was json.RawMessage) (replicasSnapshot, error) {
	var s replicasSnapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return replicasSnapshot{}, fmt.Errorf("read snapshot of route: %w", err)
	}
	if s.Router != stages.ReplicasRouter || s.Split.Old.Workload.Name == "" || s.Service == "" || s.Replicas < 0 {
		return replicasSnapshot{}, fmt.Errorf("read snapshot of route: it does not say whose pods it counts")
	}
	return s, nil
}

// replicasFrom returns the router that made a snapshot.
func replicasFrom(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	s, err := readReplicasSnapshot(was)
	if err != nil {
		return nil, err
	}
	return NewReplicas(c, Settings{Split: s.Split, Service: s.Service})
}

// Restore gives the old track as many pods as it had, and
// waits until they are ready, whatever the new track's are. The new track's own
// pods are for whoever made them to remove, once this has succeeded.
func (r *Replicas) Restore(ctx context.Context, was json.RawMessage) error {
	what := "restore " + r.Name()
	s, err := readReplicasSnapshot(was)
	if err != nil {
		return wrap(what, err)
	}
	if s.Split.Old.Workload != r.set.Split.Old.Workload {
		return fmt.Errorf("%s: the snapshot is of %s", what, s.Split.Old.Workload)
	}
	for try := 1; ; try++ {
		c, err := r.read(ctx)
		if err != nil {
			return wrap(what, err)
		}
		err = r.scale(ctx, c, s.Replicas)
		if kube.IsConflict(err) && try < conflictTries {
			continue
		}
		if err != nil {
			return wrap(what, err)
		}
		return wrap(what, r.await(ctx, s.Service, wait{old: s.Replicas}))
	}
}
