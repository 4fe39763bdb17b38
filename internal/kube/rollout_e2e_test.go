//go:build e2e

package kube_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// TestE2EColoursApart makes green from blue in another namespace, whose own
// Secret its pods read.
func TestE2EColoursApart(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	images, err := goodImage()
	if err != nil {
		t.Skip(err)
	}
	c, home := realCluster(t)
	_, away := realCluster(t)
	create := func(u *unstructured.Unstructured, ns string) {
		t.Helper()
		u.SetNamespace(ns)
		if _, err := c.Create(t.Context(), resourceOf(u.GetKind()), u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("NAME", "user-service-blue", "IMAGE", images[0]).Replace(realApp)
	text = strings.Replace(text, "        ports: [{containerPort", "        env: [{name: DATABASE_URL, valueFrom: {secretKeyRef: {name: db-secret-blue, key: url}}}]\n        ports: [{containerPort", 1)
	for _, u := range kubetest.Objects(t, text) {
		create(u, home)
	}
	create(kubetest.Objects(t, "{apiVersion: v1, kind: Secret, metadata: {name: db-secret-blue}, stringData: {url: blue}}")[0], home)
	blue := stages.Track{Workload: stages.Workload{Namespace: home, Name: "user-service-blue"}, Peer: stages.Workload{Namespace: away, Name: "user-service-green"}, Name: stages.Blue}
	green := stages.Track{Workload: blue.Peer, Peer: blue.Workload, Name: stages.Green}
	p := c.Platform(kube.Settings{})
	if err := p.AwaitReady(t.Context(), blue, 2, nil); err != nil {
		t.Fatal(err)
	}
	before := names(t, c, away)
	r := stages.Release{Image: images[1], Run: run("1")}
	check := stages.RolloutCheck{Kind: "blueGreen", Split: stages.Split{Old: blue, New: green}, Workload: blue.Workload, Release: r, MaxReplicas: 1}
	told := func() string {
		found, err := p.Check(t.Context(), check)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		tellFindings(&b, "findings", found)
		return b.String()
	}
	if got := told(); !strings.Contains(got, "need Secret db-secret-blue") {
		t.Errorf("the preflight does not name the missing Secret:\n%s", got)
	}
	create(kubetest.Objects(t, "{apiVersion: v1, kind: Secret, metadata: {name: db-secret-green}, stringData: {url: green}}")[0], away)
	if got := told(); strings.Contains(got, "error:") {
		t.Errorf("the preflight finds:\n%s", got)
	}
	was, err := p.SaveTrack(t.Context(), green, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetTrack(t.Context(), green, r, 2); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), green, 2, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	if n := runningPods(t, c, green, images[1]); n != 2 {
		t.Errorf("green runs %d ready pods, want 2", n)
	}
	if err := p.RestoreTrack(t.Context(), was, false); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); names(t, c, away) != before; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("left over: %s", names(t, c, away))
		}
	}
}

// TestE2EDrainAndPuttingBack updates in place with a drain, breaks it, and
// puts it back.
func TestE2EDrainAndPuttingBack(t *testing.T) {
	f := realFixture(t)
	p, ok := f.Platform.(*kube.Platform)
	if !ok {
		t.Fatalf("the platform is a %T", f.Platform)
	}
	tr := stages.Track{Workload: f.Workload, Name: stages.Stable}
	good := f.New
	good.Drain = 3
	if err := p.SetTrack(t.Context(), tr, good, -1); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), tr, f.Replicas, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Drains(t.Context(), f.Workload); err != nil || n != 3 {
		t.Errorf("Drains = %d, %v; want 3", n, err)
	}
	before, err := p.SelectorNow(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	was, err := p.SaveTrack(t.Context(), tr, f.Broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetTrack(t.Context(), tr, f.Broken, -1); err != nil {
		t.Fatal(err)
	}
	if now, err := p.SelectorNow(t.Context(), tr); err != nil || now == before {
		t.Errorf("SelectorNow = %q, %v; want another one", now, err)
	}
	if err := p.AwaitReady(t.Context(), tr, f.Replicas, nil); !errors.Is(err, stages.ErrNotReady) {
		t.Errorf("AwaitReady: got %v, want not ready", err)
	}
	began := time.Now()
	if err := p.RestoreTrack(t.Context(), was, false); err != nil {
		t.Fatal(err)
	}
	t.Logf("put back within %s", time.Since(began).Round(time.Millisecond))
	if n := f.Running(t, tr, good.Image); n != f.Replicas {
		t.Errorf("%d ready pods of the former release, want %d", n, f.Replicas)
	}
	if n, err := p.Drains(t.Context(), f.Workload); err != nil || n != 3 {
		t.Errorf("Drains = %d, %v after it was put back; want 3", n, err)
	}
}
