//go:build e2e

package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

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

// trouble is a way to break a release, and what is to be said about it.
type trouble struct {
	name string
	// around makes what must be there beforehand.
	around string
	change func(spec, container map[string]any)
	code   string
	cause  []string
	within time.Duration
}

type object = map[string]any

func env(name, value string) []any { return []any{object{"name": name, "value": value}} }

// httpProbe asks for a path that there is not.
func httpProbe(path string) object {
	return object{"httpGet": object{"path": path, "port": "http"}, "periodSeconds": int64(1), "failureThreshold": int64(2)}
}

func memory(c object, amount string) {
	c["resources"] = object{"limits": object{"memory": amount}}
}

// troubles is every situation that this cluster can be brought into.
func troubles() []trouble {
	nothing := func(object, object) {}
	return []trouble{
		{name: "missing-image", change: nothing, code: kube.ImagePull, cause: []string{"not found"}, within: 15 * time.Second},
		{name: "no-registry", change: nothing, code: kube.ImagePull, cause: []string{"connection refused"}, within: 40 * time.Second},
		{
			name: "crash", change: func(_, c object) { c["env"] = env("CRASH", "true") },
			code: kube.CrashLoop, cause: []string{"ended 3 times (exit code 1)", "cannot read the profile schema"}, within: 60 * time.Second,
		},
		{name: "out-of-memory", change: func(_, c object) {
			c["env"] = env("LEAK", "40")
			memory(c, "24Mi")
			c["readinessProbe"].(object)["initialDelaySeconds"] = int64(20)
		}, code: kube.OutOfMemory, cause: []string{"OOMKilled", "exit code 137"}, within: 90 * time.Second},
		{name: "ends-after-ready", change: func(_, c object) {
			c["env"] = env("LEAK", "200")
			memory(c, "40Mi")
			delete(c, "readinessProbe")
		}, code: kube.OutOfMemory, cause: []string{"OOMKilled"}, within: 100 * time.Second},
		{name: "no-command", change: func(_, c object) { c["command"] = []any{"/nothing"} }, code: kube.StartError, cause: []string{"no such file"}, within: 15 * time.Second},
		{name: "missing-secret", change: func(_, c object) {
			c["envFrom"] = []any{object{"secretRef": object{"name": "nothing"}}}
		}, code: kube.ConfigError, cause: []string{`"nothing" not found`}, within: 15 * time.Second},
		{name: "missing-key", change: func(_, c object) {
			c["env"] = []any{object{"name": "A", "valueFrom": object{"configMapKeyRef": object{"name": "kube-root-ca.crt", "key": "nothing"}}}}
		}, code: kube.ConfigError, cause: []string{"couldn't find key nothing in ConfigMap"}, within: 15 * time.Second},
		{name: "runs-as-root", change: func(_, c object) {
			c["securityContext"] = object{"runAsNonRoot": true, "runAsUser": int64(0)}
		}, code: kube.ConfigError, cause: []string{"non-root"}, within: 15 * time.Second},
		{name: "missing-volume", change: func(s, c object) {
			s["volumes"] = []any{object{"name": "v", "secret": object{"secretName": "nothing"}}}
			c["volumeMounts"] = []any{object{"name": "v", "mountPath": "/v"}}
		}, code: kube.VolumeError, cause: []string{`"nothing" not found`}, within: 60 * time.Second},
		{name: "missing-claim", change: func(s, c object) {
			s["volumes"] = []any{object{"name": "v", "persistentVolumeClaim": object{"claimName": "nothing"}}}
			c["volumeMounts"] = []any{object{"name": "v", "mountPath": "/v"}}
		}, code: kube.VolumeError, cause: []string{`persistentvolumeclaim "nothing" not found`}, within: 60 * time.Second},
		{name: "no-folder", change: func(s, c object) {
			s["volumes"] = []any{object{"name": "v", "hostPath": object{"path": "/headgate-nothing", "type": "Directory"}}}
			c["volumeMounts"] = []any{object{"name": "v", "mountPath": "/v"}}
		}, code: kube.VolumeError, cause: []string{"/headgate-nothing is not a directory"}, within: 90 * time.Second},
		{
			name: "no-sandbox", around: "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: NAMESPACE}, handler: nothing}",
			change: func(s, _ object) { s["runtimeClassName"] = "NAMESPACE" },
			code:   kube.Sandbox, cause: []string{`no runtime for "nothing" is configured`}, within: 120 * time.Second,
		},
		{name: "init-fails", change: func(s, c object) {
			s["initContainers"] = []any{object{"name": "migrate", "image": c["image"], "env": env("CRASH", "true")}}
		}, code: kube.InitFailed, cause: []string{"init container migrate", "cannot read the profile schema"}, within: 60 * time.Second},
		{name: "init-hangs", change: func(s, c object) {
			s["initContainers"] = []any{object{"name": "migrate", "image": c["image"]}}
		}, code: kube.InitRunning, cause: []string{"init container migrate", "has not ended yet"}, within: 60 * time.Second},
		{name: "sidecar-fails", change: func(s, c object) {
			s["initContainers"] = []any{object{
				"name": "proxy", "image": c["image"], "restartPolicy": "Always",
				"env":          []any{object{"name": "ADDRESS", "value": ":9000"}},
				"startupProbe": object{"httpGet": object{"path": "/nothing", "port": int64(9000)}, "periodSeconds": int64(1), "failureThreshold": int64(2)},
			}}
		}, code: kube.StartupProbe, cause: []string{"sidecar proxy", "startup probe (GET :9000/nothing)"}, within: 100 * time.Second},
		{name: "startup-probe", change: func(_, c object) { c["startupProbe"] = httpProbe("/nothing") }, code: kube.StartupProbe, cause: []string{"startup probe (GET :http/nothing) did not pass", "404"}, within: 100 * time.Second},
		{name: "liveness-probe", change: func(_, c object) {
			c["env"] = env("NEVER_READY", "true")
			c["livenessProbe"] = httpProbe("/nothing")
		}, code: kube.LivenessProbe, cause: []string{"liveness probe (GET :http/nothing) did not pass", "404"}, within: 100 * time.Second},
		{name: "never-ready", change: func(_, c object) { c["env"] = env("NEVER_READY", "true") }, code: kube.NotPassing, cause: []string{"GET :http/ready", "503"}, within: 60 * time.Second},
		{name: "readiness-gate", change: func(s, _ object) {
			s["readinessGates"] = []any{object{"conditionType": "example.com/in-load-balancer"}}
		}, code: kube.ReadinessGate, cause: []string{"example.com/in-load-balancer"}, within: 60 * time.Second},
		{name: "no-node", change: func(_, c object) {
			c["resources"] = object{"requests": object{"cpu": "900"}}
		}, code: kube.Unschedulable, cause: []string{"Insufficient cpu"}, within: 60 * time.Second},
		{
			name: "no-such-node", change: func(s, _ object) { s["nodeSelector"] = object{"example.com/disk": "fast"} },
			code: kube.Unschedulable, cause: []string{"node affinity/selector"}, within: 60 * time.Second,
		},
		{
			name: "quota", around: "{apiVersion: v1, kind: ResourceQuota, metadata: {name: small}, spec: {hard: {pods: 2}}}", change: nothing,
			code: kube.Quota, cause: []string{"exceeded quota"}, within: 40 * time.Second,
		},
		{
			name: "limit-range", around: "{apiVersion: v1, kind: LimitRange, metadata: {name: modest}, spec: {limits: [{type: Container, max: {cpu: 100m}}]}}",
			change: func(_, c object) { c["resources"] = object{"limits": object{"cpu": "200m"}} },
			code:   kube.Refused, cause: []string{"maximum cpu usage per Container is 100m"}, within: 20 * time.Second,
		},
		{
			name: "no-account", change: func(s, _ object) { s["serviceAccountName"] = "nothing" },
			code: kube.Refused, cause: []string{`serviceaccount "nothing" not found`}, within: 40 * time.Second,
		},
		{
			name: "pod-security", around: "{apiVersion: v1, kind: Namespace, metadata: {name: NAMESPACE, labels: {pod-security.kubernetes.io/enforce: restricted}}}", change: nothing,
			code: kube.PodSecurity, cause: []string{`violates PodSecurity "restricted`}, within: 20 * time.Second,
		},
		{name: "webhook-away", around: webhook, change: nothing, code: kube.Webhook, cause: []string{`failed calling webhook "pods.example.com"`}, within: 90 * time.Second},
		{name: "storage-full", change: func(_, c object) {
			c["resources"] = object{"limits": object{"ephemeral-storage": "1"}}
			c["readinessProbe"].(object)["initialDelaySeconds"] = int64(60)
		}, code: kube.Evicted, cause: []string{"ephemeral local storage"}, within: 200 * time.Second},
	}
}

