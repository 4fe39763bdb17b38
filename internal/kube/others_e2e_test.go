//go:build e2e

package kube_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/pipeline"
	"github.com/headgate-dev/headgate/stages"
)

// realConfig is what a release has beside its workload. Everything is a text,
// so that the objects are what the server has.
const realConfig = `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: "LEVEL"}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: "hunter-LEVEL"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, annotations: {headgate.dev/versioned: "false"}}
data: {a: "LEVEL"}
---
apiVersion: v1
kind: Secret
metadata: {name: unused}
stringData: {token: "hunter-LEVEL"}
`

// held lists the ConfigMaps, Secrets and Services of a namespace with all that
// is in them but what the server alone says.
func held(t *testing.T, c *kube.Cluster, ns string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, res := range []string{"configmaps", "secrets", "services"} {
		l, err := c.List(t.Context(), schema.GroupVersionResource{Version: "v1", Resource: res}, ns, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range l.Items {
			if u.GetName() == "kube-root-ca.crt" {
				continue
			}
			a := u.GetAnnotations()
			delete(a, kube.RunAnnotation)
			delete(a, kube.PipelineAnnotation)
			b, err := json.Marshal([]any{u.Object["data"], u.Object["spec"], u.Object["type"], u.GetLabels(), a})
			if err != nil {
				t.Fatal(err)
			}
			out[res+"/"+u.GetName()] = string(b)
		}
	}
	return out
}

func TestRealClusterPutsConfigurationBack(t *testing.T) {
	c, ns := realCluster(t)
	image, err := goodImage()
	if err != nil {
		t.Fatal(err)
	}
	p := c.Platform(kube.Settings{})
	w := stages.Workload{Namespace: ns, Name: "user"}
	stable, canary := stages.Track{Workload: w, Name: stages.Stable}, stages.Track{Workload: w, Name: stages.Canary}
	release := func(run, level string) stages.Release {
		text := strings.NewReplacer("NAME", "user", "IMAGE", image[0]).Replace(realApp)
		text = strings.Replace(text, "        ports: [{containerPort", `        env:
        - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: password, key: password}}}
        ports: [{containerPort`, 1)
		r := stages.Release{Image: image[1], Run: pipeline.Info{ID: run, Pipeline: "user"}}
		for _, u := range kubetest.Objects(t, strings.TrimSpace(text)+strings.ReplaceAll(realConfig, "LEVEL", level)) {
			b, err := u.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			r.Manifests = append(r.Manifests, b)
		}
		return r
	}
	one, two := release("1", "info"), release("2", "debug")
	if err := p.SetTrack(t.Context(), stable, one, -1); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), stable, 2, nil); err != nil {
		t.Fatal(err)
	}
	before := held(t, c, ns)

	if err := p.SetTrack(t.Context(), canary, two, 1); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), canary, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, held(t, c, ns)); diff != "" {
		t.Errorf("after the canary's rollback (-want +got):\n%s", diff)
	}

	was, err := p.SaveTrack(t.Context(), stable, two)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(was), "hunter") || strings.Contains(string(was), "aHVudGVy") {
		t.Errorf("the journal would hold a secret: %s", was)
	}
	for range 2 {
		if err := p.SetTrack(t.Context(), stable, two, -1); err != nil {
			t.Fatal(err)
		}
	}
	if cmp.Equal(before, held(t, c, ns)) {
		t.Error("the release changed nothing")
	}
	for range 2 {
		if err := p.RestoreTrack(t.Context(), was, false); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, held(t, c, ns)); diff != "" {
		t.Errorf("after the rollback (-want +got):\n%s", diff)
	}

	// What was put back is Headgate's to change again; what others own is not.
	configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	if _, err := p.PlanTrack(t.Context(), stable, release("3", "warn"), -1); err != nil {
		t.Errorf("plan after a rollback: %v", err)
	}
	_, err = c.Dynamic().Resource(configMaps).Namespace(ns).Patch(t.Context(), "fixed", types.MergePatchType, []byte(`{"data":{"a":"mine"}}`), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	before = held(t, c, ns)
	err = p.SetTrack(t.Context(), stable, release("3", "warn"), -1)
	if _, ok := errors.AsType[*kube.ConflictError](err); !ok || !strings.Contains(err.Error(), "somebody owns data.a") {
		t.Errorf("got %v, want the conflict", err)
	}
	if diff := cmp.Diff(before, held(t, c, ns)); diff != "" {
		t.Errorf("a conflict left something changed (-want +got):\n%s", diff)
	}
	found, err := p.Check(t.Context(), stages.RolloutCheck{
		Kind: "canary", Workload: w, Release: release("3", "warn"), MaxReplicas: 1, Split: stages.Split{Old: stable, New: canary},
	})
	if err != nil {
		t.Fatal(err)
	}
	named := false
	for _, f := range found {
		named = named || strings.Contains(f.Message, "somebody owns data.a")
	}
	if !named {
		t.Errorf("got %+v, want the conflict among the findings", found)
	}
}
