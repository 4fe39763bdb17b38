//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
)

// TestTwoWorkloadsOfOneRouteAreBothPutBack: what one stage has saved of the
// route says nothing about the other's rules.
func TestTwoWorkloadsOfOneRouteAreBothPutBack(t *testing.T) {
	s := newShop(t, 1)
	for _, file := range []string{"service.yaml", "deployment.yaml"} {
		for _, u := range s.read(file) {
			u.SetName("cart")
			cart := map[string]any{"app": "cart"}
			if u.GetKind() == "Service" {
				s.set(u, cart, "spec", "selector")
			} else {
				s.set(u, int64(1), "spec", "replicas")
				s.set(u, cart, "spec", "selector", "matchLabels")
				s.set(u, cart, "spec", "template", "metadata", "labels")
			}
			s.create(u)
		}
	}
	s.await("the cart is ready", time.Minute, func() bool {
		ready, _, _ := unstructured.NestedInt64(s.get("Deployment", "cart").Object, "status", "readyReplicas")
		return ready == 1
	})
	s.edited("HTTPRoute", "user-service", func(u *unstructured.Unstructured) {
		rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
		s.set(u, append(rules, map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/cart"}}},
			"backendRefs": []any{map[string]any{"name": "cart", "port": int64(80)}},
		}), "spec", "rules")
	})
	before := s.spec("HTTPRoute", "user-service")

	path := s.pipelineFile("[{setWeight: 50%}]")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, stage, _ := strings.Cut(strings.Replace(string(b), "      gate: slo\n", "", 1), "stages:\n")
	second := strings.NewReplacer("name: rollout", "name: second", "deployment: user-service", "deployment: cart").Replace(stage)
	path = filepath.Join(s.dir, "two.yaml")
	if err := os.WriteFile(path, []byte(head+"stages:\n"+stage+second+"  - name: no\n    run: {run: exit 1}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(path, "good").Want(pipeline.FailedRolledBack)
	if after := s.spec("HTTPRoute", "user-service"); after != before {
		t.Errorf("the route is\n%s\nwant\n%s", after, before)
	}
	s.isOld()
}

// TestCanaryThatLosesItsPodsIsPutBackInTheMiddleOfAPause: its share of the
// users gets errors until then, which no metric shows.
func TestCanaryThatLosesItsPodsIsPutBackInTheMiddleOfAPause(t *testing.T) {
	s := newShop(t, 1)
	s.load(load.Config{Rate: 100})
	r := s.run(s.pipelineFile("[{setWeight: 50%}, {pause: 60s}]"), "good")
	r.UntilWeight(50)
	if err := s.client("Deployment").Delete(t.Context(), "user-service-canary", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "none of its pods") {
		t.Errorf("the reason %q does not name the pods", result.Reason)
	}
	if took := r.Undone("route").Sub(began); took > 5*time.Second {
		t.Errorf("traffic was back after %s, want 5s", took)
	}
	// Who deleted the Deployment left its pods to Kubernetes.
	s.await("the pods are gone", 20*time.Second, func() bool { return len(s.leftovers()) == 0 })
	s.isOld()
}

// TestDeploymentChangedMeanwhileIsPutBackBeforeTheCommit: after it there is
// neither a way on nor a way back.
func TestDeploymentChangedMeanwhileIsPutBackBeforeTheCommit(t *testing.T) {
	s := newShop(t, 1)
	users := s.load(load.Config{Rate: 100})
	r := s.run(s.pipelineFile("[{setWeight: 50%}, {pause: 3s}]"), "good")
	r.UntilWeight(50)
	s.edited("Deployment", "user-service", func(u *unstructured.Unstructured) {
		s.set(u, int64(7), "spec", "revisionHistoryLimit") // no new pods: whose requests they lose is not the question here
	})
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "was changed by") {
		t.Errorf("the reason %q does not say that somebody else changed it", result.Reason)
	}
	s.isOld()
	if !strings.Contains(s.spec("Deployment", "user-service"), `"revisionHistoryLimit":7`) {
		t.Error("somebody else's change was overwritten")
	}
	if report := users.Stop(); report.Failed > 0 {
		t.Errorf("users lost requests: %+v", report)
	}
}

// TestNoRoomForThePromotionIsFoundBeforehand: with room for both tracks alone
// the release would carry all traffic and never be finished.
func TestNoRoomForThePromotionIsFoundBeforehand(t *testing.T) {
	s := newShop(t, 2)
	quota := object("v1", "ResourceQuota", s.ns, "small")
	s.set(quota, "4", "spec", "hard", "pods")
	s.create(quota)
	s.await("the quota counts", 20*time.Second, func() bool {
		used, _, _ := unstructured.NestedString(s.get("ResourceQuota", "small").Object, "status", "used", "pods")
		return used == "2"
	})
	result := s.run(s.pipelineFile("[{setWeight: 50%}]"), "good").Want(pipeline.FailedUnchanged)
	if !strings.Contains(result.Reason, "no room for 3 more pods") {
		t.Errorf("the reason is %q", result.Reason)
	}
	s.isOld()
}

// edited changes an object as somebody else would.
func (s *shop) edited(kind, name string, change func(u *unstructured.Unstructured)) {
	s.t.Helper()
	for range 10 {
		u := s.get(kind, name)
		change(u)
		if _, err := s.client(kind).Update(s.t.Context(), u, metav1.UpdateOptions{FieldManager: "kubectl-edit"}); err == nil {
			return
		}
	}
	s.t.Fatalf("%s %s could not be edited", kind, name)
}
