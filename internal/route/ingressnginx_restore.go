package route

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/stages"
)

// Snapshot returns what the Ingress splits between.
func (r *IngressNginx) Snapshot(ctx context.Context) (json.RawMessage, error) {
	p, err := r.read(ctx)
	if err != nil {
		return nil, wrap("read route", err)
	}
	w, err := p.share()
	if err != nil {
		return nil, wrap("read "+r.Name(), err)
	}
	b, err := json.Marshal(ingressSnapshot{
		Router: stages.IngressNginxRouter, Namespace: r.set.Namespace, Route: r.set.Route, Split: r.set.Split,
		Old: p.old.name, New: p.new.name, Matches: r.matches, Weight: w,
	})
	return b, wrap("save "+r.Name(), err)
}

func readIngressSnapshot(was json.RawMessage) (ingressSnapshot, error) {
	var s ingressSnapshot
	if err := json.Unmarshal(was, &s); err != nil {
		return ingressSnapshot{}, fmt.Errorf("read snapshot of route: %w", err)
	}
	if s.Router != stages.IngressNginxRouter || s.Namespace == "" || s.Route == "" || s.Old == "" || s.New == "" {
		return ingressSnapshot{}, fmt.Errorf("read snapshot of route: it does not say which Ingress and Services it is of")
	}
	if s.Weight != 0 {
		return ingressSnapshot{}, fmt.Errorf("read snapshot of route: the new track had %s of the traffic", percent(s.Weight))
	}
	return s, nil
}

// ingressFrom returns the router that made a snapshot.
func ingressFrom(c *kube.Cluster, was json.RawMessage) (stages.Router, error) {
	s, err := readIngressSnapshot(was)
	if err != nil {
		return nil, err
	}
	r, err := NewIngressNginx(c, Settings{Namespace: s.Namespace, Route: s.Route, Split: s.Split, Service: s.Old, NewService: s.New})
	if err != nil {
		return nil, err
	}
	r.matches = s.Matches
	r.old, r.new = service{s.Namespace, s.Old}, service{s.Namespace, s.New}
	return r, nil
}

// Restore gives all traffic to the old track: by removing the canary Ingress,
// and, where blue/green has settled, by pointing the user's Ingress back.
func (r *IngressNginx) Restore(ctx context.Context, was json.RawMessage) error {
	what := "restore " + r.Name()
	s, err := readIngressSnapshot(was)
	if err != nil {
		return wrap(what, err)
	}
	if s.Namespace != r.set.Namespace || s.Route != r.set.Route {
		return fmt.Errorf("%s: the snapshot is of Ingress %s/%s", what, s.Namespace, s.Route)
	}
	r.mu.Lock() // The Services are what they were, whatever has become of the workloads.
	r.old, r.new = service{s.Namespace, s.Old}, service{s.Namespace, s.New}
	r.mu.Unlock()
	return wrap(what, r.pointAt(ctx, s.New, s.Old, 0))
}

// Settle points the user's Ingress at the new colour and removes the canary
// Ingress, in this order, so that every request goes to the new colour all the
// while; see [stages.Settler].
func (r *IngressNginx) Settle(ctx context.Context) error {
	what := "settle " + r.Name() + " on " + r.set.Split.New.Name
	if !r.set.colours() {
		return fmt.Errorf("%s: only blue and green can settle", what)
	}
	p, err := r.read(ctx)
	if err != nil {
		return wrap(what, err)
	}
	switch now, err := p.share(); {
	case err != nil:
		return wrap(what, r.drift(p.newest(), err.Error(), percent(100)))
	case !near(now, 100):
		return wrap(what, r.drift(p.newest(), percent(now), percent(100)))
	}
	return wrap(what, r.pointAt(ctx, p.old.name, p.new.name, 100))
}

// pointAt makes the user's Ingress point at one Service instead of another
// where it does not yet, and removes the canary Ingress.
func (r *IngressNginx) pointAt(ctx context.Context, from, to string, weight float64) error {
	for try := 1; ; try++ {
		p, err := r.read(ctx)
		if err != nil {
			return err
		}
		if p.canary != nil && !ours(p.canary) {
			return fmt.Errorf("ingress %s is not Headgate's to remove", p.canary.GetName())
		}
		canary := p.canary
		if next := p.user.DeepCopy(); repoint(next, from, to) {
			written, err := r.c.Update(ctx, ingresses(), next, kube.Write{})
			if kube.IsConflict(err) && try < conflictTries {
				continue
			}
			if err != nil {
				return err
			}
			p.user = written
			if weight > 0 { // Until it is loaded the canary Ingress must carry all.
				if err := r.await(ctx, p, written, weight); err != nil {
					return err
				}
			}
		}
		if canary != nil {
			if err := r.c.Delete(ctx, ingresses(), canary, false); err != nil {
				return err
			}
		}
		p.canary = nil
		return r.await(ctx, p, p.user, weight)
	}
}
