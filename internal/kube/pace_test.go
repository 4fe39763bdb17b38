package kube_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
)

const surgeKept = "headgate.dev/max-surge"

// pace returns the maxSurge of stable and what is remembered of the user's.
func pace(s *kubetest.Server) (surge any, kept string) {
	u := s.Get("deployments", "shop", "user")
	surge, _, _ = unstructured.NestedFieldNoCopy(u.Object, "spec", "strategy", "rollingUpdate", "maxSurge")
	return surge, u.GetAnnotations()[surgeKept]
}

// pacing is a stable of 8 pods whose strategy says so many more, with a canary.
func pacing(t *testing.T, change func(u *unstructured.Unstructured), others string) (*kubetest.Server, *kube.Platform) {
	t.Helper()
	us := objects(t, "user")
	_ = unstructured.SetNestedField(us[0].Object, int64(8), "spec", "replicas")
	_ = unstructured.SetNestedField(us[0].Object, map[string]any{"maxSurge": int64(2), "maxUnavailable": int64(0)}, "spec", "strategy", "rollingUpdate")
	if change != nil {
		change(us[0])
	}
	if others != "" {
		us = append(us, kubetest.Objects(t, others)...)
	}
	s, c := kubetest.New(t, us...)
	p := c.Platform(kube.Settings{})
	if err := p.SetTrack(t.Context(), canary, release("2"), 8); err != nil {
		t.Fatal(err)
	}
	return s, p
}

func TestPromotionStartsAllPodsAtOnceAndPutsTheStrategyBack(t *testing.T) {
	s, p := pacing(t, nil, "")
	for range 2 { // Whoever goes on for a run that died makes it again.
		if err := p.SetTrack(t.Context(), stable, release("2"), -1); err != nil {
			t.Fatal(err)
		}
		if surge, kept := pace(s); surge != "100%" || kept != "2" {
			t.Fatalf("maxSurge is %v and %q is remembered, want 100%% and 2", surge, kept)
		}
	}
	u := s.Get("deployments", "shop", "user")
	if n, _, _ := unstructured.NestedInt64(u.Object, "spec", "strategy", "rollingUpdate", "maxUnavailable"); n != 0 {
		t.Errorf("maxUnavailable is %d, want the user's 0", n)
	}
	for range 2 {
		if err := p.OwnPace(t.Context(), stable); err != nil {
			t.Fatal(err)
		}
		if surge, kept := pace(s); surge != int64(2) || kept != "" {
			t.Fatalf("maxSurge is %v and %q is remembered, want 2 and nothing", surge, kept)
		}
	}
}

func TestPromotionKeepsTheStrategyWhereMorePodsMightDoHarm(t *testing.T) {
	set := func(v any, path ...string) func(u *unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, v, path...) }
	}
	quota := func(spec, status string) string {
		return `{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: shop}, spec: ` + spec + `, status: ` + status + `}`
	}
	cases := map[string]struct {
		change func(u *unstructured.Unstructured)
		others string
		shared bool
		fast   bool
	}{
		"nothing in the way":        {fast: true},
		"a quota with room":         {others: quota(`{}`, `{hard: {pods: "30"}, used: {pods: "16"}}`), fast: true},
		"a quota without room":      {others: quota(`{}`, `{hard: {pods: "20"}, used: {pods: "16"}}`)},
		"a quota with a scope":      {others: quota(`{scopes: [NotTerminating]}`, `{}`)},
		"the pods split by numbers": {shared: true},
		"Recreate":                  {change: set(map[string]any{"type": "Recreate"}, "spec", "strategy")},
		"never a pod more":          {change: set(int64(0), "spec", "strategy", "rollingUpdate", "maxSurge")},
		"all at once anyway":        {change: set(int64(8), "spec", "strategy", "rollingUpdate", "maxSurge")},
		"a priority":                {change: set("high", "spec", "template", "spec", "priorityClassName")},
		"applied by another": {change: set([]any{map[string]any{
			"manager": "argocd", "operation": "Apply", "fieldsType": "FieldsV1",
			"fieldsV1": map[string]any{"f:spec": map[string]any{"f:strategy": map[string]any{}}},
		}}, "metadata", "managedFields")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, p := pacing(t, c.change, c.others)
			was, _ := pace(s)
			r := release("2")
			r.Shared = c.shared
			if err := p.SetTrack(t.Context(), stable, r, -1); err != nil {
				t.Fatal(err)
			}
			surge, kept := pace(s)
			if fast := kept != ""; fast != c.fast {
				t.Errorf("maxSurge became %v from %v and %q is remembered", surge, was, kept)
			}
			if !c.fast && surge != was {
				t.Errorf("maxSurge became %v from %v", surge, was)
			}
		})
	}
}

func TestUpdateWithoutCanaryEndsAnUnfinishedPace(t *testing.T) {
	s, p := pacing(t, nil, "")
	if err := p.SetTrack(t.Context(), stable, release("2"), -1); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
		t.Fatal(err)
	}
	if err := p.SetTrack(t.Context(), stable, release("3"), -1); err != nil {
		t.Fatal(err)
	}
	if surge, kept := pace(s); surge != int64(2) || kept != "" {
		t.Errorf("maxSurge is %v and %q is remembered, want 2 and nothing", surge, kept)
	}
}

func TestStrategyThatSomebodySetMeanwhileStays(t *testing.T) {
	s, p := pacing(t, nil, "")
	if err := p.SetTrack(t.Context(), stable, release("2"), -1); err != nil {
		t.Fatal(err)
	}
	s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(3), "spec", "strategy", "rollingUpdate", "maxSurge")
	})
	if err := p.OwnPace(t.Context(), stable); err != nil {
		t.Fatal(err)
	}
	if surge, kept := pace(s); surge != int64(3) || kept != "" {
		t.Errorf("maxSurge is %v and %q is remembered, want 3 and nothing", surge, kept)
	}
}

func TestStrategyOfTheManifestIsRemembered(t *testing.T) {
	s, p := pacing(t, nil, "")
	r := release("2")
	r.Manifests = manifests(t) // with a Deployment that says nothing of its strategy
	if err := p.SetTrack(t.Context(), stable, r, -1); err != nil {
		t.Fatal(err)
	}
	if surge, kept := pace(s); surge != "100%" || kept != `"25%"` {
		t.Errorf("maxSurge is %v and %s is remembered, want 100%% and the API's default", surge, kept)
	}
}

func TestWorkloadThatIsGoneHasNoPace(t *testing.T) {
	_, c := kubetest.New(t)
	if err := c.Platform(kube.Settings{}).OwnPace(t.Context(), stable); err != nil {
		t.Error(err)
	}
}
