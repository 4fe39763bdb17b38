package route

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Check finds out whether the Service could be switched; it changes nothing.
func (r *ServiceSwitch) Check(ctx context.Context, c stages.RolloutCheck) ([]pipeline.Finding, error) {
	k := &findings{}
	if ok, err := k.lack(ctx, r.c, r.permissions()); err != nil || !ok {
		return k.found, wrap("check "+r.Name(), err)
	}
	s, err := r.read(ctx)
	if kube.IsNotFound(err) {
		if !makes(c.Release, "Service", r.set.Route) {
			k.fail("check the name; it is the Service that users reach the active colour by", "there is no Service %s in namespace %s", r.set.Route, r.set.Namespace)
		}
		return k.found, nil
	}
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	svc, err := readService(s)
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	if r.set.Split.New.Workload.Namespace != r.set.Split.Old.Workload.Namespace || r.set.Namespace != r.set.Split.Old.Workload.Namespace {
		k.fail("put a route or an nginx in front of the two namespaces", "a Service selects pods of its own namespace only, and %s and %s are in different ones", r.set.Split.Old, r.set.Split.New)
	}
	k.selectable(svc)
	if len(svc.Spec.Selector) > 0 {
		k.selection(r, s)
	}
	for _, d := range []*appsv1.Deployment{s.old, s.next} {
		k.ports(svc, d)
	}
	return k.found, nil
}

func readService(s *switchState) (*corev1.Service, error) {
	var svc corev1.Service
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(s.object.Object, &svc); err != nil {
		return nil, fmt.Errorf("read service %s: %w", s.object.GetName(), err)
	}
	return &svc, nil
}

// selectable checks what kind of Service it is.
func (k *findings) selectable(svc *corev1.Service) {
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		k.fail("name a Service that selects pods", "Service %s is only a name for %s", svc.Name, svc.Spec.ExternalName)
		return
	case len(svc.Spec.Selector) == 0:
		k.fail("name a Service that selects pods", "Service %s has no selector", svc.Name)
		return
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		k.warn("clients that keep addresses of pods go on using them until they ask the cluster's DNS again", "Service %s is headless", svc.Name)
	}
	if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		k.warn("the switch moves them all the same, since the pods that they were kept on are no longer the Service's", "Service %s keeps each client on one pod (sessionAffinity)", svc.Name)
	}
	k.warn("let pods of the old colour close them when they end (a preStop hook or a drain), or switch by a route, which moves kept connections too",
		"connections that clients of Service %s keep open stay with the old pods until these end; a Service moves new connections only", svc.Name)
}

// selection checks which pods are selected, now and afterwards.
func (k *findings) selection(r *ServiceSwitch, s *switchState) {
	w, err := s.weight()
	switch {
	case err != nil:
		k.fail(hint(err), "%s: %s", r.Name(), err)
		return
	case w != 0:
		k.fail("an earlier run is not finished: headgate recover puts it right", "%s selects the pods of %s already", r.Name(), r.set.Split.New)
	}
	if s.next == nil {
		return
	}
	if _, err := s.selecting(s.next, s.old); err != nil {
		k.fail("give the pods of both colours the labels that the Service selects by, with a value of their own for one of them", "%s cannot be switched: %s", r.Name(), err)
	}
}

// ports checks that the pods have the ports that the Service names.
func (k *findings) ports(svc *corev1.Service, d *appsv1.Deployment) {
	if d == nil {
		return
	}
	names := map[string]bool{}
	for _, c := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
		for _, p := range c.Ports {
			names[p.Name] = true
		}
	}
	for _, p := range svc.Spec.Ports {
		if p.TargetPort.Type == intstr.String && !names[p.TargetPort.StrVal] {
			k.fail("name the container's port, or let targetPort be its number", "Service %s sends to port %q, which the pods of deployment %s do not have", svc.Name, p.TargetPort.StrVal, d.Name)
		}
	}
}