// webhook is one whose Service does not exist.
const webhook = `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: NAMESPACE}, webhooks: [{
  name: pods.example.com, sideEffects: None, admissionReviewVersions: [v1], timeoutSeconds: 2,
  clientConfig: {service: {name: nothing, namespace: NAMESPACE}},
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}},
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}]}`

// TestE2EReasons breaks a release in the ways that Kubernetes knows, and looks
// at what is said about it and when.
func TestE2EReasons(t *testing.T) {
	for _, c := range troubles() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cluster, _, w, images := shop(t)
			settings := kube.Settings{NoProgress: 5 * time.Second}
			if c.name == "init-hangs" {
				// What an init container does may take long; the Deployment's
				// own deadline counts, or how long the track may take at all.
				settings.ReadyTimeout = 30 * time.Second
			}
			p := cluster.Platform(settings)
			image := images[1]
			switch c.name {
			case "missing-image":
				image = image[:len(image)-64] + strings.Repeat("0", 64)
			case "no-registry":
				_, path, _ := strings.Cut(image, "/")
				image = "127.0.0.1:1/" + path
			}
			surround(t, cluster, w.Namespace, c.around)
			track := stages.Track{Workload: w, Name: stages.Canary}
			change := func(spec, container object) {
				c.change(spec, container)
				if spec["runtimeClassName"] != nil {
					spec["runtimeClassName"] = w.Namespace
				}
			}
			r := stages.Release{Image: image, Run: run("1"), Manifests: manifest(t, w, image, change)}
			if err := p.SetTrack(t.Context(), track, r, 1); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err := p.AwaitReady(t.Context(), track, 1, func(line string) { t.Log(time.Since(began).Round(time.Millisecond), line) })
			took := time.Since(began)
			record(t, cluster, w.Namespace, c.name)
			t.Log(took.Round(time.Millisecond), err)
			nr, ok := errors.AsType[*stages.NotReadyError](err)
			if !ok || nr.Code != c.code || took > c.within {
				t.Fatalf("got %v after %s, want code %s within %s", err, took, c.code, c.within)
			}
			t.Log("what to do:", nr.Action)
			for _, words := range c.cause {
				if !strings.Contains(nr.Cause, words) {
					t.Errorf("the cause %q does not say %q", nr.Cause, words)
				}
			}
			text, err := p.Diagnose(t.Context(), track)
			t.Log(text)
			if err != nil || !strings.Contains(text, "user-canary") || !strings.Contains(text, c.code) {
				t.Errorf("Diagnose: %q, %v", text, err)
			}
			if err := p.RemoveTrack(t.Context(), track, true); err != nil {
				t.Error(err)
			}
		})
	}
}

