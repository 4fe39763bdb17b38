package kube

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headgate-dev/headgate/stages"
)

// tell adds an event about the first pod.
func (o *observed) tell(reason, message string, after time.Duration) {
	o.events = append(o.events, corev1.Event{
		InvolvedObject: corev1.ObjectReference{UID: o.pods[0].UID}, Reason: reason, Message: message,
		LastTimestamp: metav1.NewTime(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(after)),
	})
}

// refuse makes the ReplicaSet say why it cannot make pods.
func (o *observed) refuse(message string) {
	o.sets[0].Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: message}}
}

func setCondition(p *corev1.Pod, t corev1.PodConditionType, s corev1.ConditionStatus) {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			p.Status.Conditions[i].Status = s
			return
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: t, Status: s})
}

// settle makes the first pod ready, as Kubernetes would show it.
func (o *observed) settle() {
	p := &o.pods[0]
	for _, t := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		setCondition(p, t, corev1.ConditionTrue)
	}
	for i := range p.Status.ContainerStatuses {
		p.Status.ContainerStatuses[i].Ready = true
	}
}

// TestRules has what cannot be brought about on a cluster at will, as changes
// of what was recorded on one.
func TestRules(t *testing.T) {
	never := func(d time.Duration) bool { return d == Patient }
	soon := func(d time.Duration) bool { return d > 0 && d < 5*time.Minute }
	atOnce := func(d time.Duration) bool { return d == 0 }
	waiting := func(o *observed, reason, message string) {
		cs := &o.pods[0].Status.ContainerStatuses[0]
		cs.State, cs.LastTerminationState = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}, corev1.ContainerState{}
	}
	cases := []struct {
		name, from string
		change     func(o *observed)
		code, says string // "" for no problem
		grace      func(time.Duration) bool
	}{
		{"a node is on its way", "no-node", func(o *observed) { o.tell("TriggeredScaleUp", "pod triggered scale-up: [{pool 1->2 (max: 5)}]", 0) }, Unschedulable, "Insufficient cpu", never},
		{"a node is on its way, says Karpenter", "no-node", func(o *observed) { o.tell("Nominated", "Pod should schedule on: nodeclaim/a", 0) }, Unschedulable, "nodeclaim/a", never},
		{"no node is on its way", "no-node", func(o *observed) { o.tell("NotTriggerScaleUp", "max node group size reached", 0) }, Unschedulable, "max node group size reached", soon},
		{"scheduling gates", "no-node", func(o *observed) {
			for i := range o.pods[0].Status.Conditions {
				o.pods[0].Status.Conditions[i].Reason = corev1.PodReasonSchedulingGated
			}
		}, Unschedulable, "", never},
		{"a cache that is not filled yet", "missing-secret", func(o *observed) {
			waiting(o, "CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition")
		}, ConfigError, "failed to sync", soon},
		{"trouble of the node, with exit code 128", "crash", func(o *observed) {
			o.pods[0].Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "failed to create shim task: context deadline exceeded"}}
		}, StartError, "context deadline exceeded", soon},
		{"a hook after the start", "crash", func(o *observed) { waiting(o, "PostStartHookError", "Exec lifecycle hook ([/warm]) failed") }, StartError, "/warm", soon},
		{"no memory to start with", "crash", func(o *observed) {
			waiting(o, "RunContainerError", "failed to create containerd task: OCI runtime create failed: container init was OOM-killed (memory limit too low?)")
		}, OutOfMemory, "OOM-killed", atOnce},
		{"the image of a container between two tries, on an old kubelet", "no-registry", func(o *observed) {
			waiting(o, "ImagePullBackOff", `Back-off pulling image "r/a:1"`)
			o.events = nil
			o.tell("Failed", `Failed to pull image "r/a:1": rpc error: code = NotFound desc = failed to pull and unpack image "r/a:1": failed to resolve reference "r/a:1": manifest unknown`, 0)
		}, ImagePull, "manifest unknown", atOnce},
		{"an image that is being pulled", "missing-secret", func(o *observed) {
			waiting(o, "ContainerCreating", "")
			o.events = nil
			o.tell("Pulling", `Pulling image "r/a:1"`, 0)
		}, Pulling, "r/a:1", never},
		{"an image that was pulled", "missing-secret", func(o *observed) {
			waiting(o, "ContainerCreating", "")
			o.events = nil
			o.tell("Pulling", `Pulling image "r/a:1"`, 0)
			o.tell("Pulled", `Successfully pulled image "r/a:1"`, time.Second)
		}, "", "", nil},
		{"a volume that was mounted in the end", "missing-volume", func(o *observed) { setCondition(&o.pods[0], corev1.PodReadyToStartContainers, corev1.ConditionTrue) }, "", "", nil},
		{"a volume that was mounted in the end, before Kubernetes 1.29", "missing-volume", func(o *observed) {
			o.pods[0].Status.Conditions = o.pods[0].Status.Conditions[:0]
			o.tell("Pulled", "Container image is already present", 0)
		}, "", "", nil},
		{"a key that a volume's Secret lacks", "missing-volume", func(o *observed) {
			o.events = nil
			o.tell("FailedMount", `MountVolume.SetUp failed for volume "v" : references non-existent secret key: token`, 0)
		}, VolumeError, "token", soon},
		{"a node that does not answer", "never-ready", func(o *observed) { o.tell("NodeNotReady", "Node is not ready", 0) }, NodeNotReady, "does not answer", never},
		{"a node that answers again", "never-ready", func(o *observed) {
			o.tell("NodeNotReady", "Node is not ready", 0)
			o.tell("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", time.Minute)
		}, NotPassing, "503", never},
		{"a container that a node lost", "crash", func(o *observed) {
			o.pods[0].Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}}
		}, NodeNotReady, "exit code 137", never},
		{"a pod that was preempted", "never-ready", func(o *observed) {
			o.pods[0].Status.Phase, o.pods[0].Status.Reason, o.pods[0].Status.Message = corev1.PodFailed, "Preempting", "Preempted in order to admit critical pod"
		}, Evicted, "critical pod", never},
		{"a webhook that refuses", "quota", func(o *observed) {
			o.refuse(`admission webhook "policy.example.com" denied the request: no image without signature`)
		}, Webhook, "no image without signature", soon},
		{"a policy that refuses", "quota", func(o *observed) {
			o.refuse(`pods "a" is forbidden: ValidatingAdmissionPolicy 'signed' with binding 'all' denied request: no signature`)
		}, Refused, "no signature", soon},
		{"a quota that counts what the pods do not say", "quota", func(o *observed) {
			o.refuse(`pods "a" is forbidden: failed quota: small: must specify limits.cpu for: user`)
		}, Quota, "must specify", soon},
		{"not even a ReplicaSet", "quota", func(o *observed) {
			o.sets = nil
			o.deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ReplicaSetCreateError", Message: `replicasets.apps "a" is forbidden: exceeded quota: sets`}}
		}, Quota, "exceeded quota: sets", soon},
		{"a sidecar whose probe does not pass yet", "sidecar-fails", func(o *observed) {
			no := false
			cs := &o.pods[0].Status.InitContainerStatuses[0]
			cs.State, cs.LastTerminationState, cs.RestartCount, cs.Started = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, corev1.ContainerState{}, 0, &no
		}, NotPassing, "sidecar proxy", never},
		{"a pod that is on its way out", "crash", func(o *observed) { o.pods[0].DeletionTimestamp = &metav1.Time{} }, "", "", nil},
		{"a crash after a kill that was long ago", "startup-probe", func(o *observed) {
			t := o.pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated
			t.FinishedAt, t.ExitCode = metav1.NewTime(t.FinishedAt.Add(5*time.Minute)), 2
		}, CrashLoop, "exit code 2", atOnce},
		{"endpoints that are slow", "never-ready", func(o *observed) { o.settle() }, NoRoute, "0 of 1 pods in the endpoints of Service user-canary", never},
		{"no endpoints at all", "never-ready", func(o *observed) { o.settle(); o.slices = nil }, NoRoute, "Service user-canary has no endpoints yet", never},
		{"endpoints that are there", "never-ready", func(o *observed) {
			o.settle()
			yes := true
			o.slices[0].Endpoints = []discoveryv1.Endpoint{{TargetRef: &corev1.ObjectReference{UID: o.pods[0].UID}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}}
		}, "", "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := readRecorded(t, "testdata/ready/"+c.from+"/objects.json")
			c.change(&o)
			ps := o.diagnose(2)
			if c.code == "" {
				if len(ps) > 0 {
					t.Errorf("got %+v, want no problem", ps)
				}
				return
			}
			if len(ps) == 0 || ps[0].Code != c.code || !strings.Contains(ps[0].Cause, c.says) || !c.grace(ps[0].Grace) || ps[0].Action == "" {
				t.Errorf("got %+v, want code %s and %q", ps, c.code, c.says)
			}
		})
	}
}

