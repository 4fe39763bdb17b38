package kube

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// FuzzMessages: whatever words a cluster says, a problem has a code that is
// listed, advice, and a cause of one bounded line.
func FuzzMessages(f *testing.F) {
	for _, s := range []string{
		`exceeded quota: small, requested: pods=1`, `failed calling webhook "a": EOF`, `couldn't find key a in Secret b/c`,
		`violates PodSecurity "restricted:latest": a`, `failed to resolve reference "r/a:1": r/a:1: not found`, "a\nb\xff",
	} {
		f.Add(s, "ErrImagePull")
		f.Add(s, "CreateContainerConfigError")
		f.Add(s, "RunContainerError")
	}
	base := observed{}
	f.Fuzz(func(t *testing.T, message, reason string) {
		if base.deployment == nil {
			base = readRecorded(t, "testdata/ready/missing-secret/objects.json")
		}
		o := base
		o.pods = []corev1.Pod{*base.pods[0].DeepCopy()}
		o.pods[0].Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
		o.events = nil
		for _, r := range []string{"FailedMount", "FailedCreatePodSandBox", "Killing", "Unhealthy", "Pulling"} {
			o.tell(r, message, 0)
		}
		refused := o
		refused.sets = append(o.sets[:0:0], *o.sets[0].DeepCopy())
		refused.refuse(message)
		for _, o := range []observed{o, refused} {
			for _, q := range o.diagnose(2) {
				if !slices.Contains(Codes(), q.Code) || q.Action == "" || len(q.Cause) > 4000 || strings.ContainsAny(q.Cause, "\r\n") {
					t.Errorf("%+v", q)
				}
			}
		}
	})
}
