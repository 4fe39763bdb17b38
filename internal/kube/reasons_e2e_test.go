//go:build e2e

package kube_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// shop makes the example's workload in a fresh namespace and waits for it.
func shop(t *testing.T) (*kube.Cluster, *kube.Platform, stages.Workload, [2]string) {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set")
	}
	images, err := goodImage()
	if err != nil {
		t.Skip(err)
	}
	c, ns := realCluster(t)
	for _, u := range realObjects(t, ns, "user", images[0]) {
		if _, err := c.Create(t.Context(), resourceOf(u.GetKind()), u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	p, w := c.Platform(kube.Settings{}), stages.Workload{Namespace: ns, Name: "user"}
	if err := p.AwaitReady(t.Context(), stages.Track{Workload: w, Name: stages.Stable}, 2, nil); err != nil {
		t.Fatal(err)
	}
	return c, p, w, images
}

// manifest is the workload's own, with another pod specification.
func manifest(t *testing.T, w stages.Workload, image string, change func(spec, container map[string]any)) []json.RawMessage {
	t.Helper()
	u := realObjects(t, w.Namespace, w.Name, image)[0]
	spec, _, _ := unstructured.NestedMap(u.Object, "spec", "template", "spec")
	change(spec, spec["containers"].([]any)[0].(map[string]any))
	if err := unstructured.SetNestedMap(u.Object, spec, "spec", "template", "spec"); err != nil {
		t.Fatal(err)
	}
	b, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return []json.RawMessage{b}
}

// TestE2EReasons breaks a release in the ways that Kubernetes knows, and looks
// at what is said about it and when.
func TestE2EReasons(t *testing.T) {
	type object = map[string]any
	env := func(name, value string) []any { return []any{object{"name": name, "value": value}} }
	cases := []struct {
		name   string
		change func(spec, container object)
		code   string
		cause  string
		within time.Duration
	}{
		{"missing-image", func(_, c object) { c["image"] = "" }, kube.ImagePull, "not found", 15 * time.Second},
		{"crash", func(_, c object) { c["env"] = env("CRASH", "true") }, kube.CrashLoop, "cannot read the profile schema", 40 * time.Second},
		{"no-command", func(_, c object) { c["command"] = []any{"/nothing"} }, kube.StartError, "no such file", 15 * time.Second},
		{"missing-secret", func(_, c object) {
			c["envFrom"] = []any{object{"secretRef": object{"name": "nothing"}}}
		}, kube.ConfigError, `"nothing" not found`, 15 * time.Second},
		{"missing-volume", func(s, c object) {
			s["volumes"] = []any{object{"name": "v", "secret": object{"secretName": "nothing"}}}
			c["volumeMounts"] = []any{object{"name": "v", "mountPath": "/v"}}
		}, kube.VolumeError, `"nothing" not found`, 90 * time.Second},
		{"init-fails", func(s, c object) {
			s["initContainers"] = []any{object{"name": "migrate", "image": c["image"], "env": env("CRASH", "true")}}
		}, kube.InitFailed, "init container migrate", 40 * time.Second},
		{"no-node", func(_, c object) {
			c["resources"] = object{"requests": object{"cpu": "900"}}
		}, kube.Unschedulable, "Insufficient cpu", 60 * time.Second},
		{"never-ready", func(_, c object) { c["env"] = env("NEVER_READY", "true") }, kube.NotPassing, "GET :http/ready", 60 * time.Second},
		{"quota", func(object, object) {}, kube.Quota, "exceeded quota", 40 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cluster, _, w, images := shop(t)
			p := cluster.Platform(kube.Settings{NoProgress: 5 * time.Second})
			image := images[1]
			switch c.name {
			case "missing-image":
				image = image[:len(image)-64] + strings.Repeat("0", 64)
			case "quota":
				fill(t, cluster, w.Namespace)
			}
			track := stages.Track{Workload: w, Name: stages.Canary}
			r := stages.Release{Image: image, Run: run("1"), Manifests: manifest(t, w, image, c.change)}
			if err := p.SetTrack(t.Context(), track, r, 1); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err := p.AwaitReady(t.Context(), track, 1, func(line string) { t.Log(time.Since(began).Round(time.Millisecond), line) })
			took := time.Since(began)
			record(t, cluster, w.Namespace, c.name)
			t.Log(took.Round(time.Millisecond), err)
			nr, ok := errors.AsType[*stages.NotReadyError](err)
			if !ok || c.code != "" && nr.Code != c.code || !strings.Contains(nr.Cause, c.cause) || took > c.within {
				t.Errorf("got %v after %s, want code %s with %q within %s", err, took, c.code, c.cause, c.within)
			}
			text, err := p.Diagnose(t.Context(), track)
			t.Log(text)
			if err != nil || !strings.Contains(text, "user-canary") {
				t.Errorf("Diagnose: %q, %v", text, err)
			}
			began = time.Now()
			if err := p.RemoveTrack(t.Context(), track, false); err != nil {
				t.Error(err)
			}
			t.Log("removed in", time.Since(began).Round(time.Millisecond))
		})
	}
}