func TestPodsThatNodesEndedDoNotCount(t *testing.T) {
	o := readRecorded(t, "testdata/ready/never-ready/objects.json")
	o.settle()
	o.services = nil
	gone := *o.pods[0].DeepCopy()
	gone.Name, gone.UID, gone.Status.Phase, gone.Status.Reason = "gone", "gone", corev1.PodFailed, "Evicted"
	o.pods = append(o.pods, gone)
	if pr := o.readiness(1); !pr.ready {
		t.Errorf("with an evicted pod beside the ready one: %s, want ready", pr.line)
	}
	o.pods = o.pods[1:]
	if pr := o.readiness(1); pr.ready {
		t.Error("an evicted pod counts as ready")
	}
	for range 3 { // It is their own doing, and the next one will do it, too.
		gone.UID += "x"
		gone.Status.Message = `Container user exceeded its local ephemeral storage limit "1". `
		o.pods = append(o.pods, gone)
	}
	if ps := o.diagnose(2); len(ps) != 1 || ps[0].Code != Evicted || ps[0].Grace != 0 {
		t.Errorf("got %+v, want a fatal eviction", ps)
	}
}

func TestUnprobedContainerMustOutliveItsLastEnd(t *testing.T) {
	for running, ready := range map[time.Duration]bool{0: false, unprobed - 1: false, unprobed: false, 5 * time.Second: false, time.Minute: true} {
		o := readRecorded(t, "testdata/ready/ends-after-ready/objects.json")
		o.settle()
		o.services = nil
		began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		cs := &o.pods[0].Status.ContainerStatuses[0]
		cs.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
		cs.RestartCount = 1
		cs.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			Reason: "OOMKilled", ExitCode: 137, StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(10 * time.Second)),
		}
		o.running = func(corev1.ContainerStatus) time.Duration { return running }
		if pr := o.readiness(1); pr.ready != ready {
			t.Errorf("after %s: ready = %v, want %v", running, pr.ready, ready)
		}
		if ps := o.diagnose(0); ready != (len(ps) == 0) {
			t.Errorf("after %s: %+v", running, ps)
		}
	}
}