// surround makes what a trouble needs, and takes away again what is in no
// namespace.
func surround(t *testing.T, c *kube.Cluster, ns, text string) {
	t.Helper()
	if text == "" {
		return
	}
	u := kubetest.Objects(t, strings.ReplaceAll(text, "NAMESPACE", ns))[0]
	gvr := map[string]schema.GroupVersionResource{
		"ResourceQuota": {Version: "v1", Resource: "resourcequotas"}, "LimitRange": {Version: "v1", Resource: "limitranges"},
		"Namespace": {Version: "v1", Resource: "namespaces"}, "RuntimeClass": {Group: "node.k8s.io", Version: "v1", Resource: "runtimeclasses"},
		"ValidatingWebhookConfiguration": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	}[u.GetKind()]
	switch u.GetKind() {
	case "Namespace":
		if _, err := c.Apply(t.Context(), gvr, u, kube.Write{}); err != nil {
			t.Fatal(err)
		}
		return
	case "ResourceQuota", "LimitRange":
		u.SetNamespace(ns)
	default:
		t.Cleanup(func() {
			if err := c.Delete(context.Background(), gvr, u, false); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := c.Create(t.Context(), gvr, u, kube.Write{}); err != nil {
		t.Fatal(err)
	}
	for u.GetKind() == "ResourceQuota" { // until it has been counted
		got, err := c.Get(t.Context(), gvr, ns, u.GetName())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := unstructured.NestedString(got.Object, "status", "used", "pods"); ok {
			return
		}
		time.Sleep(100 * time.Millisecond)
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
