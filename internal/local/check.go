package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headgate-dev/headgate/internal/local/pods"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

var _ stages.Checker = (*World)(nil)

// Check finds out, without changing anything, whether a rollout would work
// here, and what of the manifests means nothing without a cluster.
func (w *World) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("check %s: %w", c.Workload, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := &checking{w: w, kind: c.Kind, release: c.Release, track: w.placedTrack(c.Split.New)}
	if c.Split.New.Workload.Name == "" {
		k.track = stages.Track{Workload: w.placed(c.Workload), Name: stages.Stable}
	}
	from, err := readObjects(c.Release.Manifests, k.track.Workload.Namespace)
	if err != nil {
		return []pipeline.Finding{found(err)}, nil
	}
	k.ignored(from)
	base, _, err := w.state.own(k.track, from, c.Release)
	if errors.Is(err, errNothingLive) {
		return k.found, nil // whoever asks knows it
	}
	if err != nil {
		return append(k.found, found(err)), nil
	}
	k.deployment(base, from)
	return k.found, nil
}

// checking is one preflight.
type checking struct {
	w       *World
	kind    string
	release stages.Release
	track   stages.Track
	found   []pipeline.Finding
}

// found makes a finding of an error.
func found(err error) pipeline.Finding {
	f := pipeline.Finding{Message: err.Error()}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	return f
}

func (k *checking) warn(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// ignored names the objects that have no effect here.
func (k *checking) ignored(from manifestSet) {
	var names []string
	for _, o := range from.ignored {
		switch o.Kind {
		case "Namespace", "ServiceAccount", "Role", "RoleBinding", "PodDisruptionBudget":
			continue // nobody would expect one
		}
		names = append(names, o.String())
	}
	if len(names) > 0 {
		k.warn("", "without a cluster, %s has no effect", strings.Join(names, ", "))
	}
}

func (k *checking) deployment(d *appsv1.Deployment, from manifestSet) {
	spec := d.Spec.Template.Spec
	unknown := false
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		name, tag, _ := splitImage(c.Image)
		if k.release.Image == "" && len(spec.Containers) == 1 && len(spec.InitContainers) == 0 {
			continue // it will get another, of which the build stage speaks
		}
		if _, made := k.w.state.Images[c.Image]; made {
			continue
		}
		if _, err := k.w.images.program(name, tag); err != nil {
			unknown = true
			k.found = append(k.found, found(err))
		}
	}
	k.volumes(d)
	switch {
	case d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType:
	case k.kind == "rolling":
		k.warn("use strategy RollingUpdate if two versions can run side by side",
			"Deployment %s has the strategy Recreate: nobody is served from the end of its old pods until the new ones are ready", d.Name)
	default:
		k.found = append(k.found, pipeline.Finding{
			Message: fmt.Sprintf("Deployment %s has the strategy Recreate, which says that two of its pods must not run at once; a canary would", d.Name),
			Hint:    "use strategy RollingUpdate if two versions can run side by side",
		})
	}
	if d.Spec.Replicas != nil && *d.Spec.Replicas == 0 && k.kind != "blueGreen" {
		k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf("Deployment %s has 0 replicas", d.Name), Hint: "scale it up, so that there is something to release"})
	}
	if firstPort(spec) == 0 {
		k.warn("name the port in the manifest, and listen at $(PORT)", "no container of Deployment %s has a port, so that no request can reach it", d.Name)
	}
	if !unknown && k.release.Image != "" {
		k.runnable(d, from)
	}
}

// volumes names those that programs would look for in vain.
func (k *checking) volumes(d *appsv1.Deployment) {
	var names []string
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.EmptyDir == nil && v.Projected == nil {
			names = append(names, v.Name)
		}
	}
	if len(names) > 0 {
		k.warn("give the program the path of a file of this machine, by env in local.images",
			"the volumes %s of Deployment %s are not mounted: processes see the files of this machine", strings.Join(names, ", "), d.Name)
	}
}

// runnable asks whether a pod could be started, as far as that can be told.
func (k *checking) runnable(d *appsv1.Deployment, from manifestSet) {
	was := k.w.state
	next := was.clone()
	for _, o := range from.order {
		if _, ok := next.Objects[o]; !ok {
			next.Objects[o] = from.objects[o]
		}
	}
	k.w.state = next // for the time of the question: nothing is written, and the lock is held
	defer func() { k.w.state = was }()
	p := &livePod{name: d.Name + "-check", addresses: map[int32]string{}}
	defer k.w.forgetPorts(p)
	spec, err := k.w.podSpec(deployment{Object: *d}, p)
	if err == nil {
		err = pods.Check(spec)
	}
	if err == nil {
		return
	}
	f := found(err)
	if e, ok := errors.AsType[*faultError](err); ok {
		f.Hint = e.action
	}
	k.found = append(k.found, f)
}

var _ stages.Planner = (*World)(nil)

// PlanTrack says what SetTrack would make.
func (w *World) PlanTrack(ctx context.Context, t stages.Track, r stages.Release, replicas int) ([]pipeline.PlannedWrite, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("plan %s: %w", t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t = w.placedTrack(t)
	from, err := readObjects(r.Manifests, t.Workload.Namespace)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t, err)
	}
	next, _, err := w.state.own(t, from, r)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t, err)
	}
	if replicas >= 0 {
		next.Spec.Replicas = new32(replicas)
	}
	size := deployment{Object: *next}.replicas()
	pw := pipeline.PlannedWrite{
		Thing: pipeline.Thing{Kind: "track", Name: t.String()}, Verb: "create",
		Summary: fmt.Sprintf("%d pods as processes of this machine", size), Diff: imageDiff(nil, next),
	}
	if now, ok := w.state.Deployments[trackKey(t)]; ok {
		pw.Verb, pw.Diff = "update", imageDiff(&now.Object, next)
	}
	return []pipeline.PlannedWrite{pw}, nil
}

// imageDiff shows the images that change, as people know differences.
func imageDiff(now, next *appsv1.Deployment) string {
	was := map[string]corev1.Container{}
	if now != nil {
		for _, c := range now.Spec.Template.Spec.Containers {
			was[c.Name] = c
		}
	}
	var b strings.Builder
	for _, c := range next.Spec.Template.Spec.Containers {
		old, ok := was[c.Name]
		if ok && old.Image == c.Image {
			continue
		}
		if ok {
			fmt.Fprintf(&b, "-%s: %s\n", c.Name, old.Image)
		}
		fmt.Fprintf(&b, "+%s: %s\n", c.Name, c.Image)
	}
	return b.String()
}
