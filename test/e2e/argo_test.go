//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/headgate-dev/headgate/internal/load"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/test/runner"
	"github.com/headgate-dev/headgate/test/story"
)

// The strategies of the tests. A pause without duration is for the gate.
const (
	argoCanary    = `{"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 33}, {"pause": {}}, {"setWeight": 66}, {"pause": {"duration": "2s"}}, {"pause": {}}]}}`
	argoBlueGreen = `{"blueGreen": {"activeService": "user-service", "autoPromotionEnabled": false, "scaleDownDelaySeconds": 30}}`
)

// argoFile is the pipeline of these tests.
const argoFile = `version: 1
name: user-service
vars: {image: ""}
kubernetes: {namespace: NAMESPACE}
prometheus: {url: "${{ env.HEADGATE_TEST_PROMETHEUS }}"}
GATES
stages:
  - name: rollout
    argoRollout: {rollout: rollout/user-service, image: "${{ vars.image }}", gate: slo, bake: 4s, readyTimeout: 40s}
`

// argoShop is the example with a Rollout in place of its Deployment.
type argoShop struct {
	*shop
	template string // of the Rollout before the release
}

func newArgoShop(t *testing.T, strategy string) *argoShop {
	t.Helper()
	s := &argoShop{shop: openShop(t)}
	if _, err := shared.client.Resource(rolloutsResource()).List(t.Context(), metav1.ListOptions{Limit: 1}); err != nil {
		t.Skipf("the cluster has no Argo Rollouts (go run ./test/cluster part start argorollouts): %v", err)
	}
	for _, file := range []string{"service.yaml", "deployment.yaml", "route.yaml"} {
		for _, u := range s.read(file) {
			if u.GetKind() == "Deployment" {
				s.createRollout(u, strategy)
				continue
			}
			s.create(u)
		}
	}
	s.await("the old version is healthy", time.Minute, func() bool { return s.status("phase") == "Healthy" })
	s.await("the route answers", 20*time.Second, func() bool { return s.send(20).Failed == 0 })
	s.template = s.templateNow()
	return s
}

func rolloutsResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
}

func (s *argoShop) rollouts() dynamic.ResourceInterface {
	return shared.client.Resource(rolloutsResource()).Namespace(s.ns)
}

