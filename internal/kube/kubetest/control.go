package kubetest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// Fate is what becomes of a pod.
type Fate int

// The fates.
const (
	Fine       Fate = iota // gets ready
	NoImage                // its image is not in the registry
	Crashes                // ends with exit code 1, again and again
	NeverReady             // runs, and its probe does not pass
)

// lag is how long the controllers take to do anything.
const lag = 20 * time.Millisecond

// Objects reads YAML documents.
func Objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var obj map[string]any
		if err := yaml.Unmarshal([]byte(doc), &obj); err != nil {
			t.Fatal(err)
		}
		obj, _ = wholes(obj).(map[string]any)
		out = append(out, &unstructured.Unstructured{Object: obj})
	}
	return out
}

// control runs the controllers until done.
func (s *Server) control(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-s.kick:
		}
		select {
		case <-done:
			return
		case <-time.After(lag):
		}
		s.mu.Lock()
		for _, k := range s.sorted() {
			u := s.objects[k]
			if u == nil {
				continue
			}
			switch res, _, _ := split(k); res {
			case "deployments":
				s.deployment(k, u)
			case "services":
				s.endpoints(u)
			case "httproutes", "grpcroutes":
				s.route(k, u)
			case "replicasets", "pods":
				if refs := u.GetOwnerReferences(); len(refs) > 0 && !s.exists(string(refs[0].UID)) {
					s.drop(k)
				}
			}
		}
		s.mu.Unlock()
	}
}

func (s *Server) exists(uid string) bool {
	for _, u := range s.objects {
		if string(u.GetUID()) == uid {
			return true
		}
	}
	return false
}

func typed[T any](u *unstructured.Unstructured) T {
	var t T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &t); err != nil {
		panic("kubetest: " + err.Error())
	}
	return t
}

func untyped(obj any, apiVersion, kind string) *unstructured.Unstructured {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		panic("kubetest: " + err.Error())
	}
	u := &unstructured.Unstructured{Object: m}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	return u
}

func hash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("kubetest: " + err.Error())
	}
	h := fnv.New32a()
	_, _ = h.Write(b)
	return fmt.Sprintf("%08x", h.Sum32())
}

// deployment does what the Deployment controller, the ReplicaSet controller
// and the kubelet do.
func (s *Server) deployment(k string, u *unstructured.Unstructured) {
	d := typed[appsv1.Deployment](u)
	if d.DeletionTimestamp != nil {
		if left := s.owned(d.Name, ""); len(left) > 0 {
			for _, p := range left {
				s.drop(p)
			}
			return // It goes at the next look.
		}
		s.drop(k)
		return
	}
	h := hash(d.Spec.Template)
	set := key("replicasets", d.Namespace, d.Name+"-"+h)
	if s.objects[set] == nil {
		rs := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Name: d.Name + "-" + h, Namespace: d.Namespace, Labels: d.Spec.Template.Labels,
			Annotations:     map[string]string{"deployment.kubernetes.io/revision": fmt.Sprint(d.Generation)},
			OwnerReferences: []metav1.OwnerReference{{UID: d.UID, Kind: "Deployment", Name: d.Name, APIVersion: "apps/v1"}},
		}, Spec: appsv1.ReplicaSetSpec{Replicas: d.Spec.Replicas, Template: d.Spec.Template}}
		s.store(set, untyped(&rs, "apps/v1", "ReplicaSet"))
	}
	s.retire(d.UID, set)
	owner := s.objects[set]
	fate := Fine
	if s.Fate != nil {
		fate = s.Fate(d.Spec.Template.Spec.Containers[0].Image)
	}
	fresh := s.owned(d.Name, h)
	for i := len(fresh); i < int(*d.Spec.Replicas); i++ {
		p := s.pod(d, h, i, fate)
		p.OwnerReferences = []metav1.OwnerReference{{UID: owner.GetUID(), Kind: "ReplicaSet", Name: owner.GetName(), APIVersion: "apps/v1"}}
		pk := key("pods", p.Namespace, p.Name)
		s.store(pk, untyped(&p, "v1", "Pod"))
		fresh = append(fresh, pk)
	}
	for len(fresh) > int(*d.Spec.Replicas) {
		s.drop(fresh[len(fresh)-1])
		fresh = fresh[:len(fresh)-1]
	}
	ready := int32(0)
	if fate == Fine {
		ready = int32(len(fresh))
		for _, p := range s.owned(d.Name, "") {
			if !strings.Contains(p, d.Name+"-"+h) {
				s.drop(p)
			}
		}
	}
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: int32(len(s.owned(d.Name, ""))),
		UpdatedReplicas: int32(len(fresh)), ReadyReplicas: ready, AvailableReplicas: ready,
	}
	next := untyped(&d, "apps/v1", "Deployment")
	next.SetAnnotations(u.GetAnnotations())
	a := next.GetAnnotations()
	if a == nil {
		a = map[string]string{}
	}
	a["deployment.kubernetes.io/revision"] = owner.GetAnnotations()["deployment.kubernetes.io/revision"]
	next.SetAnnotations(a)
	next.Object["spec"] = u.Object["spec"]
	s.store(k, next)
}

