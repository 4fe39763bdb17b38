//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
)

// The tests of this file disturb a release that is good by itself, as people,
// controllers and clusters do, or let it die at the worst moment.

const halfWay = "[{setWeight: 50%}, {pause: 4s}]"

// TestNewPodsThatDieRightAfterTheSwitch: no metric shows it, for who does not
// answer does not count, and the way back must not depend on them.
func TestNewPodsThatDieRightAfterTheSwitch(t *testing.T) {
	var w way
	for _, each := range ways() {
		if each.name == "blueGreen by Service" {
			w = each
		}
	}
	s := openShop(t)
	w.place(s, "old")
	s.crowd(w)
	w.stage = strings.Replace(w.stage, "bake: 3s", "bake: 20s", 1) // probes take 3 s to notice
	r := s.run(s.wayFile(w), "dies")
	smallest := make(chan int64, 1)
	shown := make(chan time.Time, 1)
	stop := make(chan struct{})
	go func() {
		least, found := int64(1<<30), false
		for {
			select {
			case <-stop:
				smallest <- least
				return
			case <-time.After(50 * time.Millisecond):
			}
			least = min(least, s.wanted("user-service-blue"))
			if !found && s.switched() && s.readyPods("version=green") == 0 {
				shown <- time.Now()
				found = true
			}
		}
	}()
	result := r.Want(pipeline.FailedRolledBack)
	close(stop)
	if !strings.Contains(result.Reason, "none of its pods") {
		t.Errorf("the reason %q does not name the pods", result.Reason)
	}
	select {
	case at := <-shown:
		back := r.Undone("route").Sub(at)
		t.Logf("traffic was back %s after the last new pod was seen not to be ready", back)
		if back > 2*time.Second {
			t.Errorf("traffic was back after %s, want 2s", back)
		}
	default:
		t.Error("the new pods were never seen to die")
	}
	if n := <-smallest; n != 3 {
		t.Errorf("the old colour was made as small as %d pods", n)
	}
}

// wanted is how many pods a Deployment shall have, many where that is unknown.
func (s *shop) wanted(name string) int64 {
	u, err := s.client("Deployment").Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return 1 << 30
	}
	n, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
	return n
}

// switched is whether the Service selects green.
func (s *shop) switched() bool {
	u, err := s.client("Service").Get(s.t.Context(), "user-service", metav1.GetOptions{})
	if err != nil {
		return false
	}
	version, _, _ := unstructured.NestedString(u.Object, "spec", "selector", "version")
	return version == "green"
}

// readyPods counts those with labels that are ready, -1 where that is unknown.
func (s *shop) readyPods(labels string) int {
	list, err := s.client("Pod").List(s.t.Context(), metav1.ListOptions{LabelSelector: labels})
	if err != nil {
		return -1
	}
	ready := 0
	for i := range list.Items {
		conditions, _, _ := unstructured.NestedSlice(list.Items[i].Object, "status", "conditions")
		for _, c := range conditions {
			if c := c.(map[string]any); c["type"] == "Ready" && c["status"] == "True" {
				ready++
			}
		}
	}
	return ready
}

