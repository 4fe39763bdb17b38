package kube_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headgate-dev/headgate/internal/kube"
	"github.com/headgate-dev/headgate/internal/kube/kubetest"
	"github.com/headgate-dev/headgate/stages"
)

// configured is the workload with configuration of all kinds.
const configured = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: user}}
  template:
    metadata: {labels: {app: user, tier: backend}}
    spec:
      imagePullSecrets: [{name: pull}]
      initContainers:
      - {name: init, image: "r.example/init:1", envFrom: [{secretRef: {name: password}}]}
      containers:
      - name: user
        image: r.example/user:1
        ports: [{containerPort: 8000, name: http}]
        env:
        - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
        - {name: FOREIGN, valueFrom: {configMapKeyRef: {name: not-in-the-manifests, key: x}}}
        envFrom: [{configMapRef: {name: settings}}]
      volumes:
      - {name: a, configMap: {name: settings}}
      - {name: b, secret: {secretName: password}}
      - {name: c, projected: {sources: [{secret: {name: password}}, {configMap: {name: fixed}}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {team: profile}}
data: {level: LEVEL}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: PASSWORD}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, annotations: {headgate.dev/versioned: "false"}}
data: {a: FIXED}
---
apiVersion: v1
kind: Secret
metadata: {name: pull}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: PULL}
---
apiVersion: v1
kind: Service
metadata: {name: user, namespace: shop}
spec:
  selector: {app: user}
  ports: [{port: PORT, targetPort: http}]
