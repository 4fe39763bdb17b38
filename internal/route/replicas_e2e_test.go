//go:build e2e

package route_test

import (
	"cmp"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/route"
	"github.com/headgate-dev/headgate/stages"
	"github.com/headgate-dev/headgate/test/nginx"
)

// TestE2EReplicasSplitByPods: a canary whose pods share stable's Service and
// its selector, up to all traffic and back, and neither Deployment takes the
// other's pods.
func TestE2EReplicasSplitByPods(t *testing.T) {
	c := e2eCluster(t)
	image, err := nginx.Image(t.Context(), cmp.Or(os.Getenv("HEADGATE_TEST_REGISTRY"), "localhost:5000"))
	if err != nil {
		t.Fatal(err)
	}
	ns := testNamespace(t, c)
	const size = 4
	create(t, c, ns, strings.NewReplacer("replicas: 0", "replicas: 4", "r.example/user:1", image, "namespace: shop", "namespace: "+ns,
		`image: "`, `command: [sh, -c, 'printf "events {} http { server { listen 8000; return 200; } }" >/tmp/n; exec nginx -c /tmp/n -g "daemon off;"'], readinessProbe: {tcpSocket: {port: 8000}, periodSeconds: 1}, image: "`).
		Replace(strings.Join(strings.Split(nginxServices, "---\n")[:2], "---\n")))
	awaitReady(t, c, ns, "user")
	w := stages.Workload{Namespace: ns, Name: "user"}
	canary := stages.Track{Workload: w, Name: stages.Canary}
	r, err := route.NewReplicas(c, route.Settings{Split: stages.Split{Old: stages.Track{Workload: w, Name: stages.Stable}, New: canary}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.Check(t.Context(), stages.RolloutCheck{Kind: "canary"})
	if err != nil || len(found) != 1 || !found[0].Warning {
		t.Errorf("findings %v, %v; want the warning about kept connections", found, err)
	}
	was, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := c.Platform(kube.Settings{})
	release := stages.Release{Image: image, Shared: true}
	release.Run.ID = "1"
	steps := []float64{0, 20, 50, 80, 100, 50}
	for i, weight := range steps[1:] {
		_, pods := r.Pods(weight, size)
		if err := p.SetTrack(t.Context(), canary, release, pods); err != nil {
			t.Fatal(err)
		}
		if err := p.AwaitReady(t.Context(), canary, pods, func(string) {}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := r.SetWeight(t.Context(), steps[i], weight); err != nil {
			t.Fatal(err)
		}
		got, err := r.Weight(t.Context())
		real, err2 := r.Ratio(t.Context())
		t.Logf("%v took %s; the ratio is %v", weight, time.Since(began).Round(time.Millisecond), real)
		if err != nil || err2 != nil || got != weight {
			t.Errorf("the weight is %v, want %v (%v, %v)", got, weight, err, err2)
		}
	}
	for range 2 {
		if err := r.Restore(t.Context(), was); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.AwaitReady(t.Context(), stages.Track{Workload: w, Name: stages.Stable}, size, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Weight(t.Context()); got != 0 || err != nil {
		t.Errorf("the weight is %v, %v at the end", got, err)
	}
	awaitReady(t, c, ns, "user")
}