// TestPodsDeletedMeanwhileComeBack: one of each track is nothing to stop for.
func TestPodsDeletedMeanwhileComeBack(t *testing.T) {
	s := newShop(t, 3)
	s.load(load.Config{Rate: 50})
	r := s.run(s.pipelineFile(halfWay), "good")
	r.UntilWeight(50)
	for _, labels := range []string{"app=user-service", "app=user-service-canary"} {
		list, err := s.client("Pod").List(t.Context(), metav1.ListOptions{LabelSelector: labels})
		if err != nil || len(list.Items) == 0 {
			t.Fatalf("list pods %s: %v", labels, err)
		}
		if err := s.client("Pod").Delete(t.Context(), list.Items[0].GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.Want(pipeline.Delivered)
	s.is("good")
}

// TestStableScaledMeanwhileIsFollowed: what an autoscaler gives stable, the
// canary gets before it carries everything, and the minimum is put back.
func TestStableScaledMeanwhileIsFollowed(t *testing.T) {
	s := newShop(t, 2)
	s.load(load.Config{Rate: 50})
	hpa := object("autoscaling/v2", "HorizontalPodAutoscaler", s.ns, "user-service")
	for path, v := range map[string]any{
		"scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "user-service"},
		"minReplicas":    int64(1), "maxReplicas": int64(6),
		"metrics": []any{map[string]any{"type": "Resource", "resource": map[string]any{
			"name": "cpu", "target": map[string]any{"type": "Utilization", "averageUtilization": int64(80)},
		}}},
	} {
		s.set(hpa, v, "spec", path)
	}
	s.create(hpa)
	r := s.run(s.pipelineFile(halfWay), "good")
	r.UntilWeight(50)
	if n := s.minimum(); n != 2 {
		t.Errorf("the minimum is %d meanwhile, want the 2 pods that there were", n)
	}
	s.edited("Deployment", "user-service", func(u *unstructured.Unstructured) { s.set(u, int64(4), "spec", "replicas") })
	r.UntilWeight(100)
	if n := s.wanted("user-service-canary"); n < 4 {
		t.Errorf("the canary carries everything with %d pods, stable had 4", n)
	}
	r.Want(pipeline.Delivered)
	if n := s.minimum(); n != 1 {
		t.Errorf("the minimum is %d afterwards, want 1 as before", n)
	}
	if n := s.wanted("user-service"); n < 4 {
		t.Errorf("stable has %d pods afterwards, want at least 4", n)
	}
	s.is("good")
}

func (s *shop) minimum() int64 {
	s.t.Helper()
	n, _, _ := unstructured.NestedInt64(s.get("HorizontalPodAutoscaler", "user-service").Object, "spec", "minReplicas")
	return n
}

// TestRestartMeanwhileIsSomebodyElses as with kubectl rollout restart.
func TestRestartMeanwhileIsSomebodyElses(t *testing.T) {
	s := newShop(t, 2)
	s.load(load.Config{Rate: 50})
	r := s.run(s.pipelineFile(halfWay), "good")
	r.UntilWeight(50)
	s.edited("Deployment", "user-service", func(u *unstructured.Unstructured) {
		s.set(u, time.Now().Format(time.RFC3339), "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
	})
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "was changed by") {
		t.Errorf("the reason %q does not name who did it", result.Reason)
	}
	s.isOld()
}

// TestRouteEditedMeanwhileIsSomebodyElses as with kubectl edit.
func TestRouteEditedMeanwhileIsSomebodyElses(t *testing.T) {
	s := newShop(t, 2)
	s.load(load.Config{Rate: 50})
	r := s.run(s.pipelineFile(halfWay), "good")
	r.UntilWeight(50)
	s.edited("HTTPRoute", "user-service", func(u *unstructured.Unstructured) {
		rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
		for _, ref := range rules[0].(map[string]any)["backendRefs"].([]any) {
			ref.(map[string]any)["weight"] = int64(7)
			if strings.HasSuffix(ref.(map[string]any)["name"].(string), "-canary") {
				ref.(map[string]any)["weight"] = int64(3)
			}
		}
		s.set(u, rules, "spec", "rules")
	})
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "was changed by") {
		t.Errorf("the reason %q does not name who did it", result.Reason)
	}
	s.isOld()
}

// TestQuotaThatFillsUpMeanwhile: the pods of the next step find no room.
func TestQuotaThatFillsUpMeanwhile(t *testing.T) {
	s := newShop(t, 2)
	s.load(load.Config{Rate: 50})
	r := s.run(s.pipelineFile(halfWay), "good")
	r.UntilWeight(50)
	quota := object("v1", "ResourceQuota", s.ns, "small")
	s.set(quota, "3", "spec", "hard", "pods")
	s.create(quota)
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "quota") {
		t.Errorf("the reason %q does not say quota", result.Reason)
	}
	s.isOld()
}

// TestNetworkPolicyForStableAloneIsFoundBeforehand: the canary's pods have
// another label value.
func TestNetworkPolicyForStableAloneIsFoundBeforehand(t *testing.T) {
	s := newShop(t, 1)
	policy := object("networking.k8s.io/v1", "NetworkPolicy", s.ns, "only-shop")
	s.set(policy, map[string]any{"app": "user-service"}, "spec", "podSelector", "matchLabels")
	s.set(policy, []any{map[string]any{}}, "spec", "ingress")
	s.create(policy)
	deny := object("networking.k8s.io/v1", "NetworkPolicy", s.ns, "deny-all")
	s.set(deny, map[string]any{}, "spec", "podSelector")
	s.set(deny, []any{"Ingress"}, "spec", "policyTypes")
	s.create(deny)
	r := s.run(s.pipelineFile(halfWay), "good")
	result := r.Want(pipeline.FailedUnchanged)
	if !strings.Contains(result.Reason+r.Errors(), "NetworkPolicy") {
		t.Errorf("the reason %q names no NetworkPolicy", result.Reason)
	}
	s.isOld()
}

// TestPodsThatAreSlowToServeGetNoRequestBefore: an endpoint that takes its
// time costs time and nothing else.
func TestPodsThatAreSlowToServeGetNoRequestBefore(t *testing.T) {
	s := openShop(t)
	s.rewrite("deployment.yaml", "periodSeconds: 1\n", "periodSeconds: 1\n            initialDelaySeconds: 6\n")
	for _, file := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		for _, u := range s.read(file) {
			s.create(u)
		}
	}
	s.readyDeployment("user-service")
	s.await("the route answers", 20*time.Second, func() bool { return s.send(20).Failed == 0 })
	users := s.load(load.Config{Rate: 100, Timeout: 5 * time.Second})
	path := s.edit(s.pipelineFile("[{setWeight: 50%}, {pause: 2s}]"), "slow", "readyTimeout: 15s", "readyTimeout: 60s")
	r := s.run(path, "good")
	r.Want(pipeline.Delivered)
	if report := users.Stop(); report.Failed > 0 {
		t.Errorf("users lost %d of %d requests: %v, the first at %s\n%s", report.Failed, report.Requests, report.Kinds, report.Failures[0].At, r.Story())
	}
	s.is("good")
}
