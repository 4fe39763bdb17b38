package kube_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// scaledWorld has the workload user with an autoscaler.
func scaledWorld(t *testing.T, more ...string) (*kubetest.Server, *kube.Platform) {
	t.Helper()
	us := append(objects(t, "user"), kubetest.Objects(t, strings.ReplaceAll(scalerOf, "NAME", "user"))...)
	for _, text := range more {
		us = append(us, kubetest.Objects(t, text)...)
	}
	s, c := kubetest.New(t, us...)
	return s, c.Platform(kube.Settings{})
}

func specInt(u *unstructured.Unstructured, field string) int64 {
	n, _, _ := unstructured.NestedInt64(u.Object, "spec", field)
	return n
}

func TestCanaryGetsACopyOfTheAutoscaler(t *testing.T) {
	s, p := scaledWorld(t)
	for _, n := range []int{1, 3} {
		if err := p.SetTrack(t.Context(), canary, release("2"), n); err != nil {
			t.Fatal(err)
		}
		u := s.Get("horizontalpodautoscalers", "shop", "user-canary")
		if u == nil {
			t.Fatal("the canary has no autoscaler")
		}
		target, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
		metrics, _, _ := unstructured.NestedSlice(u.Object, "spec", "metrics")
		if specInt(u, "minReplicas") != int64(n) || specInt(u, "maxReplicas") != 5 || target != "user-canary" || len(metrics) != 1 {
			t.Errorf("for %d pods: %v", n, u.Object["spec"])
		}
		if got := specInt(s.Get("deployments", "shop", "user-canary"), "replicas"); got != int64(n) {
			t.Errorf("the canary has %d replicas, want %d", got, n)
		}
	}
	// Its autoscaler found more necessary: a smaller size is only the least.
	s.Edit("deployments", "shop", "user-canary", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(4), "spec", "replicas")
	})
	if err := p.SetTrack(t.Context(), canary, release("2"), 2); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), canary, 2, nil); err != nil {
		t.Error(err)
	}
	if got := specInt(s.Get("deployments", "shop", "user-canary"), "replicas"); got != 4 {
		t.Errorf("the canary was scaled to %d, against its autoscaler", got)
	}
}

// TestDeathLeavesNoAutoscalerBehind ends a run after each of the writes that
// make an autoscaled canary.
func TestDeathLeavesNoAutoscalerBehind(t *testing.T) {
	for stop := range 4 {
		s, p := scaledWorld(t)
		before, n := s.Names(), 0
		s.With(func() {
			s.Denied = func(verb, _ string) bool {
				if verb == "create" || verb == "update" {
					n++
				}
				return n > stop && verb != "get" && verb != "list"
			}
		})
		err := p.SetTrack(t.Context(), canary, release("2"), 1)
		s.With(func() { s.Denied = nil })
		if (err == nil) != (stop == 3) {
			t.Errorf("after %d writes: %v", stop, err)
		}
		if stop == 2 { // Going on makes it.
			if err := p.SetTrack(t.Context(), canary, release("2"), 1); err != nil || s.Get("horizontalpodautoscalers", "shop", "user-canary") == nil {
				t.Errorf("going on: %v, and there are %v", err, s.Names())
			}
		}
		if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
			t.Fatal(err)
		}
		soon(t, s, before)
	}
}

func TestAutoscalerOfSomebodyElseIsLeftAlone(t *testing.T) {
	s, p := scaledWorld(t, strings.NewReplacer("name: NAME,", "name: user-canary,", "NAME", "other").Replace(scalerOf))
	err := p.SetTrack(t.Context(), canary, release("2"), 1)
	if _, ok := errors.AsType[*kube.NotOursError](err); !ok {
		t.Errorf("got %v, want a NotOursError", err)
	}
	if w := s.Writes(); len(w) != 0 {
		t.Errorf("these writes were made: %v", w)
	}
}

func TestSharedCanaryHasNoAutoscaler(t *testing.T) {
	s, p := scaledWorld(t)
	r := release("2")
	r.Shared = true
	if err := p.SetTrack(t.Context(), canary, r, 1); err != nil {
		t.Fatal(err)
	}
	if s.Get("horizontalpodautoscalers", "shop", "user-canary") != nil {
		t.Error("what splits by pods got an autoscaler that changes their number")
	}
}

func TestMinimumOfKEDAIsHeldInItsScaledObject(t *testing.T) {
	s, p := scaledWorld(t, `{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: queue, namespace: shop}, spec: {maxReplicaCount: 8}}`)
	s.Edit("horizontalpodautoscalers", "shop", "user", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue", "uid": "1"}}, "metadata", "ownerReferences")
	})
	a, err := p.Autoscaler(t.Context(), user)
	want := stages.Autoscaler{Kind: "ScaledObject", Workload: user, Namespace: "shop", Name: "queue", Min: 0, Max: 8}
	if err != nil || a != want {
		t.Fatalf("got %+v, %v; want %+v", a, err, want)
	}
	if err := p.SetMinimum(t.Context(), a, 0, 2); err != nil {
		t.Fatal(err)
	}
	if n := specInt(s.Get("scaledobjects", "shop", "queue"), "minReplicaCount"); n != 2 {
		t.Errorf("minReplicaCount is %d, want 2", n)
	}
	if n := specInt(s.Get("horizontalpodautoscalers", "shop", "user"), "minReplicas"); n != 1 {
		t.Errorf("the autoscaler that KEDA made was changed: %d", n)
	}
	if err := p.SetMinimum(t.Context(), a, 2, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.SetTrack(t.Context(), canary, release("2"), 1); err != nil {
		t.Fatal(err)
	}
	if u := s.Get("horizontalpodautoscalers", "shop", "user-canary"); u == nil || len(u.GetOwnerReferences()) != 0 {
		t.Errorf("the canary's autoscaler is %v, want one that KEDA does not own", u)
	}
}
