//go:build e2e

package kube_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// TestRealClusterKnowsWhatIsLive: what the server defaults is no difference,
// whichever track has taken the release, and however often.
func TestRealClusterKnowsWhatIsLive(t *testing.T) {
	c, ns := realCluster(t)
	image, err := goodImage()
	if err != nil {
		t.Fatal(err)
	}
	p := c.Platform(kube.Settings{})
	release := func(run, level string) stages.Release {
		text := strings.NewReplacer("NAME", "user", "IMAGE", image[0]).Replace(realApp)
		text = strings.Replace(text, "        ports: [{containerPort", `        env:
        - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: password, key: password}}}
        ports: [{containerPort`, 1)
		r := stages.Release{Image: image[1], Run: pipeline.Info{ID: run, Pipeline: "user"}}
		for _, u := range kubetest.Objects(t, strings.TrimSpace(text)+strings.ReplaceAll(realConfig, "LEVEL", level)) {
			b, err := json.Marshal(u.Object)
			if err != nil {
				t.Fatal(err)
			}
			r.Manifests = append(r.Manifests, b)
		}
		return r
	}
	is := func(what string, track stages.Track, r stages.Release, want bool) {
		t.Helper()
		if got, err := p.Unchanged(t.Context(), track, r); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
		}
	}
	set := func(track stages.Track, r stages.Release, n int) {
		t.Helper()
		if err := p.SetTrack(t.Context(), track, r, n); err != nil {
			t.Fatal(err)
		}
	}
	w := stages.Workload{Namespace: ns, Name: "user"}
	stable := stages.Track{Workload: w, Name: stages.Stable}
	is("before the first deployment", stable, release("1", "info"), false)
	set(stable, release("1", "info"), -1)
	is("after the first deployment", stable, release("2", "info"), true)
	is("with other configuration", stable, release("2", "debug"), false)
	set(stable, release("2", "debug"), -1)
	is("after a second release", stable, release("3", "debug"), true)
	is("with the configuration of before", stable, release("3", "info"), false)

	other := stages.Workload{Namespace: ns, Name: "user-green"}
	blue := stages.Track{Workload: w, Peer: other, Name: stages.Blue}
	green := stages.Track{Workload: other, Peer: w, Name: stages.Green}
	is("a colour that is missing", green, release("4", "debug"), false)
	set(green, release("4", "debug"), 1)
	is("a colour made from its peer's manifest", green, release("5", "debug"), true)
	is("a colour with other configuration", green, release("5", "info"), false)
	set(blue, release("6", "info"), -1)
	is("the other colour after its turn", blue, release("7", "info"), true)
	set(green, release("8", "info"), -1)
	is("the first colour after its next", green, release("9", "info"), true)
}
