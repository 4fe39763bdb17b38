package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

func TestGuardTellsWhenATrackHasLostItsPods(t *testing.T) {
	t.Parallel()
	s, cl := kubetest.New(t, kubetest.Objects(t, strings.ReplaceAll(app, "NAME", "user"))...)
	p := cl.Platform(kube.Settings{})
	canary := stages.Track{Workload: user, Name: stages.Canary}
	if err := p.SetTrack(t.Context(), canary, release("2"), 2); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), canary, 2, func(string) {}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := p.Guard(ctx, canary); err != nil {
		t.Errorf("with its pods: got %v, want nil at the end of the context", err)
	}
	s.Edit("deployments", "shop", "user-canary", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(0), "spec", "replicas")
	})
	began := time.Now()
	err := p.Guard(t.Context(), canary)
	if !errors.Is(err, stages.ErrNotReady) || time.Since(began) > 5*time.Second {
		t.Errorf("without: got %v after %s", err, time.Since(began))
	}
}

func TestGuardOfADeploymentThatIsGone(t *testing.T) {
	t.Parallel()
	_, cl := kubetest.New(t, kubetest.Objects(t, strings.ReplaceAll(app, "NAME", "user"))...)
	err := cl.Platform(kube.Settings{}).Guard(t.Context(), stages.Track{Workload: user, Name: stages.Canary})
	if !errors.Is(err, stages.ErrNotReady) {
		t.Errorf("got %v, want an error that wraps ErrNotReady", err)
	}
}