`

// values fill the placeholders of configured.
type values struct{ level, password, fixed, pull, port string }

// manifestsOf returns the release's manifests.
func configuredAs(t *testing.T, v values) []json.RawMessage {
	t.Helper()
	text := strings.NewReplacer("LEVEL}", v.level+"}", "PASSWORD", v.password, "FIXED", v.fixed, "PULL", v.pull, "PORT", v.port).Replace(configured)
	var out []json.RawMessage
	for _, u := range kubetest.Objects(t, text) {
		b, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// contents lists the ConfigMaps, Secrets and Services there are, with what is
// in them; checksums in names are cut.
func contents(s *kubetest.Server) map[string]string {
	out := map[string]string{}
	for _, name := range s.Names() {
		res, n, _ := strings.Cut(name, "/")
		u := s.Get(res, "shop", n)
		if u == nil || res != "configmaps" && res != "secrets" && res != "services" {
			continue
		}
		what, _ := json.Marshal([]any{u.Object["data"], u.Object["stringData"], u.GetLabels()})
		if res == "services" {
			ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
			what, _ = json.Marshal(ports)
		}
		out[name] = string(what)
	}
	return out
}

func of(image, id string, manifests []json.RawMessage) stages.Release {
	return stages.Release{Image: "r.example/user@sha256:" + image, Container: "user", Run: run(id), Manifests: manifests}
}

var (
	first  = values{"info", "hunter1", "1", "e30=", "80"}
	second = values{"debug", "hunter2", "2", "e30K", "81"}
)

// live deploys the workload for the first time.
func live(t *testing.T) (*kubetest.Server, *kube.Platform) {
	t.Helper()
	s, c := kubetest.New(t)
	p := c.Platform(kube.Settings{})
	if err := p.SetTrack(t.Context(), stable, of("1", "1", configuredAs(t, first)), -1); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), stable, 2, nil); err != nil {
		t.Fatal(err)
	}
	return s, p
}

// versions are the names of a kind that are those of contents, of one name.
func versions(s *kubetest.Server, res, name string) []string {
	var out []string
	for _, n := range s.Names() {
		if r, full, _ := strings.Cut(n, "/"); r == res && strings.HasPrefix(full, name+"-") && s.Get(res, "shop", full).GetLabels()["headgate.dev/versioned"] == name {
			out = append(out, full)
		}
	}
	return out
}

func TestPodsReferToVersionsOfTheirConfiguration(t *testing.T) {
	s, _ := live(t)
	text, err := json.Marshal(s.Get("deployments", "shop", "user").Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	settings, password := versions(s, "configmaps", "settings"), versions(s, "secrets", "password")
	if len(settings) != 1 || len(password) != 1 {
		t.Fatalf("got versions %v and %v, want one of each", settings, password)
	}
	for name, times := range map[string]int{settings[0]: 3, password[0]: 3, `"name":"fixed"`: 1, `"name":"pull"`: 1, `"not-in-the-manifests"`: 1, `"name":"settings"`: 0, `"password"`: 0} {
		if got := strings.Count(string(text), name); got != times {
			t.Errorf("got %s %d times, want %d, in %s", name, got, times, text)
		}
	}
	if got := s.Get("configmaps", "shop", "settings"); got != nil {
		t.Errorf("got %v, want no ConfigMap under the plain name, which nothing refers to", got)
	}
	if got := s.Get("secrets", "shop", "pull"); got == nil {
		t.Error("got no Secret for pulling images under its own name")
	}
	if got := s.Get("configmaps", "shop", settings[0]).GetLabels()["team"]; got != "profile" {
		t.Errorf("got label team %q, want the manifest's", got)
	}
}

func TestCanaryHasItsOwnConfigurationAndTakesItAlong(t *testing.T) {
	s, p := live(t)
	before := contents(s)
	if err := p.SetTrack(t.Context(), canary, of("2", "2", configuredAs(t, second)), 1); err != nil {
		t.Fatal(err)
	}
	for name, was := range before {
		if got := contents(s)[name]; got != was {
			t.Errorf("a canary changed %s: got %s, want %s", name, got, was)
		}
	}
	if got := versions(s, "configmaps", "settings"); len(got) != 2 {
		t.Errorf("got %v, want a version for each track", got)
	}
	if err := p.RemoveTrack(t.Context(), canary, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, contents(s)); diff != "" {
		t.Errorf("after the rollback (-want +got):\n%s", diff)
	}
}

func TestRestoreTrackPutsTheOthersBack(t *testing.T) {
	s, p := live(t)
	before := contents(s)
	release := of("2", "2", configuredAs(t, second))
	was, err := p.SaveTrack(t.Context(), stable, release)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter", "aHVudGVy", "e30="} {
		if strings.Contains(string(was), secret) {
			t.Errorf("the journal would hold the value %s: %s", secret, was)
		}
	}
	for range 2 { // A run that was resumed does it again.
		if err := p.SetTrack(t.Context(), stable, release, -1); err != nil {
			t.Fatal(err)
		}
	}
	changed := contents(s)
	for _, name := range []string{"secrets/pull", "configmaps/fixed", "services/user"} {
		if changed[name] == before[name] {
			t.Errorf("the release did not change %s", name)
		}
	}
	for range 2 { // A rollback may be made again.
		if err := p.RestoreTrack(t.Context(), was, true); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, contents(s)); diff != "" {
		t.Errorf("after the rollback (-want +got):\n%s", diff)
	}
}

func TestTidyKeepsWhatTheLastTwoReleasesNeed(t *testing.T) {
	for _, mayList := range []bool{true, false} {
		s, p := live(t)
		if !mayList {
			s.With(func() {
				s.Denied = func(verb, resource string) bool {
					return verb == "list" && (resource == "configmaps" || resource == "secrets")
				}
			})
		}
		for i, v := range []values{second, {"warn", "hunter3", "3", "e30gIA==", "82"}} {
			run := string(rune('2' + i))
			if err := p.SetTrack(t.Context(), stable, of(run, run, configuredAs(t, v)), -1); err != nil {
				t.Fatal(err)
			}
			if err := p.AwaitReady(t.Context(), stable, 2, nil); err != nil {
				t.Fatal(err)
			}
			if err := p.Tidy(t.Context(), stable); err != nil {
				t.Fatal(err)
			}
		}
		for res, name := range map[string]string{"configmaps": "settings", "secrets": "password"} {
			if got := versions(s, res, name); len(got) != 2 {
				t.Errorf("may list %t: got %v, want those of the live release and of the one before", mayList, got)
			}
		}
		copies := slices.DeleteFunc(s.Names(), func(n string) bool { return !strings.Contains(n, "-before-") })
		if mayList && len(copies) > 0 {
			t.Errorf("got %v left", copies)
		}
	}
}

func TestConflictsAreNamedAndNothingIsChanged(t *testing.T) {
	s, p := live(t)
	own := func(res, name, manager, fields string) {
		s.Edit(res, "shop", name, func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{
				"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{},
			}}, "metadata", "managedFields")
			var f map[string]any
			if err := json.Unmarshal([]byte(fields), &f); err != nil {
				t.Fatal(err)
			}
			entries, _, _ := unstructured.NestedSlice(u.Object, "metadata", "managedFields")
			entries[0].(map[string]any)["fieldsV1"] = f
			_ = unstructured.SetNestedSlice(u.Object, entries, "metadata", "managedFields")
		})
	}
	own("configmaps", "fixed", "kubectl-edit", `{"f:data": {"f:a": {}}}`)
	own("secrets", "pull", "headgate", `{"f:data": {"f:.dockerconfigjson": {}}}`)
	before, writes := contents(s), len(s.Writes())
	release := of("2", "2", configuredAs(t, second))
	err := p.SetTrack(t.Context(), stable, release, -1)
	conflict, ok := errors.AsType[*kube.ConflictError](err)
	if !ok || !strings.Contains(err.Error(), "apply configmaps fixed in shop: kubectl-edit owns data.a") || !strings.Contains(conflict.Hint(), "--force-conflicts") {
		t.Fatalf("got %v, want the conflict by name, owner and field, with a hint", err)
	}
	if diff := cmp.Diff(before, contents(s)); diff != "" || len(s.Writes()) != writes {
		t.Errorf("something was changed: %v\n%s", s.Writes()[writes:], diff)
	}
	found, err := p.Check(t.Context(), stages.RolloutCheck{
		Kind: "canary", Workload: user, Release: release, MaxReplicas: 1, Split: stages.Split{Old: stable, New: canary},
	})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, f := range found {
		if strings.Contains(f.Message, "kubectl-edit owns data.a") && f.Hint != "" && !f.Warning {
			return
		}
		texts = append(texts, f.Message)
	}
	t.Errorf("the preflight did not find the conflict: %q", texts)
}