func TestProbedContainerThatEndedMustOutliveItsLastEnd(t *testing.T) {
	o := readRecorded(t, "testdata/ready/never-ready/objects.json")
	o.settle()
	o.services = nil
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	o.running = func(corev1.ContainerStatus) time.Duration { return time.Second }
	if pr := o.readiness(1); !pr.ready {
		t.Errorf("with a probe that passes: %s, want ready at once", pr.line)
	}
	o.pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		ExitCode: 1, StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(2 * time.Second)),
	}
	if pr := o.readiness(1); pr.ready {
		t.Error("a second after its second start: ready, want not")
	}
	o.running = func(corev1.ContainerStatus) time.Duration { return 5 * time.Second }
	if pr := o.readiness(1); !pr.ready {
		t.Errorf("longer than the last time: %s, want ready", pr.line)
	}
}

func TestProbesAreNoNewsWithinTheirBudget(t *testing.T) {
	o := readRecorded(t, "testdata/ready/never-ready/objects.json")
	o.pods[0].Spec.Containers[0].ReadinessProbe.FailureThreshold = 30
	o.pods[0].Spec.Containers[0].ReadinessProbe.PeriodSeconds = 2
	if ps := o.diagnose(2); len(ps) != 1 || ps[0].Quiet != 57*time.Second {
		t.Errorf("got %+v, want it quiet for (30+1-3) tries of 2 s and a timeout of 1 s", ps)
	}
}

// TestGraceIsOfOneProblem looks at the clocks: a problem that goes and comes
// back begins anew, and that of another pod has its own.
func TestGraceIsOfOneProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := readRecorded(t, "testdata/ready/no-node/objects.json")
		w := &waiter{p: &Platform{set: Settings{}.withDefaults()}, since: map[string]time.Time{}, events: o.events}
		look := func(after time.Duration, want bool) {
			t.Helper()
			time.Sleep(after)
			if q, fatal := w.diagnose(&o); fatal != want {
				t.Errorf("%+v: fatal = %v, want %v", q, fatal, want)
			}
		}
		look(0, false)
		look(scheduleGrace-1, false)
		o.pods[0].Name, o.pods[0].UID = "another", types.UID("another")
		look(1, false)
		look(scheduleGrace, true)
		o.pods[0].Status.Conditions = nil
		look(0, false)
		o = readRecorded(t, "testdata/ready/no-node/objects.json")
		look(scheduleGrace, false)
		look(scheduleGrace, true)
		w.events = append(w.events, corev1.Event{InvolvedObject: corev1.ObjectReference{UID: o.pods[0].UID}, Reason: "TriggeredScaleUp"})
		look(time.Hour, false)
	})
}

func TestTimeoutEndsWithTheReason(t *testing.T) {
	o := readRecorded(t, "testdata/ready/no-node/objects.json")
	w := &waiter{
		p: &Platform{c: &Cluster{namespace: "shop"}, set: Settings{}.withDefaults()}, since: map[string]time.Time{}, events: o.events,
		track: stages.Track{Workload: stages.Workload{Name: "user"}, Name: stages.Canary}, line: o.readiness(1).line,
	}
	w.diagnose(&o)
	err, ok := errors.AsType[*stages.NotReadyError](w.giveUp(t.Context(), "not ready after 10m0s"))
	if !ok || err.Code != Unschedulable || !strings.HasPrefix(err.Cause, "not ready after 10m0s: 0 of 1 pods ready; no node takes pod ") || !strings.Contains(err.Cause, "Insufficient cpu") {
		t.Errorf("got %s: %s", err.Code, err.Cause)
	}
}
