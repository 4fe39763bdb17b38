package kube

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headgate-dev/headgate/internal/golden"
)

// recorded is what a real cluster showed of a canary in trouble; the e2e test
// of the reasons writes it with HEADGATE_RECORD=1.
type recorded struct {
	Deployments []appsv1.Deployment         `json:"deployments"`
	ReplicaSets []appsv1.ReplicaSet         `json:"replicaSets"`
	Pods        []corev1.Pod                `json:"pods"`
	Events      []corev1.Event              `json:"events"`
	Slices      []discoveryv1.EndpointSlice `json:"slices"`
}

func readRecorded(t *testing.T, path string) observed {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return observed{workload: "user", deployment: &r.Deployments[0], sets: r.ReplicaSets, pods: r.Pods, slices: r.Slices, events: r.Events, services: []string{"user-canary"}}
}

func TestRecordedTroubleIsNamed(t *testing.T) {
	paths, err := filepath.Glob("testdata/ready/*/objects.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no recordings", err)
	}
	var b strings.Builder
	for _, path := range paths {
		o := readRecorded(t, path)
		pr := o.readiness(1)
		if pr.ready {
			t.Errorf("%s is ready", path)
		}
		fmt.Fprintf(&b, "%s: %s\n", filepath.Base(filepath.Dir(path)), pr.line)
		for _, q := range o.diagnose(2) {
			grace := q.Grace.String()
			if q.Grace == Patient {
				grace = "patient"
			}
			fmt.Fprintf(&b, "  %s (%s): %s\n    %s\n", q.Code, grace, q.Cause, q.Action)
		}
	}
	golden.Equal(t, "ready.txt", []byte(b.String()))
}

func TestRestartsAreAllowed(t *testing.T) {
	o := readRecorded(t, "testdata/ready/crash/objects.json")
	for restarts, fatal := range map[int]bool{0: true, 2: true, 3: false, 9: false} {
		ps := o.diagnose(restarts)
		if len(ps) != 1 || ps[0].Code != CrashLoop || (ps[0].Grace == 0) != fatal {
			t.Errorf("with %d restarts allowed: %+v, want fatal = %v", restarts, ps, fatal)
		}
	}
}

func TestOldPodsAreNotBlamed(t *testing.T) {
	o := readRecorded(t, "testdata/ready/crash/objects.json")
	o.sets[0].Annotations[revisionAnnotation] = "0" // It is the set of an older template.
	if ps := o.diagnose(0); len(ps) != 0 {
		t.Errorf("problems of old pods are reported: %+v", ps)
	}
	o = readRecorded(t, "testdata/ready/crash/objects.json")
	o.deployment.Generation = 9 // Nothing is known of the newest specification.
	if ps := o.diagnose(0); len(ps) != 0 || o.readiness(1).ready {
		t.Errorf("an unseen generation is judged: %+v", ps)
	}
}

func problemOf(cs corev1.ContainerStatus, restarts int) (Problem, bool) {
	return observed{}.containerProblem(container{status: cs, pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}}, restarts)
}

func TestPullMessages(t *testing.T) {
	cases := []struct {
		reason, message string
		fatal           bool
		says            string
	}{
		{"ErrImagePull", `rpc error: code = NotFound desc = failed to pull and unpack image "r/a:1": failed to resolve reference "r/a:1": r/a:1: not found`, true, "pulled: not found"},
		{"ImagePullBackOff", `Back-off pulling image "r/a:1": ErrImagePull: rpc error: code = Unknown desc = failed to pull and unpack image "r/a:1": failed to resolve reference "r/a:1": pull access denied, repository does not exist or may require authorization`, true, "pull access denied"},
		{"ErrImagePull", `failed to resolve reference "r/a:1": unexpected status from HEAD request to https://r/v2/a/manifests/1: 401 Unauthorized`, true, "401 Unauthorized"},
		{"ErrImagePull", `failed to resolve reference "r/a:1": failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden`, true, "403 Forbidden"},
		{"ErrImagePull", `no match for platform in manifest: not found`, true, "no match for platform"},
		{"ErrImagePull", `toomanyrequests: You have reached your pull rate limit. unauthorized`, false, "rate limit"},
		{"ErrImagePull", `failed to do request: Head "https://r/v2": dial tcp: lookup r: no such host`, false, "no such host"},
		{"ErrImagePull", `unexpected status: 503 Service Unavailable`, false, "503"},
		{"ImagePullBackOff", `Back-off pulling image "r/a:1"`, false, ""},
		{"InvalidImageName", `Failed to apply default image tag "r/A:1": couldn't parse image name`, true, "couldn't parse"},
		{"ErrImageNeverPull", `Container image "r/a:1" is not present with pull policy of Never`, true, "not present"},
	}
	for _, c := range cases {
		cs := corev1.ContainerStatus{Name: "a", Image: "r/a:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: c.reason, Message: c.message}}}
		p, ok := problemOf(cs, 2)
		if !ok || p.Code != ImagePull || (p.Grace == 0) != c.fatal || !strings.Contains(p.Cause, c.says) || p.Action == "" {
			t.Errorf("%s: got %+v, want fatal = %v and %q", c.message, p, c.fatal, c.says)
		}
	}
}

func TestImageNamedNotFoundIsNotFatalByItsName(t *testing.T) {
	cs := corev1.ContainerStatus{Name: "a", Image: "r/denied:not-found", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "r/denied:not-found: context deadline exceeded"}}}
	if p, _ := problemOf(cs, 2); p.Grace == 0 {
		t.Errorf("got %+v, want one that may pass", p)
	}
}

