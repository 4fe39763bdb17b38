package route

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// Check finds out whether pods could be counted against each other; it changes
// nothing.
func (r *Replicas) Check(ctx context.Context, _ stages.RolloutCheck) ([]pipeline.Finding, error) {
	k := &findings{}
	if ok, err := k.lack(ctx, r.c, r.permissions()); err != nil || !ok {
		return k.found, wrap("check "+r.Name(), err)
	}
	now, err := r.read(ctx)
	if kube.IsNotFound(err) {
		return k.found, nil // A first deployment; there is nothing to split.
	}
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	if w, err := r.weight(now); err != nil {
		k.fail("give the Deployment pods first", "%s: %s", r.Name(), err)
	} else if w != 0 {
		k.fail("an earlier run is not finished: headgate recover puts it right", "%s has %d pods of a new release already", r.Name(), now.n)
	}
	if err := k.behind(ctx, r, now); err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	hpa, err := r.autoscaler(ctx)
	if err != nil {
		return nil, wrap("check "+r.Name(), err)
	}
	if hpa != "" {
		k.fail("split by a route in place of replicas, or take the autoscaler away for the rollout", "HorizontalPodAutoscaler %s changes the number of pods of %s, by which the traffic is split", hpa, r.set.Split.Old.Workload)
	}
	return k.found, nil
}

// behind checks that a Service selects the pods.
func (k *findings) behind(ctx context.Context, r *Replicas, now counts) error {
	name, err := r.service(ctx)
	if err != nil {
		k.fail("name the Service that users reach the workload by: traffic: {replicas: true, service: NAME}", "%s cannot be split: %s", r.Name(), err)
		return nil
	}
	u, err := r.c.Get(ctx, serviceResource(), r.set.Namespace, name)
	if kube.IsNotFound(err) {
		k.fail("check the name", "there is no Service %s in namespace %s", name, r.set.Namespace)
		return nil
	}
	if err != nil {
		return err
	}
	d, err := now.stableOf()
	if err != nil {
		return err
	}
	selector, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector")
	if !selected(selector, d) {
		k.fail("name the Service that users reach the workload by", "Service %s does not select the pods of %s", name, r.set.Split.Old.Workload)
	}
	if a, _, _ := unstructured.NestedString(u.Object, "spec", "sessionAffinity"); a == "ClientIP" {
		k.warn("the ratio of users may be another than that of pods", "Service %s keeps each client on one pod (sessionAffinity)", name)
	}
	k.warn("use a route where shares must be exact", "kept connections stay on the pods that they are on; the ratio of pods is that of new connections")
	return nil
}

// autoscaler is the name of one that scales the workload, "" if there is none.
func (r *Replicas) autoscaler(ctx context.Context) (string, error) {
	l, err := r.c.List(ctx, schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}, r.set.Namespace, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range l.Items {
		u := &l.Items[i]
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
		if kind == "Deployment" && name == r.set.Split.Old.Workload.Name {
			return u.GetName(), nil
		}
	}
	return "", nil
}