// retire takes the pods from a Deployment's former ReplicaSets.
func (s *Server) retire(uid types.UID, present string) {
	for _, k := range s.sorted() {
		u := s.objects[k]
		if res, _, _ := split(k); res != "replicasets" || k == present || len(u.GetOwnerReferences()) == 0 || u.GetOwnerReferences()[0].UID != uid {
			continue
		}
		u = u.DeepCopy()
		_ = unstructured.SetNestedField(u.Object, int64(0), "spec", "replicas")
		s.store(k, u)
	}
}

// owned returns the keys of a Deployment's pods, of one template or all.
func (s *Server) owned(deployment, template string) []string {
	var out []string
	for _, k := range s.sorted() {
		u := s.objects[k]
		if res, _, _ := split(k); res == "pods" && u.GetAnnotations()["kubetest/of"] == deployment &&
			(template == "" || u.GetAnnotations()["kubetest/template"] == template) {
			out = append(out, k)
		}
	}
	return out
}

// pod makes a pod as it will be in the end.
func (s *Server) pod(d appsv1.Deployment, template string, i int, fate Fate) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("%s-%s-%05d", d.Name, template, i), Namespace: d.Namespace, Labels: d.Spec.Template.Labels,
		Annotations: map[string]string{"kubetest/of": d.Name, "kubetest/template": template},
	}, Spec: d.Spec.Template.Spec}
	c := d.Spec.Template.Spec.Containers[0]
	cs := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: fate == Fine}
	yes := corev1.ConditionFalse
	switch fate {
	case Fine:
		yes, cs.State.Running = corev1.ConditionTrue, &corev1.ContainerStateRunning{}
	case NeverReady:
		cs.State.Running = &corev1.ContainerStateRunning{}
	case NoImage:
		cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: fmt.Sprintf(`rpc error: code = NotFound desc = failed to pull and unpack image "%s": failed to resolve reference "%s": %s: not found`, c.Image, c.Image, c.Image)}
	case Crashes:
		cs.RestartCount = 3
		cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}
		cs.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}
	}
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{cs},
		Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: yes}},
	}
	return p
}

// endpoints does what the EndpointSlice controller does.
func (s *Server) endpoints(u *unstructured.Unstructured) {
	svc := typed[corev1.Service](u)
	slice := discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, ObjectMeta: metav1.ObjectMeta{
		Name: svc.Name + "-x", Namespace: svc.Namespace,
		Labels:          map[string]string{discoveryv1.LabelServiceName: svc.Name},
		OwnerReferences: []metav1.OwnerReference{{UID: svc.UID, Kind: "Service", Name: svc.Name, APIVersion: "v1"}},
	}}
	for _, k := range s.sorted() {
		if res, ns, _ := split(k); res != "pods" || ns != svc.Namespace || len(svc.Spec.Selector) == 0 {
			continue
		}
		p := typed[corev1.Pod](s.objects[k])
		if !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(p.Labels)) {
			continue
		}
		ready := p.Status.ContainerStatuses[0].Ready
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{"10.1.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: p.Name, UID: p.UID},
		})
	}
	s.store(key("endpointslices", svc.Namespace, svc.Name+"-x"), untyped(&slice, "discovery.k8s.io/v1", "EndpointSlice"))
}

// backed is a route of any kind as its controller sees it.
type backed struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		gatewayv1.CommonRouteSpec `json:",inline"`
		Rules                     []struct {
			BackendRefs []gatewayv1.BackendRef `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
	Status gatewayv1.RouteStatus `json:"status"`
}

// route does what the controller of a Gateway does.
func (s *Server) route(k string, u *unstructured.Unstructured) {
	r := typed[backed](u)
	observed := r.Generation
	if s.Quiet {
		observed = 0
	}
	resolved := metav1.Condition{Type: "ResolvedRefs", Status: metav1.ConditionTrue, Reason: "ResolvedRefs", ObservedGeneration: observed}
	for _, rule := range r.Spec.Rules {
		for _, b := range rule.BackendRefs {
			ns := r.Namespace
			if b.Namespace != nil {
				ns = string(*b.Namespace)
			}
			if s.objects[key("services", ns, string(b.Name))] == nil {
				resolved.Status, resolved.Reason, resolved.Message = metav1.ConditionFalse, "BackendNotFound", "Service "+string(b.Name)+" not found"
			}
		}
	}
	r.Status.Parents = nil
	for _, p := range r.Spec.ParentRefs {
		r.Status.Parents = append(r.Status.Parents, gatewayv1.RouteParentStatus{
			ParentRef: p, ControllerName: "example.com/kubetest",
			Conditions: []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", ObservedGeneration: observed}, resolved},
		})
	}
	next := u.DeepCopy()
	next.Object["status"] = untyped(&r, "", "").Object["status"]
	s.store(k, next)
}

// Ready returns how many ready pods of a Deployment run an image.
func (s *Server) Ready(namespace, deployment, image string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.owned(deployment, "") {
		p := typed[corev1.Pod](s.objects[k])
		if p.Namespace == namespace && p.Spec.Containers[0].Image == image && p.Status.ContainerStatuses[0].Ready {
			n++
		}
	}
	return n
}

// Remove removes an object as somebody else would.
func (s *Server) Remove(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key(resource, namespace, name))
}