// fill makes a quota that the pods of stable use up.
func fill(t *testing.T, c *kube.Cluster, ns string) {
	t.Helper()
	quotas := schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}
	u := kubetest.Objects(t, "{apiVersion: v1, kind: ResourceQuota, metadata: {name: small, namespace: "+ns+"}, spec: {hard: {pods: 2}}}")[0]
	if _, err := c.Create(t.Context(), quotas, u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
	for {
		u, err := c.Get(t.Context(), quotas, ns, "small")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := unstructured.NestedString(u.Object, "status", "used", "pods"); ok {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// record writes what the canary looks like into testdata/ready, for the test
// of the causes, when HEADGATE_RECORD is set.
func record(t *testing.T, c *kube.Cluster, ns, name string) {
	t.Helper()
	if os.Getenv("HEADGATE_RECORD") == "" {
		return
	}
	out := map[string]any{}
	for key, gvr := range map[string]schema.GroupVersionResource{
		"deployments": {Group: "apps", Version: "v1", Resource: "deployments"},
		"replicaSets": {Group: "apps", Version: "v1", Resource: "replicasets"},
		"pods":        {Version: "v1", Resource: "pods"},
		"events":      {Version: "v1", Resource: "events"},
		"slices":      {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	} {
		l, err := c.List(t.Context(), gvr, ns, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		items := []any{}
		for _, u := range l.Items {
			unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
			about, _, _ := unstructured.NestedString(u.Object, "involvedObject", "name")
			if strings.HasPrefix(u.GetName(), "user-canary") && (about == "" || strings.HasPrefix(about, "user-canary")) {
				items = append(items, u.Object)
			}
		}
		out[key] = items
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b = []byte(strings.ReplaceAll(string(b), ns, "shop"))
	dir := filepath.Join("testdata", "ready", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "objects.json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestE2EPlanAndCheckChangeNothing(t *testing.T) {
	c, p, w, images := shop(t)
	before := names(t, c, w.Namespace)
	r := stages.Release{Image: images[1], Run: run("1")}
	found, err := p.Check(t.Context(), stages.RolloutCheck{Workload: w, Release: r, MaxReplicas: 1})
	if err != nil || len(found) != 0 {
		t.Errorf("Check: %v, %v, want nothing", found, err)
	}
	for track, want := range map[string]string{
		stages.Canary: "create service NS/user-canary\ncreate deployment NS/user-canary (its pods have app=user-canary)",
		stages.Stable: "update deployment NS/user",
	} {
		writes, err := p.PlanTrack(t.Context(), stages.Track{Workload: w, Name: track}, r, 1)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, pw := range writes {
			t.Log(pw.Summary + "\n" + pw.Diff)
			if got = append(got, pw.Summary); pw.Diff == "" {
				t.Errorf("%s has no diff", pw.Summary)
			}
		}
		if s := strings.ReplaceAll(strings.Join(got, "\n"), w.Namespace, "NS"); s != want {
			t.Errorf("the plan of %s is\n%s\nwant\n%s", track, s, want)
		}
	}
	if got := names(t, c, w.Namespace); got != before {
		t.Errorf("the namespace has\n%s\nand had\n%s", got, before)
	}
}
