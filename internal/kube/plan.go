package kube

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// PlanTrack says what SetTrack would write, by having the server do all but
// write it, so that what it defaults, and what its admission adds or refuses,
// is part of the answer.
func (p *Platform) PlanTrack(ctx context.Context, t stages.Track, r stages.Release, replicas int) ([]pipeline.PlannedWrite, error) {
	if t.Name != stages.Canary {
		out, err := p.planStable(ctx, t, r, replicas)
		return out, wrap("plan "+t.String(), err)
	}
	w, err := p.canary(ctx, t, r, replicas)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t, err)
	}
	var out []pipeline.PlannedWrite
	for _, u := range append(w.missing, w.service, w.autoscaler, w.deployment) {
		if u == nil {
			continue
		}
		pw, err := p.planWrite(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", t, err)
		}
		if u == w.deployment {
			pw.Thing = pipeline.Thing{Kind: "track", Name: t.String()}
			if w.mark.Key != "" {
				pw.Summary += fmt.Sprintf(" (its pods have %s=%s)", w.mark.Key, w.mark.Canary)
			}
		}
		out = append(out, pw)
	}
	return out, nil
}

// planStable plans what makes the user's own Deployment take a release, or
// makes it.
func (p *Platform) planStable(ctx context.Context, t stages.Track, r stages.Release, replicas int) ([]pipeline.PlannedWrite, error) {
	ns := p.c.ns(t.Workload)
	live, err := p.c.Get(ctx, deployments(), ns, t.Workload.Name)
	if err != nil && !IsNotFound(err) {
		return nil, err
	}
	objs, err := p.objectsFor(ctx, t, r, live)
	if err != nil {
		return nil, err
	}
	var out []pipeline.PlannedWrite
	if objs.service != nil {
		pw, err := p.planWrite(ctx, objs.service)
		if err != nil {
			return nil, err
		}
		out = append(out, pw)
	}
	for _, u := range objs.others {
		pw, err := p.planOther(ctx, u, ns, live != nil)
		if err != nil {
			return nil, err
		}
		if pw.Verb != "" {
			out = append(out, pw)
		}
	}
	var after *unstructured.Unstructured
	if live == nil {
		first, err := released(nil, objs, r)
		if err != nil {
			return nil, err
		}
		drain(first, r.Drain)
		if replicas >= 0 {
			set(first.Object, int64(replicas), "spec", "replicas")
		}
		after, err = p.c.Create(ctx, deployments(), first, Write{DryRun: true})
		if err != nil {
			return nil, err
		}
	} else {
		next, err := promotion{r, replicas}.on(live, objs)
		if err != nil {
			return nil, err
		}
		next.SetResourceVersion("") // Nothing is written that could be in the way of others.
		after, err = p.c.Update(ctx, deployments(), next, Write{DryRun: true})
		if err != nil {
			return nil, err
		}
	}
	pw := planned(live, after)
	if len(objs.notes) > 0 {
		pw.Summary += " (" + strings.Join(objs.notes, "; ") + ")"
	}
	return append(out, pw), nil
}

// planOther plans one of the other objects of the manifests; a write without a
// verb is none.
func (p *Platform) planOther(ctx context.Context, u *unstructured.Unstructured, ns string, apply bool) (pipeline.PlannedWrite, error) {
	k, err := p.c.mapping(ctx, u.GroupVersionKind())
	if err != nil {
		return pipeline.PlannedWrite{}, err
	}
	u = place(u, k, ns)
	now, err := p.c.Get(ctx, k.gvr, u.GetNamespace(), u.GetName())
	if err != nil && !IsNotFound(err) {
		return pipeline.PlannedWrite{}, err
	}
	var after *unstructured.Unstructured
	switch {
	case now == nil:
		after, err = p.c.Create(ctx, k.gvr, u, Write{DryRun: true})
	case !apply || leftAlone(u):
		return pipeline.PlannedWrite{}, nil
	default:
		after, err = p.c.apply(ctx, k.gvr, u, Write{DryRun: true})
	}
	if err != nil {
		return pipeline.PlannedWrite{}, err
	}
	if now == nil {
		return p.plannedNew(ctx, k, after), nil
	}
	pw := planned(now, after)
	if pw.Diff == "" {
		return pipeline.PlannedWrite{}, nil
	}
	return pw, nil
}

// planWrite plans one object of Headgate's own.
func (p *Platform) planWrite(ctx context.Context, u *unstructured.Unstructured) (pipeline.PlannedWrite, error) {
	k, err := p.c.mapping(ctx, u.GroupVersionKind())
	if err != nil {
		return pipeline.PlannedWrite{}, err
	}
	now, err := p.getOurs(ctx, k, u.GetNamespace(), u.GetName())
	if err != nil {
		return pipeline.PlannedWrite{}, err
	}
	after, err := p.write(ctx, u, Write{DryRun: true})
	if err != nil {
		return pipeline.PlannedWrite{}, err
	}
	if now == nil {
		return p.plannedNew(ctx, k, after), nil
	}
	return planned(now, after), nil
}

// planned describes one write; now is nil for an object that is made.
func planned(now, after *unstructured.Unstructured) pipeline.PlannedWrite {
	name := cmp.Or(after.GetNamespace(), "cluster") + "/" + after.GetName()
	pw := pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: lower(after.GetKind()), Name: name},
		Verb:  "create",
		Diff:  Diff(now, after),
	}
	if now != nil {
		pw.Verb = "update"
	}
	pw.Summary = fmt.Sprintf("%s %s %s", pw.Verb, lower(after.GetKind()), name)
	return pw
}
