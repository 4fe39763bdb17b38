package kube_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

func saveAndSet(t *testing.T, p *kube.Platform, tr stages.Track, r stages.Release) json.RawMessage {
	t.Helper()
	was, err := p.SaveTrack(t.Context(), tr, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetTrack(t.Context(), tr, r, -1); err != nil {
		t.Fatal(err)
	}
	return was
}

// shape is what stands in a Deployment apart from what the fake's controllers
// write.
func shape(s *kubetest.Server, name string) string {
	u := s.Get("deployments", "shop", name)
	a := u.GetAnnotations()
	if delete(a, "deployment.kubernetes.io/revision"); len(a) == 0 {
		a = nil
	}
	b, _ := json.Marshal([]any{u.GetLabels(), a, u.Object["spec"]})
	return string(b)
}

func TestEverythingThatAReleaseChangesIsPutBack(t *testing.T) {
	s, p, r := releaseWorld(t)
	r.Drain = 7
	r.Manifests[0] = json.RawMessage(strings.Replace(string(r.Manifests[0]), `"labels":{"app":"user"}`, `"labels":{"app":"user","owner":"b"},"annotations":{"note":"new"}`, 1))
	if !strings.Contains(string(r.Manifests[0]), `"owner":"b"`) {
		t.Fatalf("the manifest is not as this test thinks: %s", r.Manifests[0])
	}
	before, names := shape(s, "user"), s.Names()
	was := saveAndSet(t, p, stable, r)
	if n, err := p.Drains(t.Context(), user); err != nil || n != 7 {
		t.Errorf("Drains = %d, %v; want 7", n, err)
	}
	if shape(s, "user") == before || data(s, "shared") != "2" {
		t.Fatal("the release changed nothing")
	}
	s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
		u.SetAnnotations(map[string]string{"note": "newer", "else": "kept"}) // By somebody else.
	})
	if err := p.RestoreTrack(t.Context(), was, false); err != nil {
		t.Fatal(err)
	}
	if got, want := shape(s, "user"), strings.Replace(before, ",null,", `,{"else":"kept"},`, 1); got != want {
		t.Errorf("put back to\n%s\nwant\n%s", got, want)
	}
	if data(s, "shared") != "1" {
		t.Errorf("shared is %s, want 1", data(s, "shared"))
	}
	soon(t, s, names)
}

func TestRemovedWorkloadIsMadeAgain(t *testing.T) {
	s, p, _ := releaseWorld(t)
	before := shape(s, "user")
	was := saveAndSet(t, p, stable, release("2"))
	s.Remove("deployments", "shop", "user")
	if err := p.RestoreTrack(t.Context(), was, false); err != nil {
		t.Fatal(err)
	}
	if got := shape(s, "user"); got != before {
		t.Errorf("put back to\n%s\nwant\n%s", got, before)
	}
}

// TestDeadlineOfTheFailedReleaseIsNoVerdict has a controller that goes on
// saying, after the former template is back, that the deadline was exceeded.
func TestDeadlineOfTheFailedReleaseIsNoVerdict(t *testing.T) {
	bubble(t, func(t *testing.T, s *kubetest.Server, p *kube.Platform) {
		if err := p.AwaitReady(t.Context(), stable, 2, nil); err != nil {
			t.Fatal(err)
		}
		was := saveAndSet(t, p, stable, release("stuck"))
		late := func() {
			s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
				status, _ := u.Object["status"].(map[string]any)
				status["observedGeneration"] = u.GetGeneration()
				status["conditions"] = []any{map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}}
			})
		}
		time.Sleep(time.Second)
		late()
		s.With(func() { s.Before = func(string, string) { go late() } })
		if err := p.RestoreTrack(t.Context(), was, false); err != nil {
			t.Errorf("RestoreTrack: %v", err)
		}
	})
}

func TestWriteOfSomebodyElseDoesNotStopPuttingBack(t *testing.T) {
	s, p, _ := releaseWorld(t)
	was := saveAndSet(t, p, stable, release("2"))
	n := 0
	s.With(func() {
		s.Before = func(_, _ string) {
			if n++; n <= 3 {
				s.Edit("deployments", "shop", "user", func(u *unstructured.Unstructured) {
					_ = unstructured.SetNestedField(u.Object, int64(n), "spec", "minReadySeconds")
				})
			}
		}
	})
	if err := p.RestoreTrack(t.Context(), was, true); err != nil {
		t.Fatal(err)
	}
	if v := specInt(s.Get("deployments", "shop", "user"), "minReadySeconds"); v != 0 {
		t.Errorf("minReadySeconds is %d, want what was saved", v)
	}
}

func FuzzRestoreTrack(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"track":{"workload":{"name":"user"},"name":"stable"}}`, `{"track":{"workload":{"namespace":"shop","name":"user"},"name":"stable"},"deployment":{"spec":{"replicas":2},"rest":{}}}`, `{"track":{"workload":{"name":"user"},"name":"blue"},"deployment":{"spec":{"replicas":"x"},"labels":{"a":null}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, was []byte) {
		_, c := kubetest.New(t)
		// Nothing that stands in a journal may end the program that puts back.
		_ = c.Platform(kube.Settings{}).RestoreTrack(t.Context(), was, true)
	})
}