// createRollout makes a Rollout of a Deployment.
func (s *argoShop) createRollout(u *unstructured.Unstructured, strategy string) {
	s.t.Helper()
	u.SetAPIVersion("argoproj.io/v1alpha1")
	u.SetKind("Rollout")
	var how map[string]any
	if err := json.Unmarshal([]byte(strategy), &how); err != nil {
		s.t.Fatal(err)
	}
	spec := u.Object["spec"].(map[string]any)
	spec["strategy"], spec["replicas"] = how, int64(3)
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	container := containers[0].(map[string]any)
	container["image"] = shared.images["old-graceful"]
	// Argo ends old pods as soon as new ones are there: what they still get is
	// theirs to answer.
	container["lifecycle"] = map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": int64(3)}}}
	s.set(u, containers, "spec", "template", "spec", "containers")
	if _, err := s.rollouts().Create(s.t.Context(), u, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *argoShop) rollout() *unstructured.Unstructured {
	s.t.Helper()
	u, err := s.rollouts().Get(context.WithoutCancel(s.t.Context()), "user-service", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *argoShop) status(field string) string {
	s.t.Helper()
	v, _, _ := unstructured.NestedString(s.rollout().Object, "status", field)
	return v
}

func (s *argoShop) templateNow() string {
	s.t.Helper()
	template, _, _ := unstructured.NestedMap(s.rollout().Object, "spec", "template")
	b, err := json.Marshal(template)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func (s *argoShop) argoPipeline() string {
	s.t.Helper()
	path := filepath.Join(s.dir, "headgate.yaml")
	text := strings.NewReplacer("GATES\n", story.Gates, "NAMESPACE", s.ns).Replace(argoFile)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// wasPutBack checks that specification and cluster are as before.
func (s *argoShop) wasPutBack() {
	s.t.Helper()
	if got := s.templateNow(); got != s.template {
		s.t.Errorf("the template is\n%s\nwant it as it was:\n%s", got, s.template)
	}
	u := s.rollout()
	for _, field := range []string{"abort", "promoteFull"} {
		if v, _, _ := unstructured.NestedBool(u.Object, "status", field); v {
			s.t.Errorf("status.%s is still set", field)
		}
	}
	if s.status("phase") != "Healthy" || s.status("stableRS") != s.status("currentPodHash") {
		s.t.Errorf("phase %s, stable %s, current %s", s.status("phase"), s.status("stableRS"), s.status("currentPodHash"))
	}
}

func strategies() map[string]string {
	return map[string]string{"canary": argoCanary, "blue-green": argoBlueGreen}
}

func TestArgoGoodReleaseIsPromotedByTheGate(t *testing.T) {
	for name, strategy := range strategies() {
		t.Run(name, func(t *testing.T) {
			s := newArgoShop(t, strategy)
			users := s.load(load.Config{Rate: 50, Timeout: 5 * time.Second, NewConnections: true})
			r := s.run(s.argoPipeline(), "good-graceful")
			r.Want(pipeline.Delivered)
			report := users.Stop()
			t.Logf("%d of %d requests failed: %v", report.Failed, report.Requests, report.Kinds)
			if !strings.Contains(s.templateNow(), shared.images["good-graceful"]) {
				t.Errorf("the template is %s", s.templateNow())
			}
			if s.status("phase") != "Healthy" || s.status("stableRS") != s.status("currentPodHash") {
				t.Errorf("phase %s, stable %s, current %s", s.status("phase"), s.status("stableRS"), s.status("currentPodHash"))
			}
			if report.Failed > 0 {
				t.Errorf("%d of %d requests failed: %v", report.Failed, report.Requests, report.Failures)
			}
			weights(t, r)
		})
	}
}

// weights checks that the traffic was told of, up to all of it.
func weights(t *testing.T, r *runner.Run) {
	t.Helper()
	last := -1.0
	for _, e := range r.All() {
		if e.Type == pipeline.TrafficShifted {
			last = *e.Weight
		}
	}
	if last != 100 {
		t.Errorf("the last weight told of is %g, want 100", last)
	}
}

func TestArgoBadReleaseIsAbortedAndTheTemplatePutBack(t *testing.T) {
	for name, strategy := range strategies() {
		t.Run(name, func(t *testing.T) {
			s := newArgoShop(t, strategy)
			s.load(load.Config{Rate: 50, Timeout: 5 * time.Second})
			r := s.run(s.argoPipeline(), "errors")
			result := r.Want(pipeline.FailedRolledBack)
			if !strings.Contains(result.Reason, "gate slo failed") {
				t.Errorf("the reason is %q", result.Reason)
			}
			s.wasPutBack()
		})
	}
}

func TestArgoReleaseThatNeverGetsReadyIsExplained(t *testing.T) {
	s := newArgoShop(t, argoCanary)
	r := s.run(s.argoPipeline(), "crash")
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "exit") {
		t.Errorf("the reason %q does not say how the container ended", result.Reason)
	}
	s.wasPutBack()
}

func TestArgoKilledRunnerIsRecovered(t *testing.T) {
	s := newArgoShop(t, argoCanary)
	s.load(load.Config{Rate: 50, Timeout: 5 * time.Second})
	path := s.argoPipeline()
	r := s.run(path, "good-graceful")
	s.await("the first pause", time.Minute, func() bool { return s.status("phase") == "Paused" })
	_ = r.Process().Signal(syscall.SIGKILL)
	r.Wait()
	s.start("recover", path, "--var", "image="+shared.images["good-graceful"], "--report", "json=-").Want(pipeline.FailedRolledBack)
	s.wasPutBack()
}

func TestArgoAbortBySomebodyElseIsNamed(t *testing.T) {
	s := newArgoShop(t, argoCanary)
	r := s.run(s.argoPipeline(), "good-graceful") // without load the gate holds the pause
	s.await("the first pause", time.Minute, func() bool { return s.status("phase") == "Paused" })
	_, err := s.rollouts().Patch(t.Context(), "user-service", types.MergePatchType, []byte(`{"status":{"abort":true}}`),
		metav1.PatchOptions{FieldManager: "somebody"}, "status")
	if err != nil {
		t.Fatal(err)
	}
	result := r.Want(pipeline.FailedRolledBack)
	if !strings.Contains(result.Reason, "somebody") || !strings.Contains(result.Reason, "aborted") {
		t.Errorf("the reason is %q", result.Reason)
	}
	s.wasPutBack()
}
