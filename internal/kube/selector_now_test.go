package kube_test

import (
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
)

func TestSelectorNowIsThatOfThePresentTemplate(t *testing.T) {
	bubble(t, func(t *testing.T, _ *kubetest.Server, p *kube.Platform) {
		if err := p.AwaitReady(t.Context(), stable, 2, nil); err != nil {
			t.Fatal(err)
		}
		was, err := p.SelectorNow(t.Context(), stable)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetTrack(t.Context(), stable, release("2"), -1); err != nil {
			t.Fatal(err)
		}
		now, err := p.SelectorNow(t.Context(), stable) // Before its ReplicaSet is there.
		if err != nil {
			t.Fatal(err)
		}
		if now == was || !strings.HasPrefix(now, `namespace="shop",pod=~"user-`) || !strings.HasSuffix(now, `{5}"`) {
			t.Errorf("selectors %q and %q, want two different ones of pods of user", was, now)
		}
		if _, err := p.SelectorNow(t.Context(), canary); err == nil {
			t.Error("a track that is not there has a selector")
		}
	})
}