func TestNodeTroubleMayPass(t *testing.T) {
	for message, fatal := range map[string]bool{
		`failed to create containerd task: exec: "/x": stat /x: no such file or directory`: true,
		`failed to create shim task: context deadline exceeded`:                            false,
		`failed to reserve container name`:                                                 false,
	} {
		cs := corev1.ContainerStatus{Name: "a", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: message}}}
		p, ok := problemOf(cs, 2)
		if !ok || p.Code != StartError || (p.Grace == 0) != fatal {
			t.Errorf("%s: got %+v, want fatal = %v", message, p, fatal)
		}
	}
}

func TestFinishedInitContainerIsNoProblem(t *testing.T) {
	cs := corev1.ContainerStatus{Name: "a", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}}
	if p, ok := (observed{}).containerProblem(container{status: cs, init: true}, 0); ok {
		t.Errorf("got %+v", p)
	}
}

func TestEndpointsDecide(t *testing.T) {
	yes, no := true, false
	base := func() observed {
		o := readRecorded(t, "testdata/ready/never-ready/objects.json")
		o.pods[0].Status.Conditions = append(o.pods[0].Status.Conditions[:0:0], corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		return o
	}
	pod := base().pods[0]
	endpoint := func(uid string, ready *bool) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{UID: pod.UID}, Conditions: discoveryv1.EndpointConditions{Ready: ready}}
		if uid != "" {
			e.TargetRef = &corev1.ObjectReference{UID: "other"}
		}
		return e
	}
	cases := []struct {
		name   string
		change func(o *observed)
		ready  bool
	}{
		{"as many as wanted", func(o *observed) { o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes)} }, true},
		{"not ready", func(o *observed) { o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &no)} }, false},
		{"not said", func(o *observed) { o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", nil)} }, false},
		{"somebody else's pod", func(o *observed) { o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("x", &yes)} }, false},
		{"no slice", func(o *observed) { o.slices = nil }, false},
		{"another Service's slice", func(o *observed) {
			o.slices[0].Labels[discoveryv1.LabelServiceName] = "other"
			o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes)}
		}, false},
		{"no Service at all", func(o *observed) { o.services, o.slices = nil, nil }, true},
		{"generation not seen", func(o *observed) {
			o.deployment.Generation++
			o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes)}
		}, false},
		{"an old pod is still running", func(o *observed) {
			older(o, "old")
			o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes)}
		}, false},
		{"an old pod is on its way out", func(o *observed) {
			older(o, "old").DeletionTimestamp = &metav1.Time{}
			o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes)}
		}, true},
		{"an old pod is on its way out and in the endpoints", func(o *observed) {
			older(o, "other").DeletionTimestamp = &metav1.Time{}
			o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes), endpoint("x", &yes)}
		}, false},
		{"not available for long enough", func(o *observed) {
			o.deployment.Spec.MinReadySeconds = 5
			o.slices[0].Endpoints = []discoveryv1.Endpoint{endpoint("", &yes)}
		}, false},
	}
	for _, c := range cases {
		o := base()
		c.change(&o)
		if pr := o.readiness(1); pr.ready != c.ready {
			t.Errorf("%s: ready = %v (%s), want %v", c.name, pr.ready, pr.line, c.ready)
		}
	}
}

// older gives the Deployment a pod of an earlier template.
func older(o *observed, uid types.UID) *corev1.Pod {
	set := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: "set of before", OwnerReferences: []metav1.OwnerReference{{UID: o.deployment.UID}}}}
	o.sets = append(o.sets, set)
	o.pods = append(o.pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid, OwnerReferences: []metav1.OwnerReference{{UID: set.UID}}}})
	return &o.pods[len(o.pods)-1]
}

func TestProbeBudget(t *testing.T) {
	spec := corev1.PodSpec{Containers: []corev1.Container{{
		StartupProbe:   &corev1.Probe{FailureThreshold: 30, PeriodSeconds: 10},
		ReadinessProbe: &corev1.Probe{InitialDelaySeconds: 5},
	}}}
	if got, want := probeBudget(spec), 317*time.Second; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
