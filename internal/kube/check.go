package kube

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Check finds out, without changing anything, whether a rollout of a workload
// would work. It goes on after a finding, so that all are known at
// once; its error is about what could not be asked at all.
func (p *Platform) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	if c.Kind == blueGreenKind {
		return p.checkColours(ctx, c)
	}
	k := &checking{p: p, c: c, ns: p.c.ns(c.Workload)}
	if err := k.access(ctx); err != nil {
		return nil, wrap("check "+c.Workload.String(), err)
	}
	if k.blind {
		return k.found, nil // Every other question would be refused as well.
	}
	do := k.deployment
	if c.Kind == rollingKind {
		do = k.rolling
	}
	if err := do(ctx); err != nil {
		return nil, wrap("check "+c.Workload.String(), err)
	}
	return k.found, nil
}

// The kinds of stages that ask for a check; "" means a canary.
const (
	canaryKind    = "canary"
	rollingKind   = "rolling"
	blueGreenKind = "blueGreen"
)

// checking is one preflight.
type checking struct {
	p     *Platform
	c     stages.RolloutCheck
	ns    string
	objs  objects
	found []pipeline.Finding
	// blind is set when not even the Deployment may be read.
	blind bool
}

func (k *checking) fail(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (k *checking) warn(hint, format string, args ...any) {
	k.found = append(k.found, pipeline.Finding{Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// access checks the permissions, those for manifests included.
func (k *checking) access(ctx context.Context) error {
	objs, err := readManifests(k.c.Release, k.ns, k.c.Workload.Name)
	if err != nil {
		k.fail(hintOf(err), "%s", err)
	}
	k.objs = objs
	want, unknown := k.p.needs(ctx, k.c.Workload, objs)
	for _, err := range unknown {
		k.fail("install what defines this kind, or take it out of the manifests", "%s", err)
	}
	missing, err := k.p.c.Missing(ctx, want)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	for _, m := range missing {
		k.blind = k.blind || m.Verb != "watch" && m.Subresource == "" && slices.Contains([]string{"get", "list"}, m.Verb)
	}
	k.fail("give the account a Role with these rules: "+Rules(missing), "the account may not %s", Together(missing))
	return nil
}

// deployment checks the workload itself, then what is around it.
func (k *checking) deployment(ctx context.Context) error {
	w := k.c.Workload
	live, err := k.p.c.Get(ctx, deployments(), k.ns, w.Name)
	if err != nil && !IsNotFound(err) {
		return err
	}
	if live == nil && k.c.Release.Image == "" && len(k.c.Release.Manifests) == 0 {
		k.warn("", "Deployment %s does not exist yet; its first deployment can be checked once its image is known", w)
		return nil
	}
	if live == nil && k.objs.workload == nil {
		k.fail("check name and namespace, or give the canary stage manifests: for a first deployment", "there is no Deployment %s in namespace %s", w.Name, k.ns)
		return nil
	}
	base, err := released(live, k.objs, k.c.Release)
	if err != nil {
		k.fail("", "%s", err)
		return nil
	}
	d, err := decode[appsv1.Deployment](base)
	if err != nil {
		k.fail("", "%s", err)
		return nil
	}
	k.shape(live, d)
	svcs, err := k.p.theirServices(ctx, k.ns)
	if err != nil {
		return err
	}
	if live == nil {
		for _, o := range k.objs.others { // They are about to be made.
			if o.GetKind() == "Service" {
				svcs = append(svcs, o)
			}
		}
	}
	track := stages.Track{Workload: w, Name: stages.Canary}
	if err := k.leftovers(ctx, track); err != nil {
		return err
	}
	// A Service in the way of the canary's own has been reported.
	svcs = slices.DeleteFunc(svcs, func(u *unstructured.Unstructured) bool { return u.GetName() == trackName(track) })
	plan, err := builder(k.c.Release)(base, svcs, track, wantedReplicas(d))
	if err != nil {
		k.fail("give the Deployment a label of its own, and name it in its selector and in its Service's", "%s", err)
		return nil
	}
	if err := k.service(d, svcs); err != nil {
		return err
	}
	k.others(ctx)
	if live == nil {
		return nil
	}
	if err := k.config(ctx); err != nil {
		return err
	}
	pods := int64(math.Ceil(k.c.MaxReplicas*float64(wantedReplicas(d)))) + promotionNeeds(d)
	labels := d.Spec.Template.Labels
	return k.around(ctx, d, surroundings{
		labels: podLabels{old: labels, new: plan.mark.apply(labels)}, old: d.Name, new: "its canary",
		peak: peak{pods: pods, deployments: 1, services: 1},
	})
}

// shape checks the Deployment by itself.
func (k *checking) shape(live *unstructured.Unstructured, d *appsv1.Deployment) {
	k.resumed(d)
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		k.fail("use strategy RollingUpdate if two versions can run side by side", "Deployment %s has the strategy Recreate, which says that two of its pods must not run at once; a canary would", d.Name)
	}
	k.selector(live, d.Name)
	if d.Spec.Replicas != nil && *d.Spec.Replicas == 0 && live != nil {
		k.fail("scale it up first, so that there is something to compare with", "Deployment %s has 0 replicas", d.Name)
	}
	k.probes(d)
}

func (k *checking) resumed(d *appsv1.Deployment) {
	if d.Spec.Paused {
		k.fail("kubectl rollout resume deployment/"+d.Name, "Deployment %s is paused, so that it would never take the release", d.Name)
	}
}

func (k *checking) selector(live *unstructured.Unstructured, name string) {
	if live != nil && k.objs.workload != nil {
		a, _, _ := unstructured.NestedMap(live.Object, "spec", "selector")
		if b, _, _ := unstructured.NestedMap(k.objs.workload.Object, "spec", "selector"); !reflect.DeepEqual(a, b) {
			k.warn("a selector cannot be changed; write into the manifest what the cluster has", "the manifest of Deployment %s has another selector than the cluster; the cluster's is kept", name)
		}
	}
}

func (k *checking) probes(d *appsv1.Deployment) {
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.ReadinessProbe == nil && len(c.Ports) > 0 {
			k.warn("add a readinessProbe; without one a pod gets requests as soon as its process exists", "container %s of Deployment %s has no readiness probe", c.Name, d.Name)
		}
	}
}

// service checks that the Service fits the pods.
func (k *checking) service(d *appsv1.Deployment, raw []*unstructured.Unstructured) error {
	svcs, err := decodeAll[corev1.Service](raw)
	if err != nil {
		return err
	}
	stable := selectingAll(svcs, d.Spec.Template.Labels)
	if len(stable) == 0 {
		k.fail("make a Service whose selector is part of "+pairs(d.Spec.Template.Labels), "no Service in namespace %s selects the pods of Deployment %s", k.ns, d.Name)
		return nil
	}
	if k.c.Service != "" && !slices.ContainsFunc(stable, func(s corev1.Service) bool { return s.Name == k.c.Service }) {
		k.fail("check the Service's selector against the pods' labels "+pairs(d.Spec.Template.Labels), "Service %s does not select the pods of Deployment %s", k.c.Service, d.Name)
	}
	k.ports(d, stable)
	return nil
}

func (k *checking) ports(d *appsv1.Deployment, svcs []corev1.Service) {
	for _, s := range svcs {
		for _, port := range s.Spec.Ports {
			k.port(d, s, port)
		}
	}
}

// port checks that some container listens where a Service sends.
func (k *checking) port(d *appsv1.Deployment, s corev1.Service, port corev1.ServicePort) {
	var declared []string
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, cp := range c.Ports {
			if cp.Name != "" && cp.Name == port.TargetPort.StrVal {
				return
			}
			if n := port.TargetPort.IntVal; port.TargetPort.StrVal == "" && (n == cp.ContainerPort || n == 0 && port.Port == cp.ContainerPort) {
				return
			}
			declared = append(declared, strings.TrimSpace(fmt.Sprintf("%d %s", cp.ContainerPort, cp.Name)))
		}
	}
	hint := "the pods declare " + strings.Join(declared, ", ")
	switch {
	case port.TargetPort.StrVal != "":
		k.fail(hint, "port %d of Service %s goes to the container port %q, which no container of Deployment %s has", port.Port, s.Name, port.TargetPort.StrVal, d.Name)
	case len(declared) > 0:
		k.warn(hint, "port %d of Service %s goes to port %s, which no container of Deployment %s declares", port.Port, s.Name, port.TargetPort.String(), d.Name)
	}
}

// leftovers looks for objects that have the canary's names.
func (k *checking) leftovers(ctx context.Context, t stages.Track) error {
	for _, gvr := range []mapped{{gvr: deployments()}, {gvr: services()}} {
		u, err := k.p.getOurs(ctx, gvr, k.ns, trackName(t))
		if foreign, ok := errors.AsType[*NotOursError](err); ok {
			k.fail(foreign.Hint(), "%s", foreign)
			continue
		}
		if err != nil {
			return err
		}
		if run := k.c.Release.Run.ID; u != nil && u.GetDeletionTimestamp() == nil && u.GetAnnotations()[RunAnnotation] != run {
			k.warn("headgate rollback or headgate recover of that run takes it away; otherwise this run replaces it",
				"%s is left over from run %s", describe(gvr.gvr, k.ns, u.GetName()), u.GetAnnotations()[RunAnnotation])
		}
	}
	return nil
}
